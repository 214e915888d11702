"""Concurrency pieces that know nothing of recordings."""
