"""Sidecars: what they say, when they are written, and what a later state does with an earlier one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.canaries import found_in
from tests.evidence.kit import replace_bytes, said
from tests.verify.site import Site, open_site
from wxrec_async import Backfill
from wxrec_async.config import load_config
from wxrec_async.errors import ConfigError
from wxrec_async.events import Event, Warned
from wxrec_async.maintenance.rebuild import rebuild
from wxrec_async.maintenance.verify import verify
from wxrec_async.rules import keys
from wxrec_async.rules.evidence import Claim
from wxrec_async.sandbox.faults import Rule
from wxrec_async.setup.doctor.phone_key import examine_phone_key
from wxrec_async.wiring.account import Injected

pytestmark = pytest.mark.anyio
HIVE = "calls/year={year}/month={month}/day={day}/{task_id}/recording{ext}"
FLAT = "calls/year={year}/month={month}/{task_id}{ext}"


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    async with open_site(tmp_path, monkeypatch, tasks=8, s3={"sidecar": True}) as site:
        yield site


def sidecars(site: Site) -> list[str]:
    return sorted(key for key in site.objects if keys.is_sidecar(key, template=site.settings.s3.key))


def tasks_stored(site: Site) -> dict[str, set[str]]:
    """Keys of recordings by task."""
    found: dict[str, set[str]] = {}
    for key, body in site.objects.items():
        if "wx-recording-id" in body.metadata:
            found.setdefault(body.metadata["wx-task-id"], set()).add(key)
    return found


async def test_every_task_with_recordings_gets_one(site: Site) -> None:
    """It lies beside the recordings and names each with the hash of its bytes."""
    assert (await site.run()).exit_code == 0
    tasks = tasks_stored(site)
    assert sidecars(site) == sorted(f"call-detail/{task}/metadata.json" for task in tasks)
    for key in sidecars(site):
        told = said(site, key)
        assert {each["key"] for each in told["recordings"]} == tasks[told["task_id"]]
        for each in told["recordings"]:
            assert each["sha256"] == hashlib.sha256(site.bytes_of(each["key"])).hexdigest()
        assert site.objects[key].headers["content-type"] == "application/json"
        assert told["created"]


async def test_a_rerun_writes_nothing(site: Site) -> None:
    """Neither a second run nor one with a new ledger, which knows less, adds a state."""
    await site.run()
    before = dict(site.objects)
    await site.run()
    assert site.objects == before
    site.lose_ledger()
    report = await rebuild(site.settings)
    assert (report.exit_code, sum(report.left_out.values())) == (0, 0)
    assert report.recordings == sum(map(len, tasks_stored(site).values()))
    await site.run()
    assert site.objects == before
    assert (await verify(site.settings)).exit_code == 0


async def refetched(site: Site, key: str) -> None:
    """Have the recording of a sidecar disappear, and be stored again, so that the sidecar is due."""
    lost = said(site, key)["recordings"][0]["key"]
    del site.objects[lost]
    assert (await verify(site.settings, mark=True)).marked == 1
    assert (await site.retry()).exit_code == 0


async def test_a_later_state_takes_the_place_of_the_one_before(site: Site) -> None:
    """Under the ETag of what was read; nothing lies beside it, and what has nothing new to say writes nothing."""
    await site.run()
    key = sidecars(site)[0]
    first, before = site.bytes_of(key), sidecars(site)
    await refetched(site, key)
    assert site.bytes_of(key) == first  # the same bytes came back: nothing new to say
    assert site.sandbox.store.replaced == []
    _forget_channel(site, key)
    await refetched(site, key)
    assert site.bytes_of(key) == first
    assert sidecars(site) == before
    assert site.sandbox.store.replaced == [key]


async def test_a_lost_reply_is_our_own_write_and_not_a_conflict(site: Site) -> None:
    """The second try hears 412 because the first one went through: what lies there is looked at."""
    await site.run()
    key = sidecars(site)[0]
    first = site.bytes_of(key)
    _forget_channel(site, key)
    site.sandbox.faults.extend([Rule("s3.PutObject", "reset_after", key=f"*{key}", attempts=None, limit=1)])
    await refetched(site, key)
    assert site.bytes_of(key) == first
    assert site.sandbox.store.replaced == [key]
    assert sidecars(site).count(key.replace("metadata.json", "metadata-2.json")) == 0


async def test_what_only_the_bucket_knows_stays(site: Site) -> None:
    """A ledger that knows less, or another version of the program, forgets nothing of what was said."""
    await site.run()
    key = sidecars(site)[0]
    replace_bytes(site, key, site.bytes_of(key).replace(b'"telephony"', b'"telephone"').replace(b'{"', b'{"later":1,"'))
    await refetched(site, key)
    told = said(site, key)
    assert (told["later"], told["channel_type"]) == (1, "telephony")


async def test_a_bucket_that_lets_nothing_be_replaced_gets_a_number_for_each_state(site: Site) -> None:
    """It is said once, how many there are; the highest number is how it stands."""
    await site.run()
    site.sandbox.s3.denied |= {"replacing"}
    told: list[Event] = []
    for key in (first := sidecars(site))[:2]:
        _forget_channel(site, key)
        site.objects.pop(said(site, key)["recordings"][0]["key"])
    assert (await verify(site.settings, mark=True)).marked == 2
    async with Backfill(site.settings, on_event=told.append) as backfill:
        assert (await backfill.retry()).exit_code == 0
    warnings = [each for each in told if isinstance(each, Warned) and each.code == "sidecar_not_replaced"]
    assert len(warnings) == 1
    second = [key.replace("metadata.json", "metadata-2.json") for key in first[:2]]
    assert sidecars(site) == sorted([*first, *second])
    assert all(b'"telephone"' in site.bytes_of(key) for key in first[:2])
    assert all(b'"telephony"' in site.bytes_of(key) for key in second)
    assert site.sandbox.store.replaced == []
    # Allowed again, the newest of them is the one that is replaced.
    site.sandbox.s3.denied -= {"replacing"}
    _forget_channel(site, second[0])
    await refetched(site, second[0])
    assert site.sandbox.store.replaced == [second[0]]
    assert b'"telephony"' in site.bytes_of(second[0])
    assert sidecars(site) == sorted([*first, *second])


def _forget_channel(site: Site, key: str) -> None:
    """Have the sidecar in the bucket say something else than the ledger knows."""
    replace_bytes(site, key, site.bytes_of(key).replace(b'"telephony"', b'"telephone"'))


async def test_a_run_that_was_cut_off_is_made_up_for(site: Site) -> None:
    """Sidecars that could not be written do not hold recordings up, and come with the next run."""
    plain = site.settings
    site.settings = plain.model_copy(update={"s3": plain.s3.model_copy(update={"sidecar": False})})
    assert (await site.run()).exit_code == 0
    assert sidecars(site) == []
    site.settings = plain
    assert (await site.run()).exit_code == 0
    assert len(sidecars(site)) == len(tasks_stored(site))


@pytest.mark.fault("X07", "X08")
@pytest.mark.parametrize(
    "numbers", ["masked", "hashed", pytest.param("plain", marks=pytest.mark.shows_canaries("numbers were asked for"))]
)
async def test_phone_numbers_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: str) -> None:
    """Masked as in the ledger; with plain ones they are there, and still no URL and no token."""
    monkeypatch.setenv("WXREC_LEDGER__PHONE_NUMBERS", numbers)
    async with open_site(tmp_path, monkeypatch, tasks=6, s3={"sidecar": True}) as site:
        if numbers == "hashed":
            assert (await examine_phone_key(site.settings, Injected(), make=True)).ok
        await site.run()
        hashes = [said(site, key)["origin_hash"] for key in sidecars(site)]
        assert all((each is not None) == (numbers == "hashed") for each in hashes)
        texts = [site.bytes_of(key).decode() for key in sidecars(site)]
        assert texts
        hits = {kind for text in texts for kind in found_in(text)}
        assert hits == (set() if numbers != "plain" else {"a phone number"})
        assert not any("://" in text or "X-Amz" in text for text in texts)


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        (HIVE, "calls/year=2*/month=*/day=*/*/metadata.json"),
        (FLAT, "calls/year=2*/month=*/*.metadata.json"),
    ],
)
async def test_hive_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, pattern: str) -> None:
    """Run, evidence, verify, rebuild and rerun under a key that query engines partition by."""
    from fnmatch import fnmatch  # noqa: PLC0415

    from tests.evidence.kit import days_of, issuing  # noqa: PLC0415
    from wxrec_async.evidence import audit  # noqa: PLC0415

    async with open_site(tmp_path, monkeypatch, tasks=6, s3={"sidecar": True, "key": template}) as site:
        assert (await site.run()).exit_code == 0
        assert len(sidecars(site)) == len(tasks_stored(site))
        assert all(fnmatch(key, pattern) for key in sidecars(site))
        async with issuing(site) as (issuer, _):
            keys_issued = [await issuer.certify(Claim(day, {"stored": 1}, {}, "r")) for day in days_of(site)]
        assert all((key or "").startswith("calls/_evidence/") for key in keys_issued)
        report = await audit(site.settings)
        assert (report.exit_code, report.recordings, report.unnamed) == (
            0, sum(map(len, tasks_stored(site).values())), 0,
        )  # fmt: skip
        before = dict(site.objects)
        site.lose_ledger()
        rebuilt = await rebuild(site.settings)
        assert (rebuilt.exit_code, rebuilt.recordings) == (0, report.recordings)
        assert sum(rebuilt.left_out.values()) == 0
        assert (await site.run()).counts.stored == 0
        assert site.objects == before


async def test_sidecars_need_keys_they_cannot_meet(tmp_path: Path) -> None:
    """A recording under a key without its extension could take the place of metadata.json."""
    with pytest.raises(ConfigError, match="sidecar needs a key that ends in"):
        load_config(None, overrides={"s3.sidecar": True, "s3.key": "calls/{task_id}/{recording_id}"})
