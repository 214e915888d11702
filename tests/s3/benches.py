"""What the tests of this folder share: how to open a store, and servers to open it on."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wxrec_async.config import S3Settings
from wxrec_async.errors import Trouble
from wxrec_async.plumbing.pacer import Gate
from wxrec_async.plumbing.reach import Reach
from wxrec_async.plumbing.retrying import Retrier
from wxrec_async.rules.retry import for_s3
from wxrec_async.s3.client import open_client
from wxrec_async.s3.uploads import S3Store
from wxrec_async.s3.wire import Deadlines

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

Retries = list[tuple[str, Trouble]]


def store_on(client: S3Client, settings: S3Settings, retries: Retries, deadlines: Deadlines | None = None) -> S3Store:
    """Return a store that notes its retries and does not wait between them."""
    gate = Gate()
    retrier = Retrier(
        for_s3,
        gate=gate,
        reach=Reach(),
        on_retry=lambda operation, _attempt, _after_s, trouble: retries.append((operation, trouble)),
        chance=lambda: 0.0,
    )
    return S3Store(client, settings, retrier, gate, deadlines=deadlines)


@asynccontextmanager
async def open_store(
    settings: S3Settings, *, ca_bundle: Path | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[tuple[S3Store, Retries]]:
    """Open a client of its own and a store on it."""
    retries: Retries = []
    async with open_client(settings, connections=8, ca_bundle=ca_bundle) as client:
        yield store_on(client, settings, retries, deadlines), retries


@contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """Take TLS off and pass the bytes on to ``port``, in a thread of its own; yield the port to connect to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
