"""Tests of `wxrec_async.s3`."""
