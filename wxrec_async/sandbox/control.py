"""The control port: what a test or a curious user may ask the sandbox itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.faults import Faults, Rule
from wxrec_async.sandbox.log import RequestLog
from wxrec_async.sandbox.organisation import Organisation, SandboxTask
from wxrec_async.sandbox.s3.state import BucketState, StoredBody, Upload
from wxrec_async.sandbox.tampering import Tampering
from wxrec_async.sandbox.token_service import TokenService
from wxrec_async.sandbox.truth import TruthRecording

PROFILES = ("none", "mild", "storm")


@dataclass(slots=True)
class Control:
    """GET /_sandbox/{log,tasks,truth,objects,uploads,faults,addresses,organisation}.

    POST /_sandbox/faults sets profile and rules, POST /_sandbox/expiry lets every
    access token be expired, POST /_sandbox/objects and /_sandbox/organisation do what
    `Tampering` says.  Lists come as JSON lines.
    ``log?since=N`` leaves out what was seen, ``objects?sha256=1`` reads every
    object, ``truth?segments=1&virtual=1`` adds what is there for those who ask
    for it, and so does ``kinds=transcript,screen&channels=telephony,chat``; ``tasks``
    are all there are, with the ids of their recordings.
    """

    organisation: Organisation
    log: RequestLog
    faults: Faults
    bucket: BucketState
    desk: TokenService
    addresses: Callable[[], dict[str, Any]]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.removeprefix("/_sandbox/")
        told = await (self._told(name, request) if request.method == "GET" else self._done(name, request))
        return told if told is not None else web.Response(status=404, text="not found")

    async def _told(self, name: str, request: web.BaseRequest) -> web.StreamResponse | None:
        match name:
            case "log":
                since = request.query.get("since", "0")
                return _lines(self.log.lines(int(since) if since.isdigit() else 0))
            case "truth":
                # In a thread: for its checksums every recording is made once.
                return _rows(await asyncio.to_thread(self._truth, request))
            case "tasks":
                return _rows(task_row(task, self.organisation) for task in list(self.organisation.tasks))
            case "objects":
                deep = "sha256" in request.query
                # A copy: objects come while those before are being read.
                return _rows([await object_row(body, deep=deep) for body in list(self.bucket.objects.values())])
            case "uploads":
                return _rows(upload_row(upload) for upload in self.bucket.uploads.values())
            case "addresses":
                return web.json_response(self.addresses())
            case "faults":
                return web.json_response(self._faults())
            case "organisation":
                return web.json_response(self.organisation.planted())
        return None

    async def _done(self, name: str, request: web.BaseRequest) -> web.StreamResponse | None:
        if name == "faults":
            return self._set_faults(await request.read())
        if name == "expiry":
            self.desk.expire_access()
            return web.json_response({"refreshes": self.desk.refreshes})
        if name in ("objects", "organisation"):
            return await self._tamper(name, await request.read())
        return None

    def _truth(self, request: web.BaseRequest) -> list[dict[str, Any]]:
        segments, virtual = "segments" in request.query, "virtual" in request.query
        channels = request.query.get("channels", "telephony").split(",")
        kinds = request.query.get("kinds", "").split(",")
        truth = self.organisation.truth(channels, segments=segments, virtual=virtual, kinds=kinds)
        return [truth_row(item) for item in truth]

    async def _tamper(self, name: str, body: bytes) -> web.Response:
        tampering = Tampering(self.organisation, self.bucket)
        try:
            wanted = json.loads(body)
            done = await tampering.objects(wanted) if name == "objects" else tampering.organise(wanted)
        except KeyError as missing:
            return web.Response(status=404, text=f"there is no {missing.args[0]}")
        except (ValueError, TypeError, AttributeError):
            return web.Response(status=400, text="expected lists of keys or ids, see Tampering")
        return web.json_response(done)

    def _faults(self) -> dict[str, Any]:
        hits = {f"{operation} {kind}": count for (operation, kind), count in sorted(self.faults.hits.items())}
        rules = [{n: v for n, v in asdict(rule).items() if n not in ("before", "after")} for rule in self.faults.rules]
        campaign = self.faults.campaign
        return {
            "seed": self.faults.seed,
            "profile": self.faults.profile,
            "hits": hits,
            "rules": rules,
            "campaign": {" ".join(each): count for each, count in sorted(campaign.hits.items())} if campaign else {},
            "never_hit": campaign.unhit() if campaign else [],
            "replaced": self.bucket.replaced,
            "requests": self.log.total,
        }

    def _set_faults(self, body: bytes) -> web.Response:
        try:
            wanted = json.loads(body)
            rules = [_rule(row) for row in wanted.get("rules", [])]
            profile = wanted.get("profile", "none")
        except (ValueError, TypeError, AttributeError):
            return web.Response(status=400, text="expected {profile, rules: [{operation, kind, …}]}")
        if profile not in PROFILES:
            return web.Response(status=400, text=f"profile is one of {', '.join(PROFILES)}")
        # Only after all of it was read: a wrong request changes nothing.
        self.faults.clear()
        self.faults.profile = profile
        self.faults.extend(rules)
        return web.json_response(self._faults())


def _rule(row: dict[str, Any]) -> Rule:
    """Read a rule; what is no field of a rule is a parameter of its fault.  Functions cannot come this way."""
    fields = set(Rule.__dataclass_fields__) - {"before", "after", "hits", "parameters"}
    known = {name: value for name, value in row.items() if name in fields}
    if known.get("attempts") is not None:
        known["attempts"] = tuple(known["attempts"])
    rest = {name: value for name, value in row.items() if name not in Rule.__dataclass_fields__}
    return Rule(**known, parameters=dict(row.get("parameters", {})) | rest)


def _lines(lines: Iterable[str]) -> web.Response:
    return web.Response(text="".join(lines), content_type="application/x-ndjson")


def _rows(rows: Iterable[dict[str, Any]]) -> web.Response:
    return _lines(json.dumps(row) + "\n" for row in rows)


def truth_row(item: TruthRecording) -> dict[str, Any]:
    """Write one recording of the truth."""
    names = ("task_id", "recording_id", "file_name", "key", "content_type", "size", "crc32", "sha256")
    return {name: getattr(item, name) for name in names}


def task_row(task: SandboxTask, organisation: Organisation) -> dict[str, Any]:
    """Write one contact and the ids of its recordings."""
    return {
        "id": task.id,
        "channel": task.channel,
        "capture_requested": task.capture_requested,
        "created_ms": task.created_ms,
        "recordings": [recording.id for recording in organisation.recordings(task)],
    }


async def object_row(body: StoredBody, *, deep: bool = False) -> dict[str, Any]:
    """Write one object; ``crc32`` and, when ``deep``, ``sha256`` are computed over the bytes that are kept."""
    crc, sha = 0, hashlib.sha256()
    async for block in body.blob.read(0, body.size):
        crc = checksums.crc32(block, crc)
        if deep:
            sha.update(block)
    return {
        "key": body.key,
        "size": body.size,
        "crc32": crc,
        "sha256": sha.hexdigest() if deep else None,
        "content_type": body.headers.get("content-type"),
        "metadata": body.metadata,
        "tags": body.tags,
        "headers": body.headers,
        "checksums": body.checksums,
        "checksum_type": body.checksum_type,
        "parts": body.parts,
        "etag": body.etag,
    }


def upload_row(upload: Upload) -> dict[str, Any]:
    """Write one open multipart upload."""
    sizes = {str(number): part.size for number, part in sorted(upload.parts.items())}
    return {"key": upload.key, "upload_id": upload.id, "algorithm": upload.algorithm, "parts": sizes}
