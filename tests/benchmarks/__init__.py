"""A race against what a user would reach for instead: ``python -m tests.benchmarks``.

nginx with Lua stands for Webex, the media host and an S3 that reads and drops,
in processes of its own.  Runs alternate, medians are quoted, and CPU and memory
come from the operating system, children included.  Ours pays for everything it
promises while it races; peers run with their defaults for integrity.
"""
