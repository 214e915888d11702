"""What `verify --evidence` finds with nothing but the bucket."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.evidence.kit import (
    BASIS,
    COUNTS,
    ROOT,
    SILENT,
    certify_all,
    days_of,
    evidence_in,
    issuing,
    recordings_in,
    replace_bytes,
)
from tests.verify.site import Site
from wxrec_async.evidence import ProblemKind, audit
from wxrec_async.model import Window
from wxrec_async.rules.evidence import Claim

pytestmark = pytest.mark.anyio


@pytest.fixture
async def certified(site: Site) -> Site:
    """All days certified, one of them twice; the ledger is gone."""
    await certify_all(site)
    async with issuing(site) as (issuer, _):
        assert await issuer.certify(Claim(days_of(site)[0], COUNTS | {"owed": 1}, {}, "run-2", BASIS), SILENT)
    site.lose_ledger()
    return site


async def found(site: Site, *, full: bool = False) -> dict[ProblemKind, list[str]]:
    """The keys of all problems, by what is wrong."""
    report = await audit(site.settings, full=full)
    assert report.exit_code == (3 if report.problems else 0)
    named: dict[ProblemKind, list[str]] = {}
    for problem in report.problems:
        named.setdefault(problem.wrong, []).append(problem.key)
    return {wrong: sorted(set(keys)) for wrong, keys in named.items()}


@pytest.mark.parametrize("full", [False, True])
async def test_an_untouched_bucket_is_sound(certified: Site, full: bool) -> None:
    """Every certificate, manifest and recording is looked at; with full every recording's bytes are read."""
    report = await audit(certified.settings, full=full)
    assert (report.exit_code, report.problems, report.unnamed) == (0, [], 0)
    recordings = recordings_in(certified)
    assert report.recordings == len(recordings)
    assert report.certificates == len(days_of(certified)) + 1
    assert report.manifests == report.certificates
    assert report.bytes_read == (sum(certified.objects[key].size for key in recordings) if full else 0)
    assert [tip.n for tip in report.tips] == [report.certificates]
    assert not certified.ledger.exists()


