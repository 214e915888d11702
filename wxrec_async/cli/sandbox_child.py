"""``python -m wxrec_async.cli.sandbox_child``: the sandbox, for as long as somebody holds the other end of its stdin.

So it ends with the program that started it, even if that one is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from wxrec_async.sandbox.__main__ import main


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would trouble the interpreter's end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main())
