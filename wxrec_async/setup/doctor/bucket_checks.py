"""The bucket: is it there, is it ours, and may we do with it what a backfill does?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, ConnectError, HTTPStatusError, TLSError, WxrecError
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.rules import diagnosis_s3
from wxrec_async.rules.diagnosis import EXIT_USAGE, Finding, bad, failed, good, unknown
from wxrec_async.s3.api import Deadlines, S3Api
from wxrec_async.s3.client import open_client
from wxrec_async.s3.errors import S3StatusError
from wxrec_async.s3.requests import Requests
from wxrec_async.setup.doctor.notes import Notes, failure_of
from wxrec_async.setup.doctor.probe import Probe, probe_prefix

BUCKET_NAMES = (
    "bucket",
    "bucket_region",
    "bucket_owner",
    "write",
    "checksum",
    "conditional_write",
    "abort",
    "list_uploads",
    "lifecycle",
)
# Questions are put one after the other.
CONNECTIONS = 2
REQUEST_S = 15.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What HEAD said, and the list of uploads, whose refusal has a body and says why; ``region`` is the bucket's."""

    head: WxrecError | None
    listed: WxrecError | None
    region: str = ""

    @property
    def too_skewed(self) -> bool:
        return any(isinstance(each, HTTPStatusError) and each.code == "RequestTimeTooSkewed" for each in self._both)

    @property
    def refusal(self) -> WxrecError | None:
        """The failure that tells most, None when HEAD was answered."""
        # HEAD has no body, so its 400 and 403 are without a code.  That of the list tells more, unless it is
        # AccessDenied, which speaks of the permission to list and not of the bucket.
        bare = isinstance(self.head, HTTPStatusError) and self.head.status in (400, 403)
        tells = isinstance(self.listed, HTTPStatusError) and self.listed.code != "AccessDenied"
        return self.listed if bare and tells else self.head

    @property
    def _both(self) -> tuple[WxrecError | None, WxrecError | None]:
        return self.head, self.listed


