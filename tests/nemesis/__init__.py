"""The nemesis run: thousands of faults against the real program, judged by code that knows nothing of it.

``python -m tests.nemesis --recordings 1000 --seed 7 --concurrency 32`` starts a
sandbox and the program in processes of their own.  What goes wrong, and what
must come of every single recording, is settled beforehand by `plan`; `judge`
compares that with the bucket's bytes, the ledger's file, the request log and
everything that was printed.
"""
