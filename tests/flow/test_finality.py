"""Nothing becomes final by one voice: calls that go on, answers that prove nothing, recordings that grow or vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.ledger import InPeriod, NamedFor
from wxrec_async.model import DAY_MS
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import retry
from wxrec_async.rules.identity import ChangePolicy

from .bench import HOUR, NOON, YESTERDAY, Flow
from .kit import Body, refused, wav

pytestmark = pytest.mark.anyio

HALF, WHOLE = wav(60), wav(180)


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def said(flow: Flow, task_id: str, **facts: Any) -> None:
    """Let the list say something else of a task."""
    flow.webex.tasks = [replace(each, **facts) if each.id == task_id else each for each in flow.webex.tasks]


def named(flow: Flow, task_id: str, *, start_ms: int | None, stop_ms: int | None, body: bytes, name: str = "r") -> None:
    """Let captures name one recording of a task."""
    flow.webex.give(task_id, name, start_ms=start_ms, stop_ms=stop_ms)
    flow.source.bodies[name] = [Body([body])]


def held(flow: Flow) -> dict[str, bytes]:
    """What lies in the bucket."""
    return {key: data for key, (data, _) in flow.store.objects.items()}


async def summary_of(flow: Flow) -> tuple[int, int, int, int]:
    counts = await flow.counts()
    return counts.stored + counts.already_stored, counts.owed, counts.failed + counts.failed_tasks, counts.no_recording


@pytest.mark.parametrize("status", ["created", "queued", "offered", "assigned", "connected"])
@pytest.mark.parametrize("requested", [True, False, None])
async def test_a_call_that_goes_on_is_owed_until_the_list_says_that_it_is_over(
    flow: Flow, status: str, requested: bool | None
) -> None:
    """Nothing of it is asked for before, and then all of it is fetched, from a window that was closed long ago."""
    flow.now_ms = YESTERDAY.from_ms + 6 * HOUR
    flow.add("t", created_ms=YESTERDAY.from_ms + HOUR, requested=requested)
    said(flow, "t", status=status)
    named(flow, "t", start_ms=YESTERDAY.from_ms + HOUR, stop_ms=flow.now_ms, body=HALF)
    await flow.run()
    assert (await summary_of(flow), flow.webex.asked) == ((0, 1, 0, 0), [])
    flow.now_ms = NOON
    await flow.run()
    assert (await summary_of(flow), await flow.closed()) == ((0, 1, 0, 0), [YESTERDAY])
    said(flow, "t", status="completed", capture_requested=True)
    named(flow, "t", start_ms=YESTERDAY.from_ms + HOUR, stop_ms=NOON - HOUR, body=WHOLE)
    await flow.run()
    assert (await summary_of(flow), list(held(flow).values())) == ((1, 0, 0, 0), [WHOLE])


@pytest.mark.parametrize("updated_ms", [None, YESTERDAY.from_ms + HOUR + 5_800])
async def test_a_call_is_over_when_its_row_says_so_also_where_that_row_seems_older(
    flow: Flow, updated_ms: int | None
) -> None:
    """Webex's clocks may disagree, and rows without `lastUpdatedTime` were seen; nothing waits a week for that."""
    created = YESTERDAY.from_ms + HOUR
    flow.now_ms = created + HOUR
    flow.add("t", created_ms=created)
    said(flow, "t", status="created", updated_ms=created + 30_000)
    await flow.run()
    assert await summary_of(flow) == (0, 1, 0, 0)
    said(flow, "t", status="completed", updated_ms=updated_ms)
    named(flow, "t", start_ms=created, stop_ms=created + 4_300, body=WHOLE)
    flow.now_ms = NOON
    await flow.run()
    assert (await summary_of(flow), list(held(flow).values())) == ((1, 0, 0, 0), [WHOLE])


async def test_a_call_that_never_ends_is_fetched_under_a_flag_and_fails_by_name(flow: Flow) -> None:
    """Every later run looks again whether it is over, and then what has grown lies beside what there was."""
    flow.add("t", created_ms=YESTERDAY.from_ms)
    said(flow, "t", status="connected")
    start = YESTERDAY.from_ms
    named(flow, "t", start_ms=start, stop_ms=start + 5_000, body=HALF)
    flow.now_ms = NOON + 8 * DAY_MS
    for _ in range(2):
        await flow.run()
        assert await summary_of(flow) == (1, 0, 1, 0)
        assert [(each.task_id, each.reason) for each in await flow.failures()] == [("t", "never_ended")]
    async with flow.ledger() as ledger:
        assert await ledger.flag_counts(InPeriod(YESTERDAY)) == {"never_ended": 1}
    said(flow, "t", status="completed")
    named(flow, "t", start_ms=start, stop_ms=start + 9_000, body=WHOLE)
    flow.source.bodies[f"r-{start + 9_000}"] = flow.source.bodies["r"]
    await flow.run()
    assert await summary_of(flow) == (2, 0, 0, 0)
    assert sorted(held(flow).values(), key=len) == [HALF, WHOLE]


