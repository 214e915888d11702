"""Lost answers, crashes and stores that are not S3's own: the chain stays one, and nothing is replaced."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from isal.isal_zlib import crc32
from moto.server import ThreadedMotoServer

from tests.evidence.kit import BASIS, COUNTS, NOON, ROOT, SILENT, certify_all, days_of, evidence_in, issuing
from tests.ledgers import captured
from tests.s3 import swift_server
from tests.verify.site import Site, open_site
from wxrec_async.config import S3Settings, Settings
from wxrec_async.errors import ConnectionLost, RunStopped
from wxrec_async.events import ignore
from wxrec_async.evidence import audit, open_issuer
from wxrec_async.ledger import Identity, open_ledger
from wxrec_async.model import DAY_MS, ObjectTarget, Part, Recording, StoredObject, Task, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.evidence import Claim
from wxrec_async.rules.retry import GiveUp
from wxrec_async.s3.client import open_client
from wxrec_async.s3.requests import Requests
from wxrec_async.wiring.bucket import open_bucket

pytestmark = pytest.mark.anyio


class Lossy:
    """A bucket whose put of some keys takes effect, and whose answer never comes."""

    def __init__(self, bucket: Any, what: str, *, effect: bool) -> None:
        self._bucket, self._what, self._effect = bucket, what, effect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    async def put(self, target: ObjectTarget, part: Part) -> StoredObject:
        if self._what not in target.key:
            found: StoredObject = await self._bucket.put(target, part)
            return found
        if self._effect:
            await self._bucket.put(target, part)
        raise OperationFailed(GiveUp("retries_exhausted"), ConnectionLost("the connection broke"))


@pytest.mark.parametrize("effect", [True, False], ids=["written", "not written"])
@pytest.mark.parametrize("what", ["/manifests/", "/certificates/"])
async def test_a_broken_off_certification_is_taken_up_again(site: Site, what: str, effect: bool) -> None:
    """Wherever it broke, the next one ends with one certificate for the day, known to the ledger, in a sound chain."""
    day = days_of(site)[0]
    async with issuing(site) as (issuer, ledger):
        bucket = issuer._bucket
        lossy: Any = Lossy(bucket, what, effect=effect)
        issuer._bucket = issuer._manifests._bucket = lossy
        if (what, effect) == ("/manifests/", True):
            # What lies there is what was to lie there.
            assert await issuer.certify(Claim(day, COUNTS, {}, "run-1", BASIS), SILENT)
        else:
            with pytest.raises(RunStopped, match="the evidence cannot be written"):
                await issuer.certify(Claim(day, COUNTS, {}, "run-1", BASIS), SILENT)
            assert await ledger.last_certificate() is None
    async with issuing(site, clock=NOON + 60) as (issuer, ledger):
        await issuer.certify(Claim(day, COUNTS, {}, "run-1", BASIS), SILENT)
        last = await ledger.last_certificate()
    assert last is not None
    assert (last.n, last.number) == (1, 1)
    assert len(evidence_in(site, "certificates")) == len(evidence_in(site, "manifests")) == 1
    assert (await audit(site.settings)).exit_code == 0


@pytest.mark.fault("S22", "X23")
async def test_evidence_is_locked_and_tagged_as_recordings_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object Lock, encryption and tags of the settings hold for manifests, certificates and sidecars too."""
    s3 = {
        "sidecar": True,
        "object_lock_mode": "COMPLIANCE",
        "object_lock_days": 30,
        "sse": "AES256",
        "tags": {"team": "audit"},
    }
    async with open_site(tmp_path, monkeypatch, tasks=4, s3=s3) as site:
        assert (await site.run()).exit_code == 0
        await certify_all(site)
        ours = [key for key in site.objects if key.startswith(ROOT) or key.endswith(".json")]
        assert len(ours) > 3
        for key in ours:
            headers = site.objects[key].headers
            assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
            assert headers["x-amz-server-side-encryption"] == "AES256"
            assert site.objects[key].tags == {"team": "audit"}


