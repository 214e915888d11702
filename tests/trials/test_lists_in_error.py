"""The list of tasks is answered with 200, and is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tests.trials.judges import FAILED, OK, all_stored, certified_days, honest, nothing_final
from tests.trials.organisation import DAY_MS, Json, day_of
from tests.trials.trial import Told, Trial, side_by_side
from tests.trials.webex import created, read_json

TIMED_OUT = {"code": "UPSTREAM_TIMEOUT", "message": "task store did not answer in time"}
Odd = Callable[[Json], object]
# What a sound answer (with its rows) becomes.
NO_LIST: dict[str, Odd] = {
    "errors beside an empty list": lambda sound: sound | {"data": [], "errors": [TIMED_OUT]},
    "errors beside some rows": lambda sound: sound | {"data": sound["data"][:1], "errors": [TIMED_OUT]},
    "error beside an empty list": lambda sound: sound | {"data": [], "error": {"key": "503", "message": []}},
    "data is missing": lambda sound: {"meta": sound["meta"] | {"status": 503}},
    "data is null": lambda sound: sound | {"data": None},
    "data is an object": lambda sound: sound | {"data": {}},
    "data is text": lambda sound: sound | {"data": ""},
    "meta has an error": lambda sound: {"meta": sound["meta"] | {"error": TIMED_OUT}, "data": []},
    "meta has a status": lambda sound: {"meta": sound["meta"] | {"status": 503}, "data": []},
    "an error and nothing else": lambda _: {"trackingId": "T", "error": {"key": "500", "message": []}},
    "a message and nothing else": lambda _: {"message": "Internal error", "trackingId": "T"},
    "the body is a list": lambda _: [],
    "the body is null": lambda _: None,
}


def test_an_error_beside_an_empty_list_is_no_list(tmp_path: Path) -> None:
    """Every list is answered so: the windows are incomplete, and no day is certified as empty."""

    def listed(told: Told) -> None:
        assert told.code == FAILED, told

    def run(trial: Trial) -> None:
        _always(trial, NO_LIST["errors beside an empty list"])
        told = trial.run()
        listed(told)
        assert told.summary["windows_incomplete"], told
        nothing_final(trial, told)

    def reconcile(trial: Trial) -> None:
        trial.call("run", "--days-back", "0.001", "--json")  # so that there is a ledger
        _always(trial, NO_LIST["errors beside an empty list"])
        moment = created(trial.organisation.tasks[0])
        day = ("--from", day_of(moment), "--to", day_of(moment + DAY_MS))  # one day: one window's tries are enough
        listed(trial.call("reconcile", *day, "--json"))
        assert not certified_days(trial.bucket)

    side_by_side(tmp_path, {"run": run, "reconcile": reconcile})


def test_a_page_without_data_does_not_close_its_window(trial: Trial) -> None:
    """One bad answer among good ones: what it did not list is listed again."""
    for number in range(12):
        trial.organisation.add(age_h=16 + 4 * number)
    _once_with_rows(trial, [NO_LIST["data is missing"]])
    told = trial.run()
    honest(trial, told)
    all_stored(trial, trial.run() if told.code else told)


def test_whatever_is_no_list_is_asked_for_again(trial: Trial) -> None:
    """Each answer once, in a window of its own: all is listed by this run, or by the next one."""
    for number in range(len(NO_LIST)):
        trial.organisation.add(age_h=30 + 24 * number, seconds=0.3)
    _once_with_rows(trial, list(NO_LIST.values()))
    days = str(len(NO_LIST) + 3)
    told = trial.call("run", "--days-back", days, "--json")
    honest(trial, told)
    all_stored(trial, trial.call("run", "--days-back", days, "--json") if told.code else told)


def test_a_later_page_may_be_none_either(trial: Trial) -> None:
    """The first page is sound, the second is none, once; in each of four days in another way."""
    odd = ("errors beside some rows", "data is missing", "data is null", "meta has an error")
    for number in range(len(odd) * 60):
        trial.organisation.add(age_h=30 + 24 * (number // 60), seconds=0.05)
    _once_with_rows(trial, [NO_LIST[name] for name in odd], pages=lambda rows: rows < 40)
    told = trial.call("run", "--days-back", "8", "--json")
    honest(trial, told)
    all_stored(trial, trial.call("run", "--days-back", "8", "--json") if told.code else told)


def test_what_stays_no_list_is_never_an_empty_one(tmp_path: Path) -> None:
    """Whatever the form: exit 3 as long as it is so, and nothing is lost when it is over."""

    def case(odd: Odd) -> Callable[[Trial], None]:
        def go_through(trial: Trial) -> None:
            trial.organisation.add(seconds=0.3)

            async def tasks(request: web.Request) -> web.StreamResponse:
                sound = await trial.webex.plain_tasks(request)
                return sound if trial.organisation.step > 1 else web.json_response(odd(read_json(sound)))

            trial.webex.tasks = tasks
            told = trial.run()
            assert told.code == FAILED, told
            all_stored(trial, trial.run())

        return go_through

    names = ("error beside an empty list", "data is null", "meta has a status", "a message and nothing else")
    side_by_side(tmp_path, {name: case(NO_LIST[name]) for name in names})


def test_a_window_without_content_is_empty(trial: Trial) -> None:
    """204 in place of an empty list: a success, and nothing in it."""
    trial.organisation.add()

    async def tasks(request: web.Request) -> web.StreamResponse:
        sound = await trial.webex.plain_tasks(request)
        return sound if read_json(sound)["data"] else web.Response(status=204)

    trial.webex.tasks = tasks
    told = trial.run()
    all_stored(trial, told)
    assert told.summary["windows_incomplete"] == []
    assert trial.reconcile().code != FAILED
    assert {true.day for true in trial.organisation.truth()} <= certified_days(trial.bucket)


def test_other_successes_without_a_body_are_no_list(trial: Trial) -> None:
    """Once, each in a day of its own: a body was promised, or part of one; the window is listed again."""
    statuses = [200, 202, 205, 206]
    for number in range(len(statuses)):
        trial.organisation.add(age_h=30 + 24 * number)
    met: set[str] = set()

    async def tasks(request: web.Request) -> web.StreamResponse:
        sound = await trial.webex.plain_tasks(request)
        place = _place(read_json(sound))
        if not statuses or not place or place in met:
            return sound
        met.add(place)
        return web.Response(status=statuses.pop())

    trial.webex.tasks = tasks
    told = trial.call("run", "--days-back", "8", "--json")
    honest(trial, told)
    all_stored(trial, trial.call("run", "--days-back", "8", "--json") if told.code else told)


def _always(trial: Trial, odd: Odd) -> None:
    trial.organisation.add()

    async def tasks(request: web.Request) -> web.StreamResponse:
        return web.json_response(odd(read_json(await trial.webex.plain_tasks(request))))

    trial.webex.tasks = tasks


def _once_with_rows(trial: Trial, odd: list[Odd], *, pages: Callable[[int], bool] = bool) -> None:
    """Let the first answer with rows of each day be odd, each in its own way; ``pages`` says of how many rows."""
    waiting, met = list(odd), set[str]()

    async def tasks(request: web.Request) -> web.StreamResponse:
        sound = await trial.webex.plain_tasks(request)
        said = read_json(sound)
        place = _place(said)
        if not waiting or not place or place in met or not pages(len(said["data"])):
            return sound
        met.add(place)
        return web.json_response(waiting.pop(0)(said))

    trial.webex.tasks = tasks


def _place(said: Json) -> str:
    """Return the day of the first row, empty when there is none."""
    rows = said.get("data")
    return day_of(created(rows[0])) if rows else ""


def test_the_table_is_of_answers_that_are_none() -> None:
    """No member of the table is the answer that it was made of."""
    sound = {"meta": {"orgId": "o"}, "data": [{"id": "a"}, {"id": "b"}]}
    assert all(odd(dict(sound)) != sound for odd in NO_LIST.values())
    assert OK == 0
