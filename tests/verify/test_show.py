"""`show` beside a real bucket: where the recordings of a call are, and why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.verify.site import Site, open_site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """An organisation whose recordings are all stored."""
    async with open_site(tmp_path, monkeypatch) as site:
        assert (await site.run()).exit_code == 0
        yield site


def task_of(site: Site, key: str) -> str:
    return next(item.task_id for item in site.sandbox.truth() if item.key == key)


async def test_a_call_is_shown_with_its_objects_and_its_certificate(site: Site) -> None:
    """By an id in capitals, too; the certificate is there once its day was reconciled."""
    key = min(site.objects)
    task_id = task_of(site, key)
    before = await site.call("show", task_id.upper())
    assert (before.code, before.err) == (0, "")
    assert before.out.startswith(f"task {task_id}   captured\n")
    assert f"    object    {key}   " in before.out
    assert "certificate none of its day; `wxrec-async reconcile` makes one" in before.out
    assert "in bucket" not in before.out
    assert (await site.call("reconcile")).code == 0
    ids = sorted({item.task_id for item in site.sandbox.truth()})
    *told, end = (await site.call("show", *ids, "--json")).lines
    assert end == {"event": "calls", "schema": 1, "asked": len(ids), "all_well": len(ids)}
    assert {row["key"] for call in told for row in call["recordings"]} == {item.key for item in site.sandbox.truth()}
    certified = {call["certificate"] for call in told} - {None}
    assert certified
    assert certified <= set(site.objects)


async def test_the_bucket_is_asked_for_each_object(site: Site) -> None:
    """What is there as it was stored is ok; a deleted and a replaced object are named, with exit 3."""
    gone, other, well = sorted(site.objects, key=lambda key: task_of(site, key))[:3]
    ids = [task_of(site, key) for key in (gone, other, well)]
    assert len(set(ids)) == 3
    assert (await site.call("show", *ids, "--bucket")).code == 0
    del site.objects[gone]
    await site.overwrite(other, bytes(site.objects[other].size))
    done = await site.call("show", *ids, "--bucket", "--json")
    found = {row["key"]: row["in_bucket"] for call in done.lines[:-1] for row in call["recordings"]}
    assert (found[gone], found[other], found[well]) == ("missing", "different", "ok")
    assert (done.code, done.lines[-1]["all_well"]) == (3, 1)
    shown = (await site.call("show", ids[1], "--bucket")).out
    assert "    in bucket different: its CRC-32 is " in shown


async def test_a_call_that_is_not_known_is_said_and_exit_3(site: Site) -> None:
    """With the way to ask Webex for it."""
    done = await site.call("show", "01234567-89ab-4cde-8f01-23456789abcd")
    assert done.code == 3
    assert done.out.splitlines() == [
        "task 01234567-89ab-4cde-8f01-23456789abcd   not in this ledger",
        "  `wxrec-async run --task-ids-from -` asks Webex for it by its id",
    ]


async def test_what_is_no_id_is_refused(site: Site) -> None:
    """Nothing, or what could be two."""
    assert (await site.call("show")).err == "error: name a call: wxrec-async show TASK_ID; any number of them\n"
    refused = await site.call("show", "one,two")
    assert refused.code == 2
    assert refused.err.startswith("error: 'one,two' ")
