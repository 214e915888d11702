"""One question to the API from a process whose clock is moved on while it is stopped; it says what came of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio
import httpx

from wxrec_async.errors import WxrecError
from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.webex.calls import ApiCalls
from wxrec_async.webex.transport import AiohttpTransport, PacedTransport, tls_context


async def ask(url: str, moved_on: Path) -> None:
    def clock() -> float:
        return time.time() + float(moved_on.read_text("ascii"))

    paced = PacedTransport(AiohttpTransport(tls=tls_context()), Pacer(250, burst=2), clock=clock)
    async with httpx.AsyncClient(transport=paced) as http:
        calls = ApiCalls(http, deadline_s=600, clock=clock)
        try:
            for _ in range(2):
                sys.stdout.write((await calls.get(url)).body.decode() + "\n")
        except WxrecError as failure:
            sys.stdout.write(f"{failure}\n")


if __name__ == "__main__":
    anyio.run(ask, sys.argv[1], Path(sys.argv[2]))
