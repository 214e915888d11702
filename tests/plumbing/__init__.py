"""Tests of the concurrency pieces, most of them in virtual time."""