@pytest.mark.parametrize(("asked", "kept"), [("GLACIER", None), ("DEEP_ARCHIVE", None), ("STANDARD_IA", "STANDARD_IA")])
def test_evidence_stays_readable(asked: str, kept: str | None) -> None:
    """Recordings may go to an archive that must be restored first; what proves them may not."""
    requests = Requests(S3Settings(bucket="b", storage_class=asked))
    part = Part(1, (b"x",), 1, 0)
    assert requests.put(ObjectTarget("k", "audio/wav"), part, overwrite=False)["StorageClass"] == asked
    proof = requests.put(ObjectTarget("k", "application/json", at_hand=True), part, overwrite=False)
    assert proof.get("StorageClass") == kept
    assert proof["IfNoneMatch"] == "*"


def swift_folder() -> Path:
    folder = os.environ.get("WXREC_SWIFT_BIN")
    if not folder:
        pytest.skip("WXREC_SWIFT_BIN does not name the bin folder of a virtualenv with swift (see .ci/swift.sh)")
    return Path(folder)


@contextmanager
def moto() -> Iterator[str]:
    """Start moto, which names no full-object checksum for some objects."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["moto", pytest.param("swift", marks=pytest.mark.swift)])
async def elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    """Settings for a bucket on a server that nobody here wrote; Swift names no checksum at all."""
    of_swift = request.param == "swift"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", swift_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", swift_server.SECRET_KEY)
    with swift_server.swift(swift_folder(), tmp_path) if of_swift else moto() as endpoint:
        s3 = S3Settings(bucket="wxrec-evidence", region="us-east-1", endpoint_url=endpoint)
        async with open_client(s3, connections=2) as client:
            await client.create_bucket(Bucket=s3.bucket)
        yield Settings(s3=s3)


async def test_another_store_will_do(elsewhere: Settings, tmp_path: Path) -> None:
    """Certify, certify again, lose a certificate, audit: on a server that is not ours."""
    identity = Identity("org-1", elsewhere.s3.bucket, elsewhere.s3.key)
    day, key = Window(0, DAY_MS), "call-detail/t1/recording.wav"
    async with (
        open_bucket(elsewhere, ignore) as bucket,
        open_ledger(tmp_path / "l.db", identity, mask=str, emit=ignore) as ledger,
    ):
        data = b"RIFF" * 100
        await bucket.put(ObjectTarget(key, "audio/wav"), Part(1, (data,), len(data), crc32(data)))
        digest = await bucket.digest(key, len(data))
        await ledger.begin_run("run-1", 1, None)
        await ledger.add_tasks([Task("t1", created_ms=5)], listed_in=day, now_ms=1)
        await captured(ledger, "t1", [Recording("t1", "t1")], 2)
        body = StoredObject(key, len(data), crc32=crc32(data), sha256=digest.sha256)
        await ledger.stored("t1", "t1", body, run_id="run-1", already=False, main_place=True, now_ms=3)
        issuer = await open_issuer(bucket, ledger)
        first = await issuer.certify(Claim(day, {"stored": 1}, {}, "run-1"))
        assert first is not None
        assert await issuer.certify(Claim(day, {"stored": 1}, {}, "run-1")) is None
        assert await issuer.certify(Claim(day, {"stored": 1, "owed": 1}, {}, "run-1"))
        assert await issuer.certify(Claim(Window(DAY_MS, 2 * DAY_MS), {}, {}, "run-1"))
        report = await audit(elsewhere, full=True)
        assert (report.problems, report.exit_code, report.certificates, report.recordings) == ([], 0, 3, 1)
        await bucket._client.delete_object(Bucket=elsewhere.s3.bucket, Key=first)
        # Manifest and tasks are left without the certificate that named them.
        assert (await audit(elsewhere)).counts == {"certificate_missing": 1, "manifest_unclaimed": 2}
