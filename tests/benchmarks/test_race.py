"""The race's own arithmetic: lanes, verdict, keeping; and one tiny heat where nginx is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.benchmarks import heats, telling, verdict
from tests.benchmarks.__main__ import main
from tests.benchmarks.contestants import Entry, Heat, ours
from tests.benchmarks.farm import MODULES, Farm, open_farm
from tests.benchmarks.measuring import Failed, Measured, run
from tests.benchmarks.race import OURS, Lane, Result, once, race, wall

FACTS = {"cpu": "a processor", "commit": "abc"}
needs_nginx = pytest.mark.skipif(
    not (shutil.which("nginx") and (MODULES / "ngx_http_lua_module.so").exists()), reason="needs nginx with Lua"
)


def result(
    name: str = "5 MiB", size: str = "5m", count: int = 400, **lanes: list[tuple[float, float, float]]
) -> Result:
    """Return a heat whose runs took (seconds, CPU seconds, MiB)."""
    named = {name.replace("_", " "): Lane([Measured(*run) for run in runs]) for name, runs in lanes.items()}
    named |= {OURS: named.pop("ours")} if "ours" in named else {}
    return Result(size, count, 32, "rec", True, dict(FACTS), named)


def test_ratio_is_the_median_of_pairs_and_not_of_lanes() -> None:
    """A machine that slows down for one pair slows both of it."""
    found = result(ours=[(10, 1, 1), (2, 1, 1), (30, 1, 1)], rclone_copy=[(20, 1, 1), (4, 1, 1), (15, 1, 1)])
    assert found.ratio(heats.RCLONE, wall) == 0.5
    assert found.ratio("nobody", wall) is None


def test_rows_are_for_a_whole_heat() -> None:
    """400 recordings of 5 MiB in 10 s with 4 s of CPU."""
    assert result(ours=[(10, 4, 200)]).row(OURS) == {
        "mib_per_s": 200.0, "recordings_per_s": 40.0, "cpu_ms": 10.0, "peak_mib": 200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "cpu", "speed_word", "cpu_word"),
    [(8, 9, "aim", "aim"), (11, 11, "reached", "reached"), (12, 12, "missed", "missed")],
)
def test_verdict_says_aim_reached_or_missed(seconds: float, cpu: float, speed_word: str, cpu_word: str) -> None:
    """Of speed more is better, of CPU less."""
    found = result(ours=[(seconds, cpu, 1)], rclone_copy=[(10, 10, 1)])
    words = {judged.target.name: judged.word for judged in verdict.judge({"5 MiB": found})}
    assert words["5 MiB: MiB/s against rclone copy"] == speed_word
    assert words["5 MiB: CPU against rclone copy"] == cpu_word
    assert words["64 MiB: MiB/s against rclone copy"] == "not run"


def test_verdict_reads_every_heat_that_a_target_names() -> None:
    """Growth compares two heats, the wide network the ideal; nothing of the issue is left without a figure."""
    found = {name: result(ours=[(10, 10, 100)], rclone_copy=[(10, 10, 100)]) for name in heats.SIZES}
    found["100 KiB"].lanes[heats.PSEUDO] = Lane([Measured(300, 300, 50)])
    found[heats.SUSTAINED] = result(count=2000, ours=[(36, 20, 200)])
    found[heats.WIDE_NETWORK] = result(count=320, ours=[(25.5, 5, 200)])
    found[heats.GROWN[0]] = result(size="100k", count=1000, ours=[(4, 4, 100)])
    found[heats.GROWN[-1]] = result(size="100k", count=100_000, ours=[(300, 300, 104)])
    many = {heats.WIDE_OURS: Lane([Measured(9, 9, 120)]), OURS: Lane([Measured(10, 9, 120)])}
    found[heats.MORE_WORKERS] = Result("100k", 4000, 32, "rec", True, {}, many)
    measured = {judged.target.name: judged.measured for judged in verdict.judge(found)}
    assert None not in measured.values()
    assert measured["5 MiB: sustained tasks/s, whole job"] == pytest.approx(55.6, abs=0.1)
    assert measured["wide network, 32 workers: share of the ideal"] == pytest.approx(25 / 25.5)
    assert measured["100,000 against 1,000: CPU per recording"] == pytest.approx(0.75)
    assert measured["100,000 against 1,000: peak memory"] == pytest.approx(1.04)
    assert measured["128 workers against 32, 100 KiB: recordings/s"] == pytest.approx(10 / 9)
    assert verdict.table(verdict.judge(found)).count("\n") == len(verdict.TARGETS)


def test_every_heat_of_a_target_is_planned() -> None:
    """A target whose heat nobody runs would be "not run" for ever."""
    planned = {each.name for each in heats.WHOLE}
    wanted = {*heats.SIZES, heats.SUSTAINED, heats.WIDE_NETWORK, heats.MORE_WORKERS, *heats.GROWN}
    assert wanted <= planned
    assert {each.name for each in heats.QUICK} <= planned


def test_several_invocations_fill_one_file(tmp_path: Path) -> None:
    """A later heat is added, one of the same name takes its place, and the rest keeps the facts it was run under."""
    plan = ["5 MiB", "64 MiB"]
    first = {"64 MiB": result(size="64m", count=8, ours=[(10, 1, 1)], rclone_copy=[(10, 1, 1)])}
    telling.write(tmp_path, first, plan)
    again = telling.kept(tmp_path)
    assert again == first
    again["5 MiB"] = result(ours=[(10, 1, 1)], rclone_copy=[(9, 1, 1)])
    again["5 MiB"].facts["commit"] = "def"
    telling.write(tmp_path, again, plan)
    assert list(telling.kept(tmp_path)) == plan
    told = (tmp_path / "results.txt").read_text()
    assert told.index("verdict") < told.index("commit def") < told.index("commit abc")
    assert "<svg" in (tmp_path / "results.svg").read_text()


def test_heat_that_was_broken_off_or_ran_on_another_commit_is_run_again() -> None:
    """Only what this commit has run to its end is not run again."""
    planned, found = heats.Planned("5 MiB", "5m", 400), result(ours=[(10, 1, 1)])
    assert telling.is_done({"5 MiB": found}, planned, FACTS)
    assert not telling.is_done({"5 MiB": found}, planned, {**FACTS, "commit": "def"})
    assert not telling.is_done({"5 MiB": found}, heats.Planned("5 MiB", "5m", 100), FACTS)
    found.lanes[OURS].trouble = "it fell"
    assert not telling.is_done({"5 MiB": found}, planned, FACTS)
    assert not telling.is_done({}, planned, FACTS)


def test_kept_results_name_neither_the_machine_nor_a_path() -> None:
    """They are published with the repository."""
    facts = telling.machine()
    assert set(facts) == {"cpu", "cores", "kernel", "python", "commit"}
    assert "/" not in json.dumps({key: value for key, value in facts.items() if key != "cpu"})


def test_cost_of_a_run_includes_its_children(tmp_path: Path) -> None:
    """CPU is of all it waited for, memory of the largest; an end that was not accepted is told with its words."""
    busy = "python3 -c 'print(sum(range(3_000_000)))'; exit 0"
    found = run(["bash", "-c", busy], env={"PATH": "/usr/bin:/bin:/usr/local/bin"}, folder=tmp_path, timeout_s=60)
    assert found.cpu_s > 0.01
    assert found.seconds > 0
    with pytest.raises(Failed, match=r"ended with 3 .* bad luck"):
        run(["bash", "-c", "echo bad luck; exit 3"], env={}, folder=tmp_path, timeout_s=60)


def test_only_a_text_that_names_no_heat_is_refused(tmp_path: Path) -> None:
    """A race of nothing would look like one that went well."""
    with pytest.raises(SystemExit, match="no heat's name contains"):
        main(["--only", "7 MiB", "--home", str(tmp_path)])


@needs_nginx
def test_one_tiny_heat_with_ours(tmp_path: Path) -> None:
    """The whole job over TLS: every recording arrives, and what it cost is known; whoever loses one has failed."""

    def idle(_heat: Heat, _folder: Path, _bucket: str) -> Entry:
        return Entry(["true"], {"PATH": "/usr/bin:/bin"})

    with open_farm(tmp_path / "farm", only=("100k",)) as farm:
        found = race(_tiny(farm), {OURS: ours, "idle": idle}, 1, print, {"idle": 5})
        once(_tiny(farm), ours, 12)
        assert farm.counts()["captures/query"] == 2
    assert found.lanes[OURS].trouble is None
    assert found.row(OURS)["cpu_ms"] > 0
    assert "only 0 of 5" in (found.lanes["idle"].trouble or "")
    assert "did not finish" in telling.table("tiny", found)


def _tiny(farm: Farm) -> Heat:
    return Heat(farm, "100k", 12, 4)
