"""A certified sandbox, and what lies in its bucket as evidence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.verify.site import Site
from wxrec_async.events import ignore
from wxrec_async.evidence import CertificateIssuer, open_issuer
from wxrec_async.evidence.certify import PART_SIZE
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger
from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.evidence import Basis, Claim, Ended
from wxrec_async.sandbox.s3.blobs import MemoryBlob
from wxrec_async.wiring.bucket import open_bucket

COUNTS = {"stored": 1, "no_recording": 2}
BASIS = Basis({"tasks": "present", "search": "absent"}, {}, {"riff_size": 1})


class TwoSilent:
    """The two tasks of `COUNTS` that have no recording."""

    async def ended(self, *, after: str = "", limit: int = 1000) -> list[Ended]:
        tasks = [Ended(name, "no_recording", "no_capture", "empty_entry") for name in ("silent-1", "silent-2")]
        return [task for task in tasks if task.task_id > after][:limit]


SILENT = TwoSilent()
NOON = 1_790_000_000.0
ROOT = "call-detail/_evidence/"


@asynccontextmanager
async def issuing(
    site: Site, *, part_size: int = PART_SIZE, clock: float = NOON
) -> AsyncIterator[tuple[CertificateIssuer, SqliteLedger]]:
    """Open the site's ledger and bucket, and an issuer on them."""
    async with open_bucket(site.settings, ignore) as bucket:
        identity = Identity(site.sandbox.org_id, site.settings.s3.bucket, site.settings.s3.key)
        async with open_ledger(site.ledger, identity, mask=str, emit=ignore) as ledger:
            yield await open_issuer(bucket, ledger, part_size=part_size, clock=lambda: clock), ledger


async def certify_all(site: Site, counts: Mapping[str, int] = COUNTS, clock: float = NOON) -> list[str | None]:
    """Certify every day that has recordings."""
    async with issuing(site, clock=clock) as (issuer, _):
        return [await issuer.certify(Claim(day, counts, {}, "run-1", BASIS), SILENT) for day in days_of(site)]


def days_of(site: Site) -> list[Window]:
    """Every UTC day with recordings in the bucket, in order."""
    from datetime import datetime  # noqa: PLC0415

    created = {body.metadata["wx-created"] for body in site.objects.values() if "wx-recording-id" in body.metadata}
    starts = {int(datetime.fromisoformat(text).timestamp() * 1000) // DAY_MS * DAY_MS for text in created}
    return [Window(start, start + DAY_MS) for start in sorted(starts)]


def evidence_in(site: Site, kind: str) -> list[str]:
    """Keys of certificates, manifests or tasks."""
    folder = "manifests" if kind == "tasks" else kind
    found = sorted(key for key in site.objects if key.startswith(ROOT) and f"/{folder}/" in key)
    return [key for key in found if key.endswith(".tasks.jsonl") == (kind == "tasks")]


def recordings_in(site: Site) -> list[str]:
    return sorted(key for key, body in site.objects.items() if "wx-recording-id" in body.metadata)


def said(site: Site, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.bytes_of(key))
    return found


def lines(site: Site, key: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in site.bytes_of(key).splitlines()]


def replace_bytes(site: Site, key: str, data: bytes) -> None:
    """Have other bytes lie there, as whoever can write to the bucket's disks could."""
    body = site.objects[key]
    body.blob, body.size = MemoryBlob([data], len(data)), len(data)
    body.checksums.clear()
