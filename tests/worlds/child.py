"""A process of worlds: reads requests, one JSON object a line, and answers each with a line.

The clock goes first, then the package that is asked for, then everything else.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path

from tests.worlds import clock


def main() -> None:
    """Live the worlds that are asked for on stdin."""
    package, certificates = sys.argv[1], Path(sys.argv[2])
    clock.install()
    if package:
        sys.path.insert(0, package)
    import wxrec_async  # noqa: PLC0415 - the package is found only now

    if package and not str(wxrec_async.__file__).startswith(package):
        raise SystemExit("another package was found than the one that was asked for")
    from tests.worlds.grammar import draft  # noqa: PLC0415
    from tests.worlds.living import live  # noqa: PLC0415
    from tests.worlds.shrinking import shrink, signature  # noqa: PLC0415

    warnings.simplefilter("ignore")
    logging.raiseExceptions = False
    answers = sys.stdout
    for line in sys.stdin:
        asked = json.loads(line)
        drawn = draft(asked["seed"])
        if asked.get("only") is not None:
            drawn = drawn.only(frozenset(asked["only"]))
        verdict = live(drawn, certificates, loud=bool(asked.get("loud")))
        if verdict.broken and asked.get("shrink", True) and asked.get("only") is None:
            verdict = shrink(drawn, verdict, lambda each: live(each, certificates))
        told = verdict.as_json() | {"signature": signature(verdict)}
        if not asked.get("loud"):
            told["trace"] = told["trace"][-1:] if not asked.get("trace") else told["trace"]
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
