"""Bytes from the other side, any bytes at all, into everything that reads them.

`targets` says what must hold for each reader.  `test_fuzzing` holds it with
hypothesis in every run of the suite; ``python -m tests.fuzz TARGET --seconds N``
goes on for as long as one likes.
"""
