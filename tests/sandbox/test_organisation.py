"""The organisation is deterministic and has the irregularities of a live one."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest

from wxrec_async.sandbox import Organisation

NOW = 1_790_000_000.0
HOUR_MS = 3_600_000


def shape(organisation: Organisation) -> list[object]:
    rows: list[object] = [(t.id, t.created_ms, organisation.attributes(t)) for t in organisation.tasks]
    return rows + [(r.key, r.size, r.crc32) for r in organisation.truth()[:5]]


def test_one_seed_gives_one_organisation() -> None:
    """Ids, times, attributes and audio repeat with the seed and differ without it."""
    assert shape(Organisation(200, 5, now=NOW)) == shape(Organisation(200, 5, now=NOW))
    assert shape(Organisation(200, 5, now=NOW)) != shape(Organisation(200, 6, now=NOW))


def test_everything_is_settled_and_within_the_period() -> None:
    """Nothing is owed by default: old enough, requested means recorded, null means none."""
    organisation = Organisation(2_000, 1)
    now = time.time() * 1000
    for task in organisation.tasks:
        assert now - 7 * 24 * HOUR_MS < task.created_ms < now - 26 * HOUR_MS
        if task.channel == "telephony":
            assert bool(task.recordings) == (task.capture_requested is True)


def test_there_are_ties_gaps_and_other_channels() -> None:
    """Each irregularity of live data occurs when it is asked for."""
    organisation = Organisation(1_000, 1, now=NOW)
    rows = [organisation.attributes(task, gaps=True) for task in organisation.tasks]
    assert len({row["createdTime"] for row in rows}) < 990
    assert 300 < sum("owner" not in row for row in rows) < 700
    assert any(row["queue"] is None for row in rows)
    assert any("endedTime" not in row for row in rows)
    assert any("captureRequested" not in row for row in rows)
    assert {row["channelType"] for row in rows} == {"telephony", "email", "chat", "social"}
    kinds = Counter(task.recordings for task in organisation.tasks)
    assert min(kinds[count] for count in (0, 1, 2, 3)) > 5


@pytest.mark.parametrize("ends_after_ms", [0, 20_000, HOUR_MS])
def test_a_row_was_updated_when_its_status_changed_never_later_than_now(ends_after_ms: int) -> None:
    """Whoever reads a call in its first seconds finds an older row than whoever reads it when it is over."""
    organisation = Organisation(1, 1, now=NOW, seconds=(0.2, 0.4), large=False)
    created = int(NOW * 1000)
    task = organisation.add(created, ends_ms=ends_after_ms and created + ends_after_ms)
    ages = [*range(0, 40_000, 50), HOUR_MS, HOUR_MS + 5_000]
    rows = [organisation.attributes(task, created + age) for age in ages]
    updates = [row["lastUpdatedTime"] - created for row in rows]
    assert updates == sorted(updates)
    assert all(update <= age for update, age in zip(updates, ages, strict=True))
    pairs = list(zip(rows, updates, strict=True))
    changed = [(one, two) for (one, at), (two, later) in pairwise(pairs) if at == later and one != two]
    assert changed == []


def test_a_call_that_goes_on_grows_and_ends() -> None:
    """Open to both lists, its recording a beginning of what it will be; the truth is the whole."""
    organisation = Organisation(5, 1, now=NOW, open_calls=1, seconds=(0.2, 0.4))
    now_ms = int(NOW * 1000)
    task = next(each for each in organisation.tasks if each.ends_ms)
    (now,), (later,), (whole,) = (organisation.recordings(task, at) for at in (now_ms, now_ms + 60_000, None))
    assert now.audio.size < later.audio.size < whole.audio.size
    assert now.stop_ms < later.stop_ms < task.ends_ms + 1
    assert whole.audio.slice(200, 2_000) == now.audio.slice(200, 2_000)
    assert organisation.attributes(task, now_ms)["status"] == "assigned"
    row = organisation.search_row(task, now_ms)
    assert (row["isActive"], row["status"], row.get("endedTime")) == (True, "connected", None)
    over = organisation.search_row(task, task.ends_ms)
    assert (over["isActive"], over["endedTime"], over["recordingFileSize"]) == (False, task.ends_ms, whole.audio.size)
    assert organisation.attributes(task, task.ends_ms)["status"] == "completed"
    assert [item.size for item in organisation.truth() if item.task_id == task.id] == [whole.audio.size]


def test_the_bounds_of_a_window_can_be_read_in_two_ways() -> None:
    """Created after and before, as documented; or both moments included."""
    organisation = Organisation(0, 1, now=NOW)
    moments = [1_699_900_000_000 + step for step in range(3)]
    tasks = [organisation.add(moment) for moment in moments]
    assert organisation.between(moments[0], moments[2]) == [tasks[1]]
    assert organisation.between(moments[0], moments[2], "inclusive") == tasks


def test_the_truth_names_every_recording_once_under_its_key() -> None:
    """Keys are unique; the main recording takes the task's own, consult legs carry their id."""
    truth = Organisation(1_000, 1, now=NOW).truth()
    assert len({item.key for item in truth}) == len(truth)
    assert all(item.key.startswith(f"call-detail/{item.task_id}/recording") for item in truth)
    legs = [item for item in truth if "/recording-" in item.key]
    assert legs
    assert all(item.recording_id in item.key for item in legs)
    assert any(item.file_name == "Recording.WAV" and item.key.endswith("/recording.wav") for item in truth)
    assert sum(item.size > 15 << 20 for item in truth) >= 5


def test_a_whole_page_can_share_one_millisecond() -> None:
    """The trap for pagers can be asked for."""
    organisation = Organisation(1_100, 1, same_ms=1_001, now=NOW)
    most = Counter(task.created_ms for task in organisation.tasks).most_common(1)[0][1]
    assert most >= 1_001


def test_fresh_calls_are_listed_before_their_recordings_can_be_had() -> None:
    """What is owed by Webex exists on demand and becomes available with time."""
    organisation = Organisation(0, 1, fresh=200, now=NOW)
    now_ms = int(NOW * 1000)
    ready = [bool(organisation.recordings(task, now_ms)) for task in organisation.tasks]
    assert 0 < sum(ready) < 200
    assert all(organisation.recordings(task, now_ms + 48 * HOUR_MS) for task in organisation.tasks)


def test_tasks_can_appear_and_recordings_can_vanish() -> None:
    """The organisation changes under the reader when a test wants it to."""
    organisation = Organisation(10, 1, now=NOW)
    task = organisation.add(int(NOW * 1000))
    assert organisation.tasks[-1] is task
    assert any(item.task_id == task.id for item in organisation.truth())
    organisation.purge(task.id)
    assert not any(item.task_id == task.id for item in organisation.truth())
