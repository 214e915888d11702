"""The process dies at every moment in turn; the next one must end where an undisturbed one would have."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wxrec_async.ledger import Counts

from .bench import YESTERDAY, Flow
from .kit import PART, Crash, Fuse, refused, wav

pytestmark = pytest.mark.anyio

TRUTH = {
    "c/t1/recording.wav": wav(100, 1),
    "c/t2/recording.wav": wav(3 * PART, 2),
    "c/t3/recording.wav": wav(2 * PART + 9, 3),
    "c/t3/recording-leg.wav": wav(90, 4),
}


def organisation(path: Path) -> Flow:
    """One of each kind: small, multipart, two recordings, none, owed."""
    flow = Flow(path)
    start = YESTERDAY.from_ms
    flow.add("t1", ("r1", TRUTH["c/t1/recording.wav"]), created_ms=start)
    flow.add("t2", ("r2", TRUTH["c/t2/recording.wav"]), created_ms=start + 1)
    flow.add("t3", ("t3", TRUTH["c/t3/recording.wav"]), ("leg", TRUTH["c/t3/recording-leg.wav"]), created_ms=start + 2)
    flow.add("t4", created_ms=start + 3, requested=False)
    flow.add("t5", created_ms=start + 4, requested=True)
    return flow


async def dies(flow: Flow, at: int) -> bool:
    """Run until moment ``at``; return whether the run got that far."""
    flow.touch_with(Fuse(at))
    try:
        await flow.run(concurrency=2)
    except Crash:
        return True
    finally:
        flow.touch_with(Fuse())
    return False


async def check_as_undisturbed(flow: Flow) -> None:
    """Same objects byte for byte, no upload open, every recording once, counts that add up, window closed."""
    assert flow.store.contents() == TRUTH
    assert not flow.store.uploads
    counts: Counts = await flow.counts()
    assert (counts.tasks_listed, counts.tasks_with_recordings, counts.no_recording, counts.owed) == (5, 3, 1, 1)
    assert (counts.recordings, counts.failed, counts.unfinished_recordings) == (4, 0, 0)
    assert counts.stored + counts.already_stored == 4
    assert await flow.closed() == [YESTERDAY]


@pytest.mark.fault("P2", "P3", "P4", "P5", "L03", "K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K10")
@pytest.mark.fault("K11", "K12", "K13", "K14", "K15", "K16", "C4")
@pytest.mark.parametrize("share", range(4))
async def test_killed_at_any_moment_the_next_run_ends_as_an_undisturbed_one(tmp_path: Path, share: int) -> None:
    """Before and after every call to Webex, source, bucket and ledger: nothing lost, twice, half or open."""
    at = share + 1
    while True:
        place = tmp_path / str(at)
        place.mkdir()
        flow = organisation(place)
        died = await dies(flow, at)
        await flow.run()
        await check_as_undisturbed(flow)
        if not died:
            break
        at += 4
    assert at > 60


@pytest.mark.fault("P5")
async def test_killed_again_and_again_it_ends_all_the_same(tmp_path: Path) -> None:
    """Any number of deaths, also while tidying up after one, changes nothing in the end."""
    chance = random.Random(4)
    for number in range(8):
        place = tmp_path / str(number)
        place.mkdir()
        flow = organisation(place)
        for _ in range(4):
            await dies(flow, chance.randint(1, 90))
            assert set(flow.store.contents().items()) <= set(TRUTH.items())
        await flow.run()
        await check_as_undisturbed(flow)


@pytest.mark.fault("P2", "L18")
async def test_ledger_never_leads_the_bucket(tmp_path: Path) -> None:
    """Whenever the process dies, what the ledger calls stored is in the bucket."""
    for at in range(5, 200, 11):
        place = tmp_path / str(at)
        place.mkdir()
        flow = organisation(place)
        died = await dies(flow, at)
        counts = await flow.counts()
        assert counts.stored + counts.already_stored <= len(flow.store.objects)
        if not died:
            break


@pytest.mark.fault("K14", "K13")
async def test_stored_but_not_noted_is_not_uploaded_again(tmp_path: Path) -> None:
    """Dead between Complete and its note: the next run finds the object and sends nothing, fetches nothing."""
    flow = Flow(tmp_path)
    flow.add("t", ("r", wav(3 * PART)), created_ms=YESTERDAY.from_ms)

    def die() -> None:
        flow.fuse.blown = True
        raise Crash

    flow.store.late["complete"] = [die]
    with pytest.raises(Crash):
        await flow.run()
    flow.touch_with(Fuse())
    flow.store.calls.clear()
    await flow.run()
    assert flow.store.count("create") == flow.store.count("upload_part") == 0
    assert flow.source.gets == {"r": 1}
    assert (await flow.counts()).already_stored == 1


@pytest.mark.fault("K6", "P10")
async def test_upload_whose_id_was_lost_is_found_after_a_crash_later_in_the_run(tmp_path: Path) -> None:
    """Create's answer was lost and Create repeated; the recording is stored; then the process dies: no orphan stays."""
    flow = Flow(tmp_path)
    flow.add("t", ("r", wav(3 * PART)), created_ms=YESTERDAY.from_ms)
    create = flow.store.create

    async def twice(target: object) -> str:
        flow.store.uncertain_keys.add("c/t/recording.wav")  # as S3Store does when it repeats a Create
        await create(target)  # type: ignore[arg-type]
        return await create(target)  # type: ignore[arg-type]

    flow.store.create = twice  # type: ignore[method-assign]
    await flow.run()  # the process dies before it sweeps, which only `Backfill` does, at its end
    flow.store.uncertain_keys.clear()
    flow.store.create = create  # type: ignore[method-assign]
    await flow.run()
    assert not flow.store.uploads


@pytest.mark.fault("P3")
async def test_bucket_that_fails_now_and_then_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Refusals at random calls, with and without effect, over several runs: in the end everything is there once."""
    chance = random.Random(7)
    for number in range(8):
        place = tmp_path / str(number)
        place.mkdir()
        flow = organisation(place)
        for _ in range(3):
            for script in (flow.store.script, flow.store.late):
                for op in ("put", "create", "upload_part", "complete", "head"):
                    script[op] = [refused() if chance.random() < 0.3 else None for _ in range(8)]
            await flow.run(max_failures_in_row=1000)
        flow.store.script.clear()
        flow.store.late.clear()
        await flow.run()
        await check_as_undisturbed(flow)