async def test_a_call_that_says_nothing_is_owed_until_a_day_after_its_last_sign_of_life(flow: Flow) -> None:
    """What was named of it meanwhile is remembered: an empty answer later does not make it "no recording"."""
    flow.add("t", created_ms=YESTERDAY.from_ms, requested=None)
    said(flow, "t", status=None)
    named(flow, "t", start_ms=YESTERDAY.from_ms, stop_ms=NOON - HOUR, body=HALF)
    await flow.run()
    assert (await summary_of(flow), held(flow)) == ((0, 1, 0, 0), {})
    kept = flow.webex.recordings.pop("t")
    flow.now_ms = NOON + 2 * DAY_MS
    await flow.run()
    assert await summary_of(flow) == (0, 1, 0, 0)
    flow.webex.recordings["t"] = kept
    await flow.run()
    assert (await summary_of(flow), list(held(flow).values())) == ((1, 0, 0, 0), [HALF])


@pytest.mark.parametrize("why", ["entry_missing", "list_missing", "error_beside"])
@pytest.mark.parametrize("requested", [True, None])
async def test_an_answer_that_proves_nothing_settles_nothing(flow: Flow, why: str, requested: bool | None) -> None:
    """Owed by its own name, asked again in its turn, stored when the answer is sound."""
    flow.add("t", created_ms=YESTERDAY.from_ms, requested=requested)
    flow.now_ms = NOON + 2 * DAY_MS
    flow.webex.unsettled = {"t": why}
    for _ in range(2):
        await flow.run()
        assert await summary_of(flow) == (0, 1, 0, 0)
    assert len(flow.webex.asked) == 2
    flow.webex.unsettled = {}
    named(flow, "t", start_ms=YESTERDAY.from_ms, stop_ms=None, body=WHOLE)
    await flow.run()
    assert await summary_of(flow) == (1, 0, 0, 0)


async def test_what_an_unsound_answer_leaves_out_is_not_missing(flow: Flow) -> None:
    """It names one of two; the other one is still to come, by the next run at the latest."""
    flow.add("t", created_ms=YESTERDAY.from_ms)
    flow.source.bodies |= {name: [Body([], refuse=refused("http_500")), Body([WHOLE])] for name in ("a", "b")}
    flow.webex.give("t", "a", "b")
    await flow.run()
    assert await summary_of(flow) == (0, 0, 2, 0)
    flow.webex.give("t", "a")
    flow.webex.unsettled = {"t": "error_beside"}
    await flow.run()
    assert [(each.recording_id, each.reason) for each in await flow.failures()] == [("b", "http_500")]


@pytest.mark.parametrize(("evidence", "gone"), [("no_such_key", 1), ("http_410", 1), ("", 0)])
async def test_a_denied_recording_is_gone_when_a_later_sound_answer_names_it_no_longer(
    flow: Flow, evidence: str, gone: int
) -> None:
    """Two voices: the media host from a fresh URL, and captures after it; without the first it is missing."""
    flow.add("t", created_ms=YESTERDAY.from_ms)
    flow.webex.give("t", "r")
    denied = OperationFailed(retry.GiveUp("not_found", evidence), refused().trouble)
    flow.source.bodies["r"] = [Body([], refuse=denied), Body([], refuse=denied)]
    await flow.run()
    assert await summary_of(flow) == (0, 0, 1, 0)
    flow.webex.give("t")
    flow.webex.unsettled = {"t": "list_missing"}
    await flow.run()
    assert await summary_of(flow) == (0, 0, 1, 0)
    flow.webex.unsettled = {}
    await flow.run()
    counts = await flow.counts()
    assert (counts.gone, counts.failed) == (gone, 1 - gone)