async def test_one_changed_byte_in_any_manifest_is_found(certified: Site) -> None:
    """Whichever byte of whichever manifest, also of one whose day was certified again."""
    for number, key in enumerate(evidence_in(certified, "manifests")):
        good = certified.bytes_of(key)
        for at in {number * len(good) // 20, len(good) - 1} if number < 2 else {len(good) // number}:
            bad = bytearray(good)
            bad[at] ^= 1
            replace_bytes(certified, key, bytes(bad))
            assert key in (await found(certified))[ProblemKind.MANIFEST_CHANGED]
        replace_bytes(certified, key, good)
    assert await found(certified) == {}


async def test_one_changed_byte_in_any_certificate_is_found(certified: Site) -> None:
    """It does not parse, is not canonical, does not hold its own content, or the next one names another hash."""
    certificates = evidence_in(certified, "certificates")
    for number, key in enumerate(certificates[:-1]):
        good = certified.bytes_of(key)
        for at in (number * len(good) // len(certificates), len(good) - 1 - number):
            bad = bytearray(good)
            bad[at] ^= 1
            replace_bytes(certified, key, bytes(bad))
            named = await found(certified)
            assert named.keys() & {ProblemKind.CERTIFICATE_UNSOUND, ProblemKind.CHAIN_BROKEN}, (key, at)
        replace_bytes(certified, key, good)
    assert await found(certified) == {}


def _without_first_certificate(site: Site) -> str:
    key = evidence_in(site, "certificates")[0]
    del site.objects[key]
    return key


def _without_newest_certificate(site: Site) -> str:
    newest = evidence_in(site, "certificates")[-1]
    manifest: str = json.loads(site.bytes_of(newest))["manifest"]["key"]
    del site.objects[newest]
    return manifest


def _without_manifest(site: Site) -> str:
    key = evidence_in(site, "manifests")[0]
    del site.objects[key]
    return key


def _with_a_stranger(site: Site) -> str:
    key = f"{ROOT}notes.txt"
    site.copy(recordings_in(site)[0], key)
    return key


def _with_a_copied_certificate(site: Site) -> str:
    first, *_, last = evidence_in(site, "certificates")
    key = f"{last[:-13]}{int(last[-13:-5]) + 1:08d}.json"
    site.copy(first, key)
    return key


def _without_recording(site: Site) -> str:
    key = recordings_in(site)[0]
    del site.objects[key]
    return key


def _with_longer_recording(site: Site) -> str:
    key = recordings_in(site)[1]
    replace_bytes(site, key, site.bytes_of(key) + b"x")
    return key


def _with_other_bytes(site: Site) -> str:
    """Of the same size, and without a checksum of S3's; the ETag is another one, as S3 would have it."""
    key = recordings_in(site)[2]
    replace_bytes(site, key, bytes(site.objects[key].size))
    site.objects[key].etag = '"other"'
    return key


@pytest.mark.parametrize(
    ("hurt", "wrong"),
    [
        (_without_first_certificate, ProblemKind.CERTIFICATE_MISSING),
        (_without_newest_certificate, ProblemKind.MANIFEST_UNCLAIMED),
        (_without_manifest, ProblemKind.MANIFEST_MISSING),
        (_with_a_stranger, ProblemKind.FOREIGN_FILE),
        (_with_a_copied_certificate, ProblemKind.CHAIN_BROKEN),
        (_without_recording, ProblemKind.OBJECT_MISSING),
        (_with_longer_recording, ProblemKind.OBJECT_DIFFERENT),
        (_with_other_bytes, ProblemKind.OBJECT_DIFFERENT),
    ],
)
async def test_what_was_done_to_the_bucket_is_named(
    certified: Site, hurt: Callable[[Site], str], wrong: ProblemKind
) -> None:
    """By its key, and by what is wrong with it."""
    key = hurt(certified)
    assert key in (await found(certified))[wrong]


async def test_a_forked_chain_is_found(certified: Site) -> None:
    """A certificate that was issued on another branch does not fit, however well it is made."""
    certificates = evidence_in(certified, "certificates")
    newest = certified.bytes_of(certificates[-1])
    other = json.loads(newest)
    other["previous"]["sha256"] = "0" * 64
    from wxrec_async.rules.evidence import canonical  # noqa: PLC0415

    replace_bytes(certified, certificates[-1], canonical(other))
    assert await found(certified) == {ProblemKind.CHAIN_BROKEN: [certificates[-1]]}


async def test_a_rotten_byte_is_found_by_its_sha256(certified: Site) -> None:
    """S3 still names the old checksum: only reading shows it."""
    key = recordings_in(certified)[0]
    certified.flip_byte(key)
    assert await found(certified) == {}
    assert await found(certified, full=True) == {ProblemKind.OBJECT_DIFFERENT: [key]}


async def test_an_object_no_manifest_names_is_counted(certified: Site) -> None:
    """A recording of a certified day that was stored since is no fault, and it is said."""
    key = recordings_in(certified)[0]
    certified.copy(key, key.replace("recording", "recording-late"))
    certified.copy(key, "call-detail/stranger.bin")
    certified.relabel("call-detail/stranger.bin", wx_recording_id=None)
    report = await audit(certified.settings)
    assert (report.exit_code, report.unnamed) == (0, 1)


async def test_a_period_limits_the_objects_and_not_the_chain(certified: Site) -> None:
    """Recordings of other days are not looked at; all certificates are."""
    first = days_of(certified)[0]
    report = await audit(certified.settings, period=first)
    assert report.certificates == len(days_of(certified)) + 1
    assert report.recordings < len(recordings_in(certified)) or len(days_of(certified)) == 1
    nothing = await audit(certified.settings, period=Window(0, 1))
    assert (nothing.recordings, nothing.manifests) == (0, report.manifests)


async def test_no_evidence_is_no_proof(site: Site) -> None:
    """A bucket without any certificate does not pass for a sound one."""
    assert await found(site) == {ProblemKind.CERTIFICATE_MISSING: [ROOT]}


async def test_the_command_names_problems_and_exits_3(certified: Site) -> None:
    """Without ledger, credentials and tokens; --json has a record for each, --mark is refused."""
    for file in certified.config.parent.glob("*.json"):
        file.unlink()
    well = await certified.call("verify", "--evidence")
    assert (well.code, well.err) == (0, "")
    assert "newest certificate of" in well.out
    key = recordings_in(certified)[0]
    del certified.objects[key]
    told = await certified.call("verify", "--evidence", "--json")
    assert told.code == 3
    assert [(line["event"], line.get("key")) for line in told.lines[:-1]] == [("object_missing", key)]
    assert told.lines[-1]["problems"]["object_missing"] == 1
    for_people = await certified.call("verify", "--evidence", "--level", "full")
    assert f"object missing: {key}" in for_people.out
    refused = await certified.call("verify", "--evidence", "--mark")
    assert refused.code == 2
    assert "--mark" in refused.err
