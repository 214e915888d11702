"""A process that asks for the current token whenever a line with a time comes in; see test_processes."""

from __future__ import annotations

import hashlib
import os
import sys

import anyio
import httpx
from anyio import to_thread

from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.auth.refresher import Refresher
from wxrec_async.auth.token_values import Credentials
from wxrec_async.errors import AuthError
from wxrec_async.model import Secret


async def main(path: str, url: str) -> None:
    now = [0.0]
    credentials = Credentials("client-1", Secret(os.environ["CLIENT_SECRET"]))
    async with httpx.AsyncClient(trust_env=False) as client:
        refresher = Refresher(FileTokenStore(path), credentials, client, url, now=lambda: now[0])
        while line := await to_thread.run_sync(sys.stdin.readline):
            now[0] = float(line)
            try:
                token = (await refresher.current()).access_token.reveal()
                said = hashlib.sha256(token.encode()).hexdigest()
            except AuthError as error:
                said = f"refused {error}"
            sys.stdout.write(said + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    path_, url_ = sys.argv[1:]
    anyio.run(main, path_, url_)
