"""The sandbox itself: five small servers on loopback and everything one can ask them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from wxrec_async.sandbox import config_files
from wxrec_async.sandbox.audio import MULAW, PCM16, word_pool
from wxrec_async.sandbox.auth import AuthService
from wxrec_async.sandbox.budget import RequestBudget
from wxrec_async.sandbox.control import Control, object_row
from wxrec_async.sandbox.faults import Faults
from wxrec_async.sandbox.front import Front, Service
from wxrec_async.sandbox.log import RequestLog
from wxrec_async.sandbox.media_server import MediaService
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.sandbox.presign import Presigner
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.service import S3Service
from wxrec_async.sandbox.s3.signature import Verifier
from wxrec_async.sandbox.s3.state import BucketState, Upload, open_bucket
from wxrec_async.sandbox.token_service import TokenService
from wxrec_async.sandbox.truth import TruthRecording
from wxrec_async.sandbox.webex_api import WebexService

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
READ_BUFFER = 1 << 20
LINE_LIMIT = 64 << 10


class Sandbox:
    """A simulated organisation and its bucket.

    Use it as an async context manager, or call `start` and `stop`.  Leaving
    raises `NeverHit` when the script names a fault that never happened.  The
    addresses are there once it has started.  ``faults``, ``desk`` (tokens),
    ``organisation``, ``budget`` and ``s3`` (policies of the bucket) may be
    changed while it runs.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = given = options or Options()
        own = given.organisation  # which may be empty: it is asked for None
        self.organisation = Organisation(given.tasks, given.seed, days=given.days) if own is None else own
        self.seed = self.organisation.seed
        # From the seed: started again on its folder, the sandbox has the keys that the settings there speak of.
        mark = hashlib.blake2b(f"keys {self.seed}".encode(), digest_size=8).hexdigest()
        self.client_id, self.client_secret = f"sandbox-client-{mark}", f"CANARY-CS-{mark}"
        self.access_key, self.secret_key = f"SANDBOX{mark.upper()}", f"CANARY-SK-{mark}"
        self.log = RequestLog()
        self.faults = Faults(self.seed, given.faults, list(given.script), given.campaign)
        self.budget = RequestBudget(given.requests_per_minute, given.budget_clock)
        self.desk = TokenService(
            self.org_id,
            self.client_id,
            self.client_secret,
            given.clock,
            given.rotation,
            given.token_expires_in,
            given.refresh_expires_in,
            names_org=given.tokens_name_org,
        )
        self.tokens = self.desk.issue()
        self._untrusted: dict[str, str] = {}
        self._presigner = Presigner(mark.encode(), given.clock)
        self._ports: dict[str, int] = {}
        self._runners: list[web.ServerRunner] = []
        self.s3: Context

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        # Only after success: faults that did not happen follow from a failure, and must not hide it.
        if error is None:
            self.faults.check_all_hit()

    async def start(self) -> None:
        """Open the ports; raises OSError when a fixed one is taken."""
        given = self.options
        # What takes long about audio; later it would hold up every answer in the middle of a test.
        await asyncio.to_thread(lambda: [word_pool(self.seed, form) for form in (MULAW, PCM16)])
        bucket = await asyncio.to_thread(open_bucket, given.bucket, given.folder, discard=given.discard)
        self.s3 = Context(
            bucket,
            given.clock,
            given.region,
            given.bucket_owner,
            given.denied,
            given.s3_rate,
            given.md5_etags,
            given.second_complete,
            given.lifecycle_days,
        )
        try:
            handlers = self._handlers()
            for number, (name, handler) in enumerate(handlers.items()):
                await self._listen(name, handler, given.port + number if given.port else 0)
            for which, tls in given.untrusted.items():
                await self._listen(which, handlers["media"], 0, tls)
                self._untrusted[which] = f"https://{given.name}:{self._ports[which]}"
        except BaseException:
            await self.stop()
            raise
        self._presigner.origin = self._origin("media")

    def _handlers(self) -> dict[str, Handler]:
        given = self.options
        verifier = Verifier(self.access_key, self.secret_key, given.region, given.s3_clock or given.clock)
        services: list[Service] = [
            WebexService(
                self.organisation,
                self.desk,
                self.budget,
                self._presigner,
                given.clock,
                given.searches,
                given.max_search_rows,
                self._untrusted,
                given.bounds,
                given.search_errors_as_400,
            ),
            AuthService(self.desk),
            MediaService(self.organisation, self._presigner, given.media_rate),
            S3Service(self.s3, verifier),
        ]
        handlers: dict[str, Handler] = {
            service.name: Front(service, self.log, self.faults, given.latency) for service in services
        }
        handlers["control"] = Control(
            self.organisation, self.log, self.faults, self.s3.bucket, self.desk, self.addresses
        )
        return handlers

    async def _listen(self, name: str, handler: Handler, port: int, tls: ssl.SSLContext | None = None) -> None:
        # No log of aiohttp's, which would have queries and so signatures in it.  Bodies are not inflated: hashes and
        # signatures are over what was sent.  And pre-signed URLs can be longer than the 8 KiB aiohttp allows a line.
        server = web.Server(
            handler,
            access_log=None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
            lingering_time=1.0,
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self.options.host, port, ssl_context=tls or self.options.ssl_context, backlog=1024)
        await site.start()
        self._ports[name] = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything; may be called twice."""
        runners, self._runners = self._runners, []
        for runner in runners:
            with contextlib.suppress(ConnectionError):
                await runner.cleanup()

    # Addresses

    def _origin(self, name: str) -> str:
        scheme = "https" if self.options.ssl_context else "http"
        return f"{scheme}://{self.options.name}:{self._ports[name]}"

    @property
    def org_id(self) -> str:
        return self.organisation.id

    @property
    def api_url(self) -> str:
        return f"{self._origin('api')}/v1"

    @property
    def api_root(self) -> str:
        """Where Search and the organisation stand: Cisco has no ``/v1`` before them."""
        return self._origin("api")

    @property
    def auth_url(self) -> str:
        return f"{self._origin('auth')}/v1"

    @property
    def media_url(self) -> str:
        return self._origin("media")

    @property
    def s3_url(self) -> str:
        return self._origin("s3")

    @property
    def control_url(self) -> str:
        return f"{self._origin('control')}/_sandbox"

    @property
    def bucket(self) -> str:
        return self.options.bucket

    @property
    def region(self) -> str:
        return self.options.region

    def addresses(self) -> dict[str, Any]:
        """Return where everything is, without a secret."""
        return {
            "api_url": self.api_url,
            "auth_url": self.auth_url,
            "media_url": self.media_url,
            "s3_url": self.s3_url,
            "control_url": self.control_url,
            "org_id": self.org_id,
            "bucket": self.bucket,
            "region": self.region,
            "folder": str(self.options.folder) if self.options.folder else None,
        }

    def environment(self) -> dict[str, str]:
        """Return the variables under which an AWS SDK finds the bucket's keys."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def write_config(self, folder: Path | str, *, ledger: Path | str | None = None, **sections: Any) -> Path:
        """Write config.toml, secrets.json and tokens.json (0600) and return the path of the first.

        ``ledger`` defaults to ``wxrec.db`` beside it.  Further sections are
        merged in: ``write_config(folder, backfill={"concurrency": 4})``.  An
        access token that has expired in the meantime is replaced.
        """
        bearer = f"Bearer {self.tokens['access_token']}"
        if self.desk.check(bearer) is None:
            self.tokens = self.desk.issue()
        return config_files.write(
            Path(folder),
            ledger,
            credentials={"client_id": self.client_id, "client_secret": self.client_secret, "org_id": self.org_id},
            tokens=self.tokens,
            sections=self._sections(),
            more=sections,
        )

    def _sections(self) -> dict[str, dict[str, Any]]:
        """Return what config.toml says of this organisation and its bucket."""
        return {
            "webex": {
                "base_url": self.api_url,
                "auth_url": self.auth_url,
                "org_id": self.org_id,
                "requests_per_minute": config_files.client_rate(self.options.requests_per_minute),
                **self._more_wanted(),
            },
            "s3": {"bucket": self.bucket, "region": self.region, "endpoint_url": self.s3_url},
            "backfill": {"days_back": self.organisation.days},
        }

    def _more_wanted(self) -> dict[str, Any]:
        settings = {"transcript": "include_transcripts", "screen": "include_screen"}
        wanted: dict[str, Any] = {settings[kind]: True for kind in sorted(self.options.kinds)}
        telephony = Options().channels
        return wanted | ({"channel_types": list(self.options.channels)} if self.options.channels != telephony else {})

    # What happened

    def truth(self) -> list[TruthRecording]:
        """Return what must lie in the bucket in the end."""
        return self.organisation.truth(self.options.channels, kinds=self.options.kinds)

    def uploads(self) -> list[Upload]:
        """Return the multipart uploads that are open."""
        return list(self.s3.bucket.uploads.values())

    @property
    def store(self) -> BucketState:
        return self.s3.bucket

    async def objects(self, *, deep: bool = False) -> dict[str, dict[str, Any]]:
        """Return what lies in the bucket, by key; ``deep`` adds sha256 over the stored bytes."""
        return {body.key: await object_row(body, deep=deep) for body in list(self.store.objects.values())}

    async def differences(self) -> list[str]:
        """Compare bucket and truth, bytes included; an empty list means that they are equal."""
        found, wanted = await self.objects(deep=True), {item.key: item for item in self.truth()}
        lines = [f"missing {key}" for key in sorted(set(wanted) - set(found))]
        lines += [f"unexpected {key}" for key in sorted(set(found) - set(wanted))]
        for key in sorted(set(wanted) & set(found)):
            if found[key]["sha256"] != wanted[key].sha256:
                lines.append(f"other bytes {key}")
            if found[key]["content_type"] != wanted[key].content_type:
                lines.append(f"other type {key}")
        return lines + [f"overwritten {key}" for key in self.store.replaced]
