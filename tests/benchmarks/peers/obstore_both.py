"""obstore (Rust under asyncio) on both sides, streaming: the fastest thing a Python program can reach for.

Arguments: file with ``url key`` lines, S3 endpoint, bucket, tasks at once, CA file or nothing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import HTTPStore, S3Store

orders, endpoint, bucket, tasks, _ = sys.argv[1:6]
# Its certificates cannot be named, so it is spared checking them; both stores do TLS all the same.
options = {"allow_http": True, "allow_invalid_certificates": True, "timeout": "300s"}


async def main(lines: list[str]) -> None:
    first = urlsplit(lines[0].split()[0])
    source = HTTPStore(f"{first.scheme}://{first.netloc}", client_options=options)
    target = S3Store(
        bucket,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id="bench",
        secret_access_key="bench",
        virtual_hosted_style_request=False,
        client_options=options,
    )
    queue = iter(lines)

    async def work() -> None:
        for line in queue:
            url, key = line.split()
            found = await obstore.get_async(source, urlsplit(url).path.lstrip("/"))
            await obstore.put_async(target, key, found.stream(min_chunk_size=1 << 20))

    async with asyncio.TaskGroup() as group:
        for _ in range(int(tasks)):
            group.create_task(work())


asyncio.run(main(Path(orders).read_text().splitlines()))
