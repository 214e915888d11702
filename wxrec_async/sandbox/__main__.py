"""``python -m wxrec_async.sandbox``: a sandbox in a process of its own, for tests and for looking around.

Prints one JSON line when it is ready (addresses, paths, the environment the
client needs; all of it is made up) and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wxrec_async.sandbox.extra_media import Attached
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.sandbox.server import Sandbox


def parser() -> argparse.ArgumentParser:
    """Return the parser; names follow the fields of `Options`."""
    found = argparse.ArgumentParser(prog="python -m wxrec_async.sandbox", description="A simulated organisation.")
    found.add_argument("--tasks", type=int, default=100)
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--days", type=float, default=7)
    found.add_argument("--seconds", type=float, nargs=2, default=(5, 90), metavar=("MIN", "MAX"))
    found.add_argument("--no-large", action="store_true", help="no recordings of 15 MiB and more")
    found.add_argument("--fresh", type=int, default=0, help="calls of the last hours, some still owed")
    found.add_argument(
        "--beside", action="store_true", help="segments, virtual agents, transcripts, screen recordings, mp3"
    )
    found.add_argument("--transcripts", type=float, default=0.0, metavar="SHARE", help="contacts with transcripts")
    found.add_argument("--screens", type=float, default=0.0, metavar="SHARE", help="calls with screen recordings")
    found.add_argument("--twins", type=float, default=0.0, metavar="SHARE", help="of these with two under one id")
    found.add_argument("--screen-bytes", type=int, default=16_448, metavar="N", help="the size of each")
    found.add_argument(
        "--open", type=int, default=0, help="calls that go on for half an hour, their recordings growing"
    )
    found.add_argument(
        "--bounds",
        choices=("strict", "inclusive"),
        default="strict",
        help="whether from and to belong to the window; Webex says 'created after' and 'created before'",
    )
    found.add_argument("--late", type=int, default=0, help="calls whose capture comes one to two days from now")
    found.add_argument(
        "--search",
        choices=("full", "none", "disagreeing"),
        default="full",
        help="the second list: equal to the first, missing, or differing from it on purpose",
    )
    found.add_argument("--dir", type=Path, help="keep objects as files here, and write config.toml here")
    found.add_argument("--discard", action="store_true", help="verify bodies, keep none")
    found.add_argument("--port", type=int, default=0, help="the first of five ports; 0: free ones")
    found.add_argument("--faults", choices=("none", "mild", "storm"), default="none")
    found.add_argument("--rate", type=int, default=300, help="requests a minute, 0: no limit")
    found.add_argument("--token-expires-in", type=int, default=1_209_599)
    found.add_argument(
        "--rotation", choices=("old_stays_valid", "old_revoked", "same", "omitted"), default="old_stays_valid"
    )
    found.add_argument("--media-rate", type=float, default=0.0, help="bytes per second and download")
    found.add_argument("--s3-rate", type=float, default=0.0, help="bytes per second and upload")
    found.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    return found


def options_of(given: argparse.Namespace) -> Options:
    """Turn arguments into options."""
    organisation = Organisation(
        given.tasks,
        given.seed,
        days=given.days,
        seconds=tuple(given.seconds),
        large=not given.no_large,
        fresh=given.fresh,
        beside=given.beside,
        attached=_attached(given),
        late=given.late,
        open_calls=given.open,
        disagreeing=given.search == "disagreeing",
    )
    return Options(
        organisation=organisation,
        folder=given.dir if given.dir is None or given.discard else given.dir / "bucket",
        discard=given.discard,
        port=given.port,
        faults=given.faults,
        requests_per_minute=given.rate,
        token_expires_in=given.token_expires_in,
        rotation=given.rotation,
        media_rate=given.media_rate,
        s3_rate=given.s3_rate,
        latency=given.latency,
        searches=given.search != "none",
        bounds=given.bounds,
    )


def _attached(given: argparse.Namespace) -> Attached | None:
    if not (given.transcripts or given.screens):
        return None
    return Attached(given.transcripts, given.screens, given.twins, given.twins, given.screen_bytes)


async def serve(given: argparse.Namespace, folder: Path) -> None:
    """Run until a signal comes."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Sandbox(options_of(given)) as sandbox:
        config = await asyncio.to_thread(sandbox.write_config, folder)
        ready = sandbox.addresses() | {"config": str(config), "environment": sandbox.environment()}
        sys.stdout.write(json.dumps(ready) + "\n")
        # Whoever started us reads this line before anything else can be done.
        sys.stdout.flush()
        await ended.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    given = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wxrec-sandbox-") as spare:
        asyncio.run(serve(given, given.dir or Path(spare)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
