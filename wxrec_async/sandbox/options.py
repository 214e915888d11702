"""Everything that can be set about a sandbox."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wxrec_async.sandbox.campaign import Campaign
from wxrec_async.sandbox.faults import Profile, Rule
from wxrec_async.sandbox.organisation import Bounds, Organisation
from wxrec_async.sandbox.token_service import Rotation

HOST = "127.0.0.1"


@dataclass(slots=True, kw_only=True)
class Options:
    """The knobs of a `Sandbox`; every default is a friendly organisation.

    ``organisation`` overrides ``tasks`` and ``days``; ``folder`` keeps objects
    as files, without it they are in memory (or nowhere, with ``discard``).
    ``port`` is the first of five consecutive ports, 0 takes free ones.
    ``requests_per_minute`` 0 means no limit.  Rates are bytes per second and
    connection, ``latency`` seconds per request.  ``clock`` gives epoch seconds
    and can be moved to age tokens and URLs, and calls; ``s3_clock`` is what signatures are held
    against when days pass that the AWS SDK knows nothing of (None: ``clock``);
    ``budget_clock`` is the monotonic one of the request budget.  ``name`` is how URLs call this machine.
    ``denied`` are IAM actions that S3 refuses; ``replacing`` among them is any write without If-None-Match.
    Without ``searches`` the organisation has no Search; with it, it serves ``max_search_rows`` rows to one query, and
    says with 200 what is wrong with it, or with 400 (``search_errors_as_400``): the documentation does not say.
    ``tokens_name_org`` false: access tokens that do not end in their organisation, as JWTs do not.
    ``bounds`` are those of ``from`` and ``to``: "created after" and "created before", as the documentation words
    it, or ``inclusive``, which nobody has ruled out.
    ``kinds`` (``transcript``, ``screen``) and ``channels`` are what must lie in the bucket in the end besides the
    audio of calls; `Sandbox.write_config` asks for them.
    ``untrusted`` opens media ports with certificates that must not be
    trusted, for the fault ``certificate``: ``unknown``, ``expired`` and ``wrong_name``.
    """

    tasks: int = 100
    seed: int = 1
    days: float = 7
    organisation: Organisation | None = None
    folder: Path | None = None
    discard: bool = False
    host: str = HOST
    name: str = HOST
    port: int = 0
    ssl_context: ssl.SSLContext | None = None
    faults: Profile = "none"
    script: list[Rule] = field(default_factory=list)
    campaign: Campaign | None = None
    untrusted: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    requests_per_minute: int = 300
    rotation: Rotation = "old_stays_valid"
    # Webex's figures of today, 14 and 90 days; others have been seen, so a client must read the reply.
    token_expires_in: int = 1_209_599
    refresh_expires_in: int = 7_775_999
    tokens_name_org: bool = True
    bucket: str = "sandbox-recordings"
    region: str = "us-east-1"
    bucket_owner: str = "123456789012"
    denied: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    channels: tuple[str, ...] = ("telephony",)
    searches: bool = True
    max_search_rows: int = 100_000
    bounds: Bounds = "strict"
    search_errors_as_400: bool = False
    second_complete: str = "same"
    lifecycle_days: int = 7
    md5_etags: bool = False
    media_rate: float = 0.0
    s3_rate: float = 0.0
    latency: float = 0.0
    clock: Callable[[], float] = time.time
    s3_clock: Callable[[], float] | None = None
    budget_clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        # It hands tokens and recordings to whoever asks, so nobody else may reach it.
        if self.host != HOST:
            raise ValueError(f"the sandbox answers on {HOST} only")
        if self.name not in (HOST, "localhost"):
            raise ValueError(f"the sandbox is called {HOST} or localhost")
