"""Bounds and pages of the list of tasks: nothing between them is lost, whichever way the server reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tests.trials.judges import FAILED, OK, all_stored, bucket_is_truth, certified_days, honest
from tests.trials.organisation import DAY_MS, HOUR_MS, Json
from tests.trials.trial import Trial, side_by_side
from tests.trials.webex import MOST_ROWS, created

Within = Callable[[int, int, int], bool]
BOUNDS: dict[str, Within] = {
    "both left out": lambda first, moment, end: first < moment < end,
    "the first in": lambda first, moment, end: first <= moment < end,
    "the last in": lambda first, moment, end: first < moment <= end,
    "both in": lambda first, moment, end: first <= moment <= end,
}


def listing(trial: Trial, within: Within, *, widest_ms: int = 2 * DAY_MS) -> None:
    """Let the server read the bounds of a window so, and refuse what is wider."""

    async def tasks(request: web.Request) -> web.StreamResponse:
        first, end, size = (int(request.query[name]) for name in ("from", "to", "pageSize"))
        if end - first > widest_ms + 2:
            return web.json_response({"trackingId": "T", "error": {"key": "400", "message": []}}, status=400)
        rows = trial.webex.of_channels(request.query.get("channelTypes", ""))
        rows = [row for row in rows if within(first, created(row), end)]
        return trial.webex.answer(sorted(rows, key=created)[: min(size, MOST_ROWS)])

    trial.webex.tasks = tasks


def midnights(trial: Trial) -> list[int]:
    """The last two midnights that lie a while ago."""
    last = (trial.organisation.now_ms - 3 * HOUR_MS) // DAY_MS * DAY_MS
    return [last, last - DAY_MS]


def test_a_call_at_midnight_belongs_to_a_day(trial: Trial) -> None:
    """Both ends are left out, as the specification words it."""
    trial.organisation.add()
    for moment in midnights(trial):
        trial.organisation.add(createdTime=moment)
    listing(trial, BOUNDS["both left out"])
    all_stored(trial, trial.run())
    honest(trial, trial.reconcile())
    assert {true.day for true in trial.organisation.truth()} & certified_days(trial.bucket)


def test_no_edge_of_any_window_loses_a_call(tmp_path: Path) -> None:
    """Days, the halves of a refused window, and the step over a crowded millisecond, with every reading of the ends."""

    def case(within: Within) -> Callable[[Trial], None]:
        def go_through(trial: Trial) -> None:
            last, before = midnights(trial)
            edges = [last, before, *(before + step * HOUR_MS * 3 // 2 for step in range(1, 16))]
            for moment in edges:
                for beside in (-1, 0, 1):
                    trial.organisation.add(seconds=0.05, createdTime=moment + beside)
            crowded = before + 5 * HOUR_MS
            for number in range(MOST_ROWS - 5):
                trial.organisation.add(seconds=0.05, createdTime=crowded + (number > 30))
            listing(trial, within, widest_ms=6 * HOUR_MS)
            told = trial.run()
            all_stored(trial, told)
            assert told.summary["tasks_listed"] == len(trial.organisation.tasks)

        return go_through

    side_by_side(tmp_path, {name: case(within) for name, within in BOUNDS.items()})


def test_a_crowded_millisecond_hides_nothing_unsaid(trial: Trial) -> None:
    """A page full of one millisecond may hide others of it: they are stored, or the window is incomplete."""
    for days, count in enumerate((MOST_ROWS - 1, MOST_ROWS, MOST_ROWS + 5)):
        moment = trial.organisation.now_ms - 20 * HOUR_MS - days * DAY_MS
        for _ in range(count):
            trial.organisation.add(seconds=0.05, createdTime=moment)
        trial.organisation.add(seconds=0.05, createdTime=moment + 1)
    listing(trial, BOUNDS["both left out"])
    told = trial.run()
    honest(trial, told)
    assert told.code in (OK, FAILED), told


def test_an_empty_page_is_not_the_end_of_a_window(trial: Trial) -> None:
    """A page is cut first and filtered by channel afterwards: chats push the calls out of it."""
    noon = trial.organisation.now_ms // DAY_MS * DAY_MS - DAY_MS // 2
    for number in range(30):
        trial.organisation.add(seconds=0.1, createdTime=noon + number * 1000)
        trial.organisation.add(seconds=0.1, createdTime=noon + 1_000_000 + number * 1000)
    for number in range(300):
        trial.organisation.add_contact(createdTime=noon + 100_000 + number * 1000, channelType="chat")
    pages(trial, lambda rows: rows[:100], filtered_after=True)
    lists_all_or_says_so(trial)


def pages(trial: Trial, cut: Callable[[list[Json]], list[Json]], *, filtered_after: bool = False) -> None:
    """Let the server cut its pages so, before or after it looks at the channel."""

    async def tasks(request: web.Request) -> web.StreamResponse:
        first, end, size = (int(request.query[name]) for name in ("from", "to", "pageSize"))
        names = {name for name in request.query.get("channelTypes", "").split(",") if name}
        rows = [row for row in trial.organisation.tasks if first <= created(row) < end]
        rows.sort(key=created)
        wanted = [row for row in rows if not names or row["attributes"]["channelType"] in names]
        if not filtered_after:
            return trial.webex.answer(cut(wanted)[:size])
        return trial.webex.answer([row for row in cut(rows)[:size] if row in wanted])

    trial.webex.tasks = tasks


def lists_all_or_says_so(trial: Trial) -> None:
    """All are stored; or the window is incomplete and its day is not certified."""
    told = trial.run()
    honest(trial, told)
    if told.code == OK:
        bucket_is_truth(trial)
    else:
        assert told.code == FAILED, told
        assert told.summary["windows_incomplete"], told
    honest(trial, trial.reconcile())


SHORT: dict[str, Callable[[list[Json]], list[Json]]] = {
    "seven at most": lambda rows: rows[:7],
    "one at most": lambda rows: rows[:1],
    "by size of the answer": lambda rows: rows[: 3 + len(rows) % 5],
    "the same row twice": lambda rows: [row for row in rows[:20] for _ in range(2)],
    "in no order": lambda rows: sorted(rows[:40], key=lambda row: str(row["id"])),
}


def test_a_short_page_is_not_the_last_one(tmp_path: Path) -> None:
    """Whatever cuts a page, the list goes on until nothing new comes."""

    def case(cut: Callable[[list[Json]], list[Json]]) -> Callable[[Trial], None]:
        def go_through(trial: Trial) -> None:
            for number in range(60):
                trial.organisation.add(seconds=0.05, createdTime=trial.organisation.now_ms - 40 * HOUR_MS + number * 7)
            pages(trial, cut)
            told = trial.run()
            honest(trial, told)
            assert told.code == OK or told.summary["windows_incomplete"], told

        return go_through

    side_by_side(tmp_path, {name: case(cut) for name, cut in SHORT.items()})


def test_times_in_seconds_do_not_end_a_list_early(trial: Trial) -> None:
    """Every row has its time in seconds, and a page is forty rows: all are stored, or the window is named."""
    for _ in range(130):
        trial.organisation.add(seconds=0.1)
    told_as(trial, lambda _, moment: moment // 1000)
    told = trial.run()
    honest(trial, told)
    assert told.code == OK or told.summary["windows_incomplete"], told


def told_as(trial: Trial, form: Callable[[int, int], object]) -> None:
    """Let ``createdTime`` be written so, by the day before today that it lies in, and the moment."""

    async def tasks(request: web.Request) -> web.StreamResponse:
        first, end, size = (int(request.query[name]) for name in ("from", "to", "pageSize"))
        rows = list(trial.webex.of_channels(request.query.get("channelTypes", "")))
        rows = sorted((row for row in rows if first <= created(row) < end), key=created)[: min(size, MOST_ROWS)]
        today = trial.organisation.now_ms // DAY_MS
        return trial.webex.answer([_written(row, form(today - created(row) // DAY_MS, created(row))) for row in rows])

    trial.webex.tasks = tasks


def _written(row: Json, moment: object) -> Json:
    said = {name: value for name, value in row["attributes"].items() if name != "createdTime"}
    return row | {"attributes": said if moment is _LEFT_OUT else said | {"createdTime": moment}}


_LEFT_OUT = object()
FORMS: tuple[Callable[[int], object], ...] = (
    str,
    lambda moment: str(moment // 1000),
    lambda moment: moment / 1000,
    lambda moment: moment * 1000,
    lambda _: None,
    lambda _: _LEFT_OUT,
    lambda _: 0,
    lambda _: "yesterday",
)


def test_times_in_any_form_do_not_end_a_list_early(trial: Trial) -> None:
    """Text, seconds, fractions, microseconds, null, nothing: a day of each, and more than a page."""
    noon = trial.organisation.now_ms // DAY_MS * DAY_MS + DAY_MS // 2
    for day in range(len(FORMS)):
        for number in range(50):
            trial.organisation.add(seconds=0.05, createdTime=noon - (day + 2) * DAY_MS + number * 1000)
    told_as(trial, lambda day, moment: FORMS[day - 2](moment))
    told = trial.call("run", "--days-back", str(len(FORMS) + 3), "--json")
    honest(trial, told)
    assert told.code == OK or told.summary["windows_incomplete"], told
