"""``python -m tests.webex_contract --upstream http://127.0.0.1:PORT``: the strict front in a process of its own.

Prints one line of JSON when it is ready (port, base).  Point the client's base
URL and token URL at ``{base}/v1``, let it work, then ``GET {base}/_violations``.
``--auth-upstream`` when tokens come from another port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from urllib.parse import urlsplit

from tests.webex_contract.front import strict_front


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.webex_contract", description="A strict front before Webex.")
    found.add_argument("--upstream", required=True, help="root of the simulated API host, without /v1")
    found.add_argument("--auth-upstream", help="root of the token host")
    found.add_argument("--port", type=int, default=0)
    found.add_argument("--record-only", action="store_true", help="note, and pass on what can be understood")
    found.add_argument("--probe", action="store_true", help="ask for what Cisco has not, and for what it has")
    return found


async def serve(given: argparse.Namespace) -> None:
    async with strict_front(
        given.upstream, given.auth_upstream, port=given.port, record_only=given.record_only, probes=given.probe
    ) as front:
        sys.stdout.write(json.dumps({"port": urlsplit(front.base).port, "base": front.base}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(parser().parse_args()))
