"""What `CertificateIssuer` writes, and what it refuses to stand on."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import pwd
import zlib

import anyio
import pytest

from tests.canaries import found_in
from tests.evidence.kit import (
    BASIS,
    COUNTS,
    NOON,
    SILENT,
    certify_all,
    days_of,
    evidence_in,
    issuing,
    lines,
    recordings_in,
    replace_bytes,
    said,
)
from tests.verify.site import Site
from wxrec_async import __version__
from wxrec_async.evidence import ChainBroken, audit
from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.evidence import Claim

pytestmark = pytest.mark.anyio


async def test_manifests_name_every_recording_with_the_hash_of_its_bytes(site: Site) -> None:
    """Size, CRC-32 and SHA-256 of each line are those of the bytes in the bucket; all else an auditor asks is there."""
    await certify_all(site)
    named = {line["key"]: line for key in evidence_in(site, "manifests") for line in lines(site, key)}
    assert sorted(named) == recordings_in(site)
    for key, line in named.items():
        data = site.bytes_of(key)
        assert line["bytes"] == len(data)
        assert line["sha256"] == hashlib.sha256(data).hexdigest()
        assert line["checksum"] == base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        assert line["checksum_algorithm"] == "CRC32"
        told = ("task_id", "recording_id", "run_id", "tool_version", "tracking_id", "created", "stored")
        assert all(line[name] for name in told)


async def test_the_chain_names_manifests_and_certificates_by_their_sha256(site: Site) -> None:
    """Each certificate carries the hash of its manifest's bytes and of the certificate before it."""
    issued = await certify_all(site)
    certificates = evidence_in(site, "certificates")
    assert issued == certificates
    before = None
    for n, key in enumerate(certificates, 1):
        certificate = said(site, key)
        manifest = site.bytes_of(certificate["manifest"]["key"])
        assert certificate["manifest"]["sha256"] == hashlib.sha256(manifest).hexdigest()
        assert (certificate["n"], certificate["number"], certificate["counts"]) == (n, 1, COUNTS)
        assert certificate["previous"] == before
        before = {"key": key, "sha256": hashlib.sha256(site.bytes_of(key)).hexdigest()}
    types = {site.objects[key].headers["content-type"] for key in certificates}
    assert types == {"application/json"}


async def test_the_same_day_is_not_certified_twice(site: Site) -> None:
    """With nothing changed a second time says None and writes nothing, with this ledger and with a new one."""
    await certify_all(site)
    before = dict(site.objects)
    assert set(await certify_all(site, clock=NOON + 5)) == {None}
    assert site.objects == before


async def test_a_day_that_changes_gets_a_further_certificate(site: Site) -> None:
    """It names the one it follows; the earlier files stay as they are."""
    first = (await certify_all(site))[0]
    assert first is not None
    before = {key: site.bytes_of(key) for key in site.objects}
    async with issuing(site) as (issuer, _):
        key = await issuer.certify(
            Claim(days_of(site)[0], COUNTS | {"stored": 9}, {"queues": ["a"]}, "run-2", BASIS), SILENT
        )
    assert key is not None
    later = said(site, key)
    assert (later["number"], later["follows"]["key"], later["filters"]) == (2, first, {"queues": ["a"]})
    assert later["follows"]["sha256"] == hashlib.sha256(before[first]).hexdigest()
    assert {name: site.bytes_of(name) for name in before} == before
    assert site.sandbox.store.replaced == []


async def test_a_lost_ledger_finds_the_chain_again(site: Site) -> None:
    """A rebuilt ledger learns every certificate from the bucket and goes on at the next number."""
    from wxrec_async.maintenance.rebuild import rebuild  # noqa: PLC0415

    issued = await certify_all(site)
    site.lose_ledger()
    await rebuild(site.settings)
    async with issuing(site) as (issuer, ledger):
        key = await issuer.certify(Claim(days_of(site)[0], COUNTS, {}, "run-2", BASIS), SILENT)
        last = await ledger.last_certificate()
    assert key is not None
    assert last is not None
    assert (said(site, key)["n"], last.n) == (len(issued) + 1, len(issued) + 1)
    assert (await audit(site.settings)).exit_code == 0


async def test_two_who_certify_at_once_make_one_chain(site: Site) -> None:
    """Whoever comes second stands on the other's certificate: numbers without a gap, links without a branch."""
    days = [Window(n * DAY_MS, (n + 1) * DAY_MS) for n in range(6)]
    copies = []
    for name in ("a.db", "b.db"):
        copy = site.settings.ledger.path.with_name(name)
        copy.write_bytes(site.ledger.read_bytes())
        copies.append(copy)

    async def work(copy: object, counts: int) -> None:
        settings = site.settings.model_copy(update={"ledger": site.settings.ledger.model_copy(update={"path": copy})})
        twin = Site(site.sandbox, site.config)
        twin.settings = settings
        async with issuing(twin) as (issuer, _):
            for day in days:
                await issuer.certify(Claim(day, {"stored": counts}, {}, f"run-{counts}"))

    async with anyio.create_task_group() as group:
        for counts, copy in enumerate(copies):
            group.start_soon(work, copy, counts)
    report = await audit(site.settings)
    assert report.exit_code == 0, report.problems
    assert (report.certificates, report.days) == (12, 6)


