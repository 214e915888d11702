"""Decisions as pure functions: values in, value out.

``now`` and randomness are arguments.  Nothing here is async, does I/O or logs.
"""
