"""The soak: what only time shows.

``python -m tests.soak --real-minutes 60`` lets the program follow a sandbox
with mild faults for an hour, and looks at it from outside every quarter of a
minute: memory, descriptors, threads, tasks and processor time must stay as they
were.  ``python -m tests.soak --virtual-days 14`` lets two weeks pass in minutes:
tokens and signed URLs expire by the thousand, clocks jump, the process sleeps.
Both end with a judgement, and leave it with its curves in a folder.
"""