@pytest.mark.parametrize("hurt", ["gone", "changed", "gap"])
async def test_nothing_is_certified_on_top_of_a_broken_chain(site: Site, hurt: str) -> None:
    """A certificate that was taken away or replaced ends the issuing with a word of what is wrong."""
    certificates = await certify_all(site)
    newest, first = certificates[-1], certificates[0]
    assert newest is not None
    assert first is not None
    if hurt == "gone":
        del site.objects[newest]
    elif hurt == "gap":
        del site.objects[first]
    else:
        replace_bytes(site, newest, site.bytes_of(newest).replace(b'"run-1"', b'"run-2"'))
    with pytest.raises(ChainBroken, match="verify --evidence"):
        await certify_all(site, {"stored": 7})


async def test_a_manifest_nobody_certified_is_named_as_abandoned(site: Site) -> None:
    """A run that was broken off between manifest and certificate leaves a file that the next certificate explains."""
    await certify_all(site)
    day = days_of(site)[0]
    left = evidence_in(site, "manifests")[0].replace("0001-", "0002-")
    site.copy(evidence_in(site, "manifests")[0], left)
    assert (await audit(site.settings)).counts == {"manifest_unclaimed": 1}
    async with issuing(site) as (issuer, _):
        key = await issuer.certify(Claim(day, COUNTS, {}, "run-2", BASIS), SILENT)
    assert key is not None
    assert said(site, key)["manifest"]["key"] == left  # the same content under the same number: it is that one's now
    assert (await audit(site.settings)).exit_code == 0


async def test_a_large_manifest_goes_up_in_parts(site: Site) -> None:
    """Beyond one part it is a multipart upload, and read again it is what the certificate says."""
    from wxrec_async.rules.evidence import Claim, Item  # noqa: PLC0415

    day = Window(0, DAY_MS)
    async with issuing(site, part_size=5 << 20) as (issuer, ledger):

        class Many:
            def __getattr__(self, name: str) -> object:
                return getattr(ledger, name)

            async def items(self, day: Window, *, after: Item | None = None, limit: int = 1000) -> list[Item]:
                begin = after.place_ms + 1 if after else 0
                return [
                    Item(n, f"task-{n}", f"rec-{n}", f"call-detail/task-{n}/recording.wav", n, n, "0" * 64)
                    for n in range(begin, min(begin + limit, 25_000))
                ]

        issuer._ledger = Many()  # type: ignore[assignment]  # a ledger in all but its type
        key = await issuer.certify(Claim(day, COUNTS, {}, "run-1", BASIS), SILENT)
    assert key is not None
    manifest = said(site, key)["manifest"]
    assert manifest["recordings"] == 25_000
    assert manifest["bytes"] > 9 << 20
    assert site.requests("s3.UploadPart") >= 2
    assert hashlib.sha256(site.bytes_of(manifest["key"])).hexdigest() == manifest["sha256"]
    assert site.sandbox.uploads() == []


async def test_a_day_without_recordings_can_be_certified(site: Site) -> None:
    """Its manifest is an empty file, and that is what is proven."""
    async with issuing(site) as (issuer, _):
        key = await issuer.certify(Claim(Window(0, DAY_MS), {}, {}, "run-1"))
    assert key is not None
    assert said(site, key)["manifest"]["bytes"] == 0
    assert (await audit(site.settings)).exit_code == 0


async def test_only_whole_days_are_certified(site: Site) -> None:
    """Half a day, or a day of another time zone, is a mistake of the caller's."""
    async with issuing(site) as (issuer, _):
        for window in (Window(0, DAY_MS // 2), Window(1, DAY_MS + 1), Window(0, 2 * DAY_MS)):
            with pytest.raises(ValueError, match="not one UTC day"):
                await issuer.certify(Claim(window, {}, {}, "run-1"))


@pytest.mark.fault("X07", "X08")
async def test_no_number_token_or_url_is_in_the_evidence(site: Site) -> None:
    """Manifests and certificates name ids, keys and hashes."""
    await certify_all(site)
    for key in [*evidence_in(site, "manifests"), *evidence_in(site, "certificates")]:
        text = site.bytes_of(key).decode()
        assert found_in(text) == []
        assert "X-Amz" not in text
        assert "://" not in text


@pytest.mark.fault("X28")
async def test_a_run_is_signed(site: Site) -> None:
    """The ledger, and `status --json`, know which program ran and as whom; the bucket is not told who."""
    told = await site.call("status", "--json")
    run = told.lines[-1]["last_run"]
    assert run["tool_version"] == __version__
    user = pwd.getpwuid(os.getuid()).pw_name
    assert run["who"] == f"{user}@{platform.node()}"
    await certify_all(site)
    for key in [*evidence_in(site, "manifests"), *evidence_in(site, "certificates")]:
        assert run["who"] not in site.bytes_of(key).decode()
