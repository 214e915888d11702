"""``python -m tests.trials.hurried``: the program itself, with a tenth of its pauses between two tries.

How long it pauses is shown by tests/rules/test_retry.py; what comes of it, which is what a trial judges, is the same.
What a server asks for (Retry-After) and every deadline stay as they are.
"""

from __future__ import annotations

from wxrec_async.cli.app import main
from wxrec_async.rules import retry

SHARE = 0.1

if __name__ == "__main__":
    retry.BACKOFF_BASE_S *= SHARE
    retry.BACKOFF_CAP_S *= SHARE
    retry.OUTAGE_CAP_S *= SHARE
    main()
