"""A simulated organisation in this process, its bucket to tamper with, and the program beside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from tests import warm
from wxrec_async import Backfill, Settings, load_config
from wxrec_async.flow.summary import Summary
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.s3.blobs import MemoryBlob
from wxrec_async.sandbox.s3.state import StoredBody

PATIENCE_S = 360.0


@dataclass
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Site:
    """One sandbox with its settings."""

    def __init__(self, sandbox: Sandbox, config: Path) -> None:
        self.sandbox, self.config = sandbox, config
        self.settings: Settings = load_config(config)

    @property
    def ledger(self) -> Path:
        return self.settings.ledger.path

    @property
    def objects(self) -> dict[str, StoredBody]:
        return self.sandbox.store.objects

    async def run(self, **options: Any) -> Summary:
        async with Backfill(self.settings) as backfill:
            return await backfill.run(**options)

    async def retry(self) -> Summary:
        async with Backfill(self.settings) as backfill:
            return await backfill.retry()

    def requests(self, operation: str) -> int:
        return sum(1 for entry in self.sandbox.log.entries if entry.operation == operation)

    def lose_ledger(self) -> None:
        for file in self.ledger.parent.glob(self.ledger.name + "*"):
            file.unlink()

    def bytes_of(self, key: str) -> bytes:
        blob = self.objects[key].blob
        assert isinstance(blob, MemoryBlob)
        return b"".join(blob.chunks)

    def flip_byte(self, key: str) -> None:
        """Let a byte rot: the description S3 keeps of the object stays what it was."""
        data = bytearray(self.bytes_of(key))
        data[len(data) // 2] ^= 1
        self.objects[key].blob = MemoryBlob([bytes(data)], len(data))

    async def overwrite(self, key: str, data: bytes, metadata: dict[str, str] | None = None) -> None:
        """Put an object as another program would, without asking whether the key is taken."""
        from wxrec_async.events import ignore  # noqa: PLC0415
        from wxrec_async.wiring.bucket import open_bucket  # noqa: PLC0415

        async with open_bucket(self.settings, ignore) as bucket:
            name = self.settings.s3.bucket
            described = metadata if metadata is not None else self.objects[key].metadata
            await bucket._client.put_object(
                Bucket=name, Key=key, Body=data, Metadata=described, ChecksumAlgorithm="CRC32"
            )

    def relabel(self, key: str, **metadata: str | None) -> None:
        """Change an object's metadata; None takes a name away."""
        headers = dict(self.objects[key].headers)
        for name, value in metadata.items():
            header = f"x-amz-meta-{name.replace('_', '-')}"
            headers.pop(header, None)
            if value is not None:
                headers[header] = value
        self.objects[key].headers = headers

    def copy(self, key: str, to: str) -> None:
        self.objects[to] = replace(self.objects[key], key=to)

    async def call(self, *arguments: str) -> Told:
        """Run the program as a user does."""
        command = [sys.executable, "-W", "error", "-m", "wxrec_async", *arguments, "--config", str(self.config)]
        environment = {**os.environ, **self.sandbox.environment()}
        done = await to_thread.run_sync(lambda: warm.run(command, env=environment, timeout=PATIENCE_S))
        return Told(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def open_site(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, tasks: int = 12, seed: int = 1, **sections: Any
) -> AsyncIterator[Site]:
    """Start a sandbox of small recordings; ``sections`` go into config.toml."""
    organisation = Organisation(tasks, seed, seconds=(0.2, 1.0), large=False)
    async with Sandbox(Options(organisation=organisation, requests_per_minute=0)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        webex = {"requests_per_minute": 250}  # Webex's own limit, so that nothing is warned of
        yield Site(sandbox, sandbox.write_config(folder, webex=webex, **sections))
