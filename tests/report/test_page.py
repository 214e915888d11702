"""The page: figures are the ledger's, days called by their state, hostile names not obeyed, bounds kept."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from tests import canaries
from tests.report.kit import Reader, counts_of, expected_totals, html_of
from tests.report.ledgers import HOSTILE, LAST_DAY_MS, NOW_MS, Month, writing
from wxrec_async.ledger.report_queries import WIDTHS_MS, ListLimits, bar_width
from wxrec_async.model import DAY_MS, Window
from wxrec_async.reporting import palette

FIRST = Month().first_ms


def test_figures_are_the_ledgers_and_add_up(month: Path) -> None:
    """Every total is that of `Counts`; days are counted once each."""
    page = Reader(html_of(month))
    assert page.totals == expected_totals(counts_of(month))
    assert page.totals["recordings"] == page.totals["stored"] + page.totals["failed"] + page.totals["gone"]
    assert page.days == {"failed": 3, "owed": 3, "not_yet": 1, "not_listed": 1, "complete": 4, "certified": 18}


def test_a_period_counts_only_its_tasks(month: Path) -> None:
    """Figures, days and lists are those of the calls in it; days it cuts are judged by the part asked about."""
    period = Window(FIRST + 9 * DAY_MS + 3_600_000, FIRST + 12 * DAY_MS)
    text = html_of(month, period=period)
    page = Reader(text)
    assert page.totals == expected_totals(counts_of(month, period))
    assert [row[0] for row in page.rows["days"][1:]] == ["2026-11-10", "2026-11-11", "2026-11-12"]
    assert "only a part of the day was asked about" in text


def test_a_changed_day_is_complete_and_says_so(month: Path) -> None:
    """What changed after its certificate is not certified any more."""
    rows = {row[0]: row for row in Reader(html_of(month)).rows["days"]}
    assert rows["2026-11-05"][1].endswith("complete")
    assert rows["2026-11-05"][-1] == "changed since certificate 1"
    assert rows["2026-11-24"][1].endswith("not listed")
    assert "87.5% of it listed" in rows["2026-11-24"][-1]
    assert "wxrec-async run --from 2026-11-24 --to 2026-11-25" in rows["2026-11-24"][-1]


def test_every_failure_is_named_with_its_command(month: Path) -> None:
    """Reason, day and the command that takes it up; the reasons are summed above."""
    rows = Reader(html_of(month)).rows["failed"]
    counts = counts_of(month)
    failures = [row for row in rows if len(row) == 4 and row[1].startswith("2026-")]
    assert len(failures) == counts.failed + counts.failed_tasks
    assert all(f"wxrec-async run --from {row[1]} --to " in row[3] for row in failures)
    reasons = [int(row[1]) for row in rows if len(row) == 5 and row[1].isdigit()]
    assert sum(reasons) == len(failures)


def test_lists_are_cut_and_say_where_the_rest_is(month: Path) -> None:
    """Failures, queues and runs beyond their limits are counted, and the sums still hold."""
    text = html_of(month, limits=ListLimits(failures=5, names=2, runs=3, certificates=4))
    page = Reader(text)
    counts = counts_of(month)
    assert f"the first 5 of {counts.failed + counts.failed_tasks}" in text
    assert "wxrec-async status --json" in text
    assert "the newest 3 of 30" in page.words
    assert "The newest 4 of 19" in page.words
    queues = [row for row in page.rows["where"] if len(row) == 12]
    queues = queues[: [row[0] for row in queues].index("all others") + 1]
    assert sum(int(row[1].replace(",", "")) for row in queues) == counts.tasks_listed


def test_days_beyond_the_limit_are_summed(month: Path) -> None:
    """The oldest days go into one line, and nothing is lost."""
    page = Reader(html_of(month, limits=ListLimits(days=7)))
    rest = next(row for row in page.rows["days"] if row[0] == "not on any of these days")
    shown = sum(int(row[2].replace(",", "")) for row in page.rows["days"][1:])
    assert int(rest[2].replace(",", "")) > 0
    assert shown == counts_of(month).tasks_listed


@pytest.mark.fault("X28")
def test_runs_are_an_audit_trail(month: Path) -> None:
    """Who ran what with which version over which period, and how it ended; one that goes on is said to."""
    page = Reader(html_of(month))
    rows = page.rows["runs"][1:]
    assert len(rows) == 30
    assert all("wxrec@recorder-1, 0.1.0" in row[5] for row in rows)
    assert rows[0][2] == "not, or killed"
    assert {row[3] for row in rows} == {"", "0, complete", "3, something failed", "5, recordings owed"}
    assert "has not ended" in page.words


def test_certificates_are_listed_with_their_hashes(month: Path) -> None:
    """Day, number, keys and SHA-256, and how the second list was heard."""
    rows = Reader(html_of(month)).rows["certificates"][1:]
    assert len(rows) == 19
    assert "_evidence/2026-11-01/certificate-1.json" in rows[-1][3]
    assert f"{1:064x}" in rows[-1][3]
    assert "tasks-1.jsonl" in rows[-1][3]
    assert {row[4] for row in rows[:-1]} == {"absent"}


def hostile_ledger(path: Path) -> None:
    """Write names that are markup, formulas, controls, turned around or numbers, and times out of any calendar."""
    Month(tasks=200, days=3, certified=0, failing={1: 4}, owing={}, unlisted=-1).write(path)
    names = (
        HOSTILE,
        "=cmd|'/c calc'!A0",
        "a\"b'c",
        "x\u202eexe.wav",
        "nul\x00 and\nline",
        f"call {canaries.PHONE_NUMBER}",
    )
    with writing(path) as connection:
        for n, name in enumerate(names, 1):
            connection.execute(
                "UPDATE tasks SET queue_name = :name, direction = :name, agent_name = :name WHERE n = :n",
                {"name": name, "n": n},
            )
        connection.execute("UPDATE tasks SET origin = ?, destination = ?", (canaries.PHONE_NUMBER,) * 2)
        connection.execute(
            "UPDATE recordings SET detail = ? WHERE state = 'failed'", (f"{HOSTILE} {canaries.PHONE_NUMBER}",)
        )
        connection.execute("UPDATE runs SET who = ?, id = 'r' || n || ?", (HOSTILE, HOSTILE))
        for n, ms in enumerate((-(1 << 62), (1 << 62), -1, 253_402_300_800_000, None), 20):
            connection.execute("UPDATE tasks SET place_ms = ?, created_ms = ? WHERE n = ?", (ms, ms, n))
        connection.execute(
            "INSERT INTO left_alone (id, kind, place_ms) VALUES ('1', ?, 0), ('2', 'screen', 1)", (HOSTILE,)
        )


@pytest.mark.fault("X07", "X17")
@pytest.mark.shows_canaries("a ledger that keeps numbers as they come; its report is searched by the test itself")
def test_hostile_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    """No element and no attribute comes of a name; what would fool an eye is written out; no number shows."""
    path = tmp_path / "wxrec.db"
    hostile_ledger(path)
    text = html_of(path)
    page = Reader(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in page.words
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for sign in ("\x00", "\u202e"):
        assert sign not in text
    assert canaries.found_in(text) == []
    assert page.totals == expected_totals(counts_of(path))
    days = sum(int(row[2].replace(",", "")) for row in page.rows["days"][1:])
    assert days == page.totals["tasks_listed"]
    assert page.rows["days"][-1][:3] == ["not on any of these days", "named by id, or on a day that is not shown", "5"]


def test_it_is_one_file_that_needs_nothing(month: Path) -> None:
    """A policy that forbids everything but its own style; no address of anything outside."""
    text = html_of(month)
    page = Reader(text)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not [tag for tag, attributes in page.tags if "src" in attributes or tag in {"script", "iframe", "object"}]
    assert {link["href"] for link in page.all("link")} == {"data:,"}
    assert "@import" not in text
    assert "url(" not in text
    assert len(text) < 300_000


def test_an_empty_ledger_has_a_page_too(tmp_path: Path) -> None:
    """Nothing listed, nothing run."""
    path = tmp_path / "wxrec.db"
    with writing(path):
        pass
    page = Reader(html_of(path))
    assert "The ledger has no calls yet" in page.words
    assert "no run yet" in page.words
    assert {*page.totals.values()} == {0}


def test_a_finished_period_is_said_to_be_finished(tmp_path: Path) -> None:
    """Only where nothing failed, is owed, unfinished or unlisted."""
    path = tmp_path / "wxrec.db"
    Month(tasks=60, days=4, certified=3, failing={}, owing={}, unlisted=-1, changed_late=-1).write(path)
    period = Window(LAST_DAY_MS - 3 * DAY_MS, LAST_DAY_MS)
    page = Reader(html_of(path, period=period))
    assert "Nothing is missing" in page.words
    assert page.days["certified"] == 3
    assert "Not complete" in Reader(html_of(path)).words


def test_months_without_anything_are_skipped(tmp_path: Path) -> None:
    """A call of 1999 costs one month and a word, not three hundred months."""
    path = tmp_path / "wxrec.db"
    Month(tasks=60, days=4, certified=0, failing={}, owing={}, unlisted=-1).write(path)
    with writing(path) as connection:
        connection.execute("UPDATE tasks SET place_ms = 930000000000 WHERE n = 1")
    page = Reader(html_of(path))
    assert "nothing in the ledger between 1999-06 and 2026-11" in page.words
    assert len(page.rows["days"]) == 1 + 1 + 4


def test_a_run_asked_for_decades_draws_ten_years(tmp_path: Path) -> None:
    """The calendar is bounded whatever a period says, and says where it begins."""
    path = tmp_path / "wxrec.db"
    Month(tasks=60, days=4, certified=0, failing={}, owing={}, unlisted=-1).write(path)
    with writing(path) as connection:
        connection.execute("UPDATE runs SET from_ms = 0")
    page = Reader(html_of(path))
    assert "Days before 2016-" in page.words
    assert 3600 < len(page.rows["days"]) < 3700


def test_what_was_left_alone_is_counted(month: Path, tmp_path: Path) -> None:
    """Contacts of other channels, transcripts, screen recordings."""
    path = tmp_path / "wxrec.db"
    Month(tasks=60, days=4).write(path)
    with writing(path) as connection:
        left = [(str(n), kind, LAST_DAY_MS) for n in range(3) for kind in ("screen", "email")]
        connection.executemany("INSERT INTO left_alone (id, kind, place_ms) VALUES (?, ?, ?)", left)
        connection.execute("UPDATE tasks SET transcripts = 2 WHERE n <= 5")
    rows = {row[0]: row[1] for row in Reader(html_of(path)).rows["left"] if len(row) == 2}
    assert rows["screen recordings"] == rows["email"] == "3"
    assert rows["transcripts noted with their tasks"] == "10"


@pytest.mark.parametrize(
    ("colors", "ink"), [(palette.LIGHT, palette.ON_LIGHT), (palette.DARK, palette.ON_DARK)], ids=["light", "dark"]
)
def test_colours_have_contrast(colors: dict[str, str], ink: dict[str, str]) -> None:
    """Every ink on every ground it is used on, by WCAG 2 AA; 21 to 1 is black on white."""
    assert round(palette.contrast("#000000", "#ffffff"), 2) == 21
    assert [pair for pair in palette.pairs(colors, ink) if palette.contrast(pair[0], pair[1]) < pair[2]] == []


@pytest.mark.parametrize("span", [0, 999, 61_000, 5 * DAY_MS, 29 * DAY_MS, 400 * DAY_MS, 30_000 * DAY_MS])
def test_bars_are_few_and_of_a_round_width(span: int) -> None:
    """Never more than asked for, from a second to decades."""
    width = bar_width(NOW_MS, NOW_MS + span, 48)
    assert (NOW_MS + span) // width - NOW_MS // width < 48
    assert width in WIDTHS_MS or width % WIDTHS_MS[-1] == 0


def test_drawing_leaves_the_interpreter_as_it_was(month: Path) -> None:
    """The charting library's hook in the import system is taken out again."""
    html_of(month)
    assert "pygal" in sys.modules
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")]


def test_the_ledger_is_not_touched(month: Path) -> None:
    """Reading for a report changes no byte of the ledger."""
    before = month.read_bytes()
    html_of(month)
    assert month.read_bytes() == before
    with sqlite3.connect(f"file:{month}?mode=ro", uri=True) as connection:
        assert json.loads(connection.execute("SELECT summary FROM runs LIMIT 1").fetchone()[0])["recordings"] == 1