async def test_what_was_gone_and_is_named_again_is_fetched(flow: Flow) -> None:
    """While captures names it, it is not gone."""
    flow.now_ms = YESTERDAY.from_ms + 20 * HOUR  # young enough for a second look
    flow.add("t", created_ms=YESTERDAY.from_ms)
    flow.webex.give("t", "r")
    flow.source.bodies["r"] = [
        Body([], refuse=OperationFailed(retry.DeletedAtSource("http_410"), refused().trouble)),
        Body([WHOLE]),
    ]
    await flow.run()
    assert (await flow.counts()).gone == 1
    flow.now_ms += 2 * DAY_MS
    await flow.run(look_again=YESTERDAY)
    assert ((await flow.counts()).gone, list(held(flow).values())) == (0, [WHOLE])


@pytest.mark.parametrize(
    ("policy", "bodies", "flagged", "failed"),
    [
        (ChangePolicy.BESIDE, [HALF, WHOLE], 1, 0),
        (ChangePolicy.REPLACE, [WHOLE], 1, 0),
        (ChangePolicy.CONFLICT, [HALF], 0, 1),
    ],
)
async def test_a_recording_that_has_grown_since_is_never_left_half(
    flow: Flow, policy: ChangePolicy, bodies: Sequence[bytes], flagged: int, failed: int
) -> None:
    """Beside what is stored, in its place, or named as a conflict, as the setting says; once, whatever runs follow."""
    start = YESTERDAY.from_ms
    flow.add("t", created_ms=start)
    named(flow, "t", start_ms=start, stop_ms=start + 5_000, body=HALF)
    flow.now_ms = start + 20 * HOUR  # young enough for a second look
    await flow.run(changed=policy)
    named(flow, "t", start_ms=start, stop_ms=start + 9_000, body=WHOLE)
    flow.source.bodies[f"r-{start + 9_000}"] = flow.source.bodies["r"]
    for _ in range(3):
        flow.now_ms += 2 * DAY_MS
        await flow.run(changed=policy, look_again=YESTERDAY)
    assert sorted(held(flow).values(), key=len) == bodies
    async with flow.ledger() as ledger:
        assert (await ledger.flag_counts(InPeriod(YESTERDAY))).get("changed_at_source", 0) == flagged
    assert [each.reason for each in await flow.failures()] == ["changed_at_source"] * failed


async def test_another_recording_under_a_known_id_is_stored_as_another_one(flow: Flow) -> None:
    """It begins at another moment, so it is the consult leg of the call, say, and not the call."""
    start = YESTERDAY.from_ms
    flow.add("t", created_ms=start)
    named(flow, "t", start_ms=start, stop_ms=start + 5_000, body=HALF)
    flow.now_ms = start + 20 * HOUR
    await flow.run()
    named(flow, "t", start_ms=start + 20_000, stop_ms=start + 9_000, body=WHOLE)
    flow.source.bodies[f"r-{start + 20_000}"] = flow.source.bodies["r"]
    flow.now_ms += 2 * DAY_MS
    await flow.run(look_again=YESTERDAY)
    assert sorted(held(flow).values(), key=len) == [HALF, WHOLE]


async def test_an_id_that_nobody_knows_fails_by_name(flow: Flow) -> None:
    """It came from a file, no list has it, captures has nothing: a misspelt id looks just like that."""
    await flow.run(scope=NamedFor("run1"), task_ids=iter(["misspelt"]))
    flow.now_ms += 2 * DAY_MS
    orchestrator = await flow.run(scope=NamedFor("run2"), task_ids=iter(["misspelt"]))
    assert isinstance(orchestrator, Orchestrator)
    async with flow.ledger() as ledger:
        counts = await ledger.counts(NamedFor("run2"), "run2")
    assert (counts.no_recording, counts.failed_tasks) == (0, 1)


async def test_a_row_that_says_unrecorded_takes_back_nothing_that_was_named(flow: Flow) -> None:
    """Captures named a recording while the call could go on; the row, now over, says that none was asked for."""
    flow.add("t", created_ms=YESTERDAY.from_ms, requested=None)
    said(flow, "t", status=None)
    named(flow, "t", start_ms=YESTERDAY.from_ms, stop_ms=NOON - HOUR, body=WHOLE)
    await flow.run()
    assert await summary_of(flow) == (0, 1, 0, 0)
    said(flow, "t", status="completed", capture_requested=False, updated_ms=NOON)
    for owed in (1, 0):  # what is owed is taken up first, as the ledger had it; what the list says now counts next time
        await flow.run(windows=(YESTERDAY,))
        assert await summary_of(flow) == (1 - owed, owed, 0, 0)
    assert list(held(flow).values()) == [WHOLE]
