"""``python -m wxrec_async``: the command line, `wxrec-async` by another name."""

from __future__ import annotations

from wxrec_async.cli.app import main

if __name__ == "__main__":
    main()
