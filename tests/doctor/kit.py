"""A sandbox, settings that fit it, and what `doctor` says of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aioboto3
from botocore.config import Config

from wxrec_async.config import Settings, load_config
from wxrec_async.events import Event
from wxrec_async.sandbox import Sandbox
from wxrec_async.sandbox.options import Options
from wxrec_async.setup.doctor import Finding, examine, exit_code_of

CANARY = "CANARY"


@dataclass
class Clinic:
    """A sandbox and its configuration file; ``heard`` are the events of all examinations."""

    sandbox: Sandbox
    config: Path
    heard: list[Event] = field(default_factory=list)

    def settings(self, **overrides: object) -> Settings:
        """Return the settings; ``s3__bucket`` stands for ``s3.bucket_check``."""
        return load_config(self.config, overrides={key.replace("__", "."): value for key, value in overrides.items()})

    async def findings(self, settings: Settings | None = None, **options: Any) -> Findings:
        """Examine, and see that no secret got into a finding or an event."""
        found = await examine(settings or self.settings(), emit=self.heard.append, **options)
        assert CANARY not in repr(found) + repr(self.heard)
        return Findings(found)

    @contextlib.asynccontextmanager
    async def s3(self) -> AsyncIterator[Any]:
        """Open a plain client of the bucket."""
        session: Any = aioboto3.Session(self.sandbox.access_key, self.sandbox.secret_key, region_name="us-east-1")
        path = Config(s3={"addressing_style": "path"})
        async with session.client("s3", endpoint_url=self.sandbox.s3_url, config=path) as client:
            yield client

    async def put(self, key: str, body: bytes = b"a recording") -> None:
        """Let an object lie in the bucket."""
        async with self.s3() as client:
            await client.put_object(Bucket=self.sandbox.bucket, Key=key, Body=body)

    async def assert_nothing_left(self, *keys: str) -> None:
        """See that the bucket holds these objects and no upload, and that nothing was ever replaced or deleted."""
        assert self.sandbox.uploads() == []
        assert set(await self.sandbox.objects()) == set(keys)
        assert self.sandbox.store.replaced == []
        assert not self.sandbox.log.of("s3.Complete*")
        assert not [entry for entry in self.sandbox.log.of("s3.*") if "Delete" in entry.operation]


@dataclass
class Findings:
    """The findings of one examination."""

    all: list[Finding]

    def __getitem__(self, name: str) -> Finding:
        return next(finding for finding in self.all if finding.name == name)

    @property
    def exit_code(self) -> int:
        return exit_code_of(self.all)

    @property
    def failed(self) -> list[str]:
        return [finding.name for finding in self.all if finding.ok is False]

    @property
    def unknown(self) -> list[str]:
        return [finding.name for finding in self.all if finding.ok is None]


@contextlib.asynccontextmanager
async def clinic(folder: Path, **options: Any) -> AsyncIterator[Clinic]:
    """Start a sandbox of a few tasks; its keys are in the environment meanwhile."""
    async with Sandbox(Options(tasks=3, **options)) as sandbox:
        before = {name: os.environ.get(name) for name in sandbox.environment()}
        os.environ.update(sandbox.environment())
        try:
            yield Clinic(sandbox, sandbox.write_config(folder))
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