class BucketChecks:
    """The bucket of the settings, asked with its expected owner, and with none when that is in doubt."""

    def __init__(self, settings: Settings, wire: S3Api, notes: Notes) -> None:
        self._settings, self._wire, self._notes = settings.s3, wire, notes
        # The same questions without ExpectedBucketOwner, to tell whether it is the owner that S3 objects to.
        self._anyones = Requests(settings.s3.model_copy(update={"expected_bucket_owner": ""}))
        self._prefix = probe_prefix(settings.s3.key)
        self.host = wire.host
        self._region: str = wire.client.meta.region_name

    async def look(self) -> Looked:
        """Ask whether it is there; a refused HEAD has no body, so the reason is asked for otherwise."""
        reply: dict[str, Any] = {}

        async def head() -> None:
            reply.update(await self._send("head_bucket", self._wire.requests.bucket()))

        refusal = await failure_of(head)
        # Without credentials or connection the second question meets the same, after as many tries.
        out_of_reach = isinstance(refusal, AuthError | ConnectError | TLSError)
        listed = refusal if out_of_reach else await failure_of(self._list_uploads)
        return Looked(refusal, listed, _region_of(reply))

    async def examine(self, looked: Looked) -> None:
        """Judge what was seen, and go on to the permissions when the bucket can be talked to."""
        notes = self._notes
        elsewhere = self._elsewhere(looked)
        bucket = self._bucket(looked, elsewhere)
        notes.add(bucket)
        # Not known (None) goes on: a policy that allows writing only refuses HEAD and list, and lets a run work.
        if elsewhere is not None or bucket.ok is False or looked.too_skewed:
            notes.skip(BUCKET_NAMES[1:2], "not known") if elsewhere is None else notes.add(elsewhere)
            notes.skip(BUCKET_NAMES[2:], "not known before the bucket can be talked to")
            return
        notes.add(good("bucket_region", f"{self.host} answers for {self._region}"))
        owner = await self._owner(looked)
        notes.add(owner)
        if owner.ok is False:
            notes.skip(BUCKET_NAMES[3:], "not known before the owner is right")
            return
        await self._permissions(looked)

    async def _permissions(self, looked: Looked) -> None:
        probe = Probe(self._wire, self._settings, self._prefix)
        # The probe before the condition, which may only be tried where a wrong checksum was just seen to be refused.
        findings = await probe.findings()
        for finding in (findings.write, findings.checksum, await self._condition(findings.checksum), findings.abort):
            self._notes.add(finding)
        self._notes.add(_list_finding(looked.listed))
        self._notes.add(await self._lifecycle())

    def _elsewhere(self, looked: Looked) -> Finding | None:
        # AWS names the right region in a header of its refusals, of HEAD's too; a HEAD that is answered may as well.
        for refusal in (looked.head, looked.listed):
            if isinstance(refusal, S3StatusError):
                found = diagnosis_s3.bucket_elsewhere(refusal, self._region, refusal.bucket_region)
                if found is not None:
                    return found
        if looked.region and looked.region != self._region:
            todo = f'set [s3] region = "{looked.region}"'
            return bad("bucket_region", f"the bucket is in {looked.region}, not in {self._region}", todo, EXIT_USAGE)
        return None

    def _bucket(self, looked: Looked, elsewhere: Finding | None) -> Finding:
        if elsewhere is not None:
            return unknown("bucket", "not known before the region is right")
        refusal = looked.refusal
        # Either answer shows it: s3:ListBucket and s3:ListBucketMultipartUploads are granted apart.
        if refusal is None or looked.listed is None:
            return good("bucket", f"{self._settings.bucket} is there")
        return diagnosis_s3.bucket_refused(refusal, self._settings.bucket)

    async def _owner(self, looked: Looked) -> Finding:
        """Tell an owner that is not the expected one from a permission that is missing: both are a plain 403."""
        name, expected = "bucket_owner", self._settings.expected_bucket_owner
        if not expected:
            return good(name, "not compared, because [s3] expected_bucket_owner is not set")
        # Both questions carried ExpectedBucketOwner: one that is answered has compared it.
        if looked.head is None or looked.listed is None:
            return good(name, f"it belongs to {expected}")
        head = await failure_of(lambda: self._send("head_bucket", self._anyones.bucket()))
        listed = await failure_of(lambda: self._send("list_multipart_uploads", self._anyones.bucket(MaxUploads=1)))
        # Refused without the expected owner as well: then it is a permission, and the owner cannot be learned.
        if head is not None and listed is not None:
            return unknown(name, "not known: the bucket may neither be looked at nor listed")
        words = f"the bucket does not belong to {expected}"
        return bad(name, words, "correct [s3] bucket or expected_bucket_owner", EXIT_USAGE)

    async def _condition(self, checksum: Finding) -> Finding:
        """Put where an object lies already; a wrong checksum, which was just seen to be refused, guards the object."""
        name = "conditional_write"
        if not checksum.ok:
            return unknown(name, "not tried: only a checksum that is enforced keeps the object safe it is tried on")
        found: dict[str, Any] = {}

        async def list_one() -> None:
            params = self._wire.requests.bucket(Prefix=self._prefix, MaxKeys=1)
            found.update(await self._send("list_objects_v2", params))

        refusal = await failure_of(list_one)
        if refusal is not None:
            return unknown(name, f"not known: no object can be looked for ({refusal})")
        # An object of the probe's own would have to be put first, and doctor leaves nothing behind.
        if not found.get("Contents"):
            return unknown(name, f"not known: nothing lies below {self._prefix} yet, and nothing is left there to try")
        params = Probe.refused_put(self._wire.requests, found["Contents"][0]["Key"])
        return diagnosis_s3.condition(await failure_of(lambda: self._send("put_object", params)))

    async def _lifecycle(self) -> Finding:
        found: dict[str, Any] = {}

        async def ask() -> None:
            found.update(await self._send("get_bucket_lifecycle_configuration", self._wire.requests.bucket()))

        refusal = await failure_of(ask)
        return diagnosis_s3.lifecycle(found.get("Rules"), refusal, self._prefix)

    async def _list_uploads(self) -> None:
        await self._send("list_multipart_uploads", self._wire.requests.bucket(Prefix=self._prefix, MaxUploads=1))

    async def _send(self, operation: str, params: dict[str, Any]) -> Any:
        call: Callable[..., Awaitable[Any]] = getattr(self._wire.client, operation)
        return await self._wire.send(lambda: call(**params))


def _region_of(reply: dict[str, Any]) -> str:
    return str(reply.get("BucketRegion") or "")


def _list_finding(refusal: WxrecError | None) -> Finding:
    name = "list_uploads"
    if refusal is None:
        return good(name, "allowed")
    if isinstance(refusal, HTTPStatusError) and refusal.status == 403:
        words = "denied: what a killed process leaves open cannot be found again"
        return good(name, words, "allow s3:ListBucketMultipartUploads on the bucket")
    return failed(name, refusal)


@asynccontextmanager
async def opened_bucket(settings: Settings, notes: Notes) -> AsyncIterator[BucketChecks]:
    """Open the S3 client and note what its server says of the time; raises `ConfigError`."""
    async with open_client(settings.s3, connections=CONNECTIONS, ca_bundle=settings.ca_bundle) as client:
        wire = S3Api(client, Requests(settings.s3), CircuitBreaker(), Deadlines(request_s=REQUEST_S))

        def note_date(http_response: Any = None, **_: object) -> None:
            notes.note_date(urlsplit(client.meta.endpoint_url).netloc, http_response.headers.get("Date"))

        events: Any = client.meta.events  # the stubs know no handler that takes what it wants
        # After every reply, refusals too: whose clock is wrong gets nothing else.
        events.register("after-call.s3", note_date, unique_id="wxrec-doctor-date")
        yield BucketChecks(settings, wire, notes)
