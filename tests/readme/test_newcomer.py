"""The newcomer's path: every shell block of the README is typed as it stands, or is listed here with the reason."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.readme.terminal import Terminal, newcomers_clone
from tests.readme.text import Block, blocks, named

TOUR = "Every command once, on the simulated organisation"
WEBEX = "Set up Webex"
# What the kept screens and today's must agree on: it comes from the organisation, not from the hour.
FIGURES = re.compile(r"tasks to ask +(\d+) of (\d+)|(\d+) to captures$|^  recordings  (\d+)", re.MULTILINE)

# A block is known by a piece of its first line.
NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install --quiet . ": ".ci/run runs it, in a fresh clone",
    "python3 -m venv .venv && .venv/bin/pip install --quiet -e ": ".ci/run runs it, and it runs this",
    "pipx install .": "installs for the whole user account",
    "wxrec-async login\n": "needs a person in a browser; tests/login has both ways against the sandbox",
    "aws s3api ": "needs an AWS account; test_snippets reads the files it names",
    "aws secretsmanager ": "needs an AWS account; tests/login and tests/auth have both secrets against a server",
    "podman build ": "needs a builder of images; tests/deploy lints the file and runs its steps",
    "temporal server start-dev ": "tests/temporal starts server, workers and run",
    "wxrec-async worker --temporal temporal.internal": "needs machines; tests/temporal has two organisations",
    "temporal schedule create ": "tests/temporal creates such a schedule",
    ".venv/bin/python -m tests.benchmarks": "takes an hour; tests/benchmarks and tests/memory have each in small",
}
NIGHTLY, AUDIT = "#!/bin/sh\n# The summary", "#!/bin/sh\n# audit.sh"
CAMPAIGNS = ".venv/bin/python -m tests.nemesis"  # tests/nemesis runs the first; the second takes a quarter of an hour
EVIDENCE = "wxrec-async verify --evidence\n"  # tests/evidence
TYPED_ELSEWHERE = (
    "chmod 600 secrets.json",
    "wxrec-async login --tokens-from",
    "wxrec-async report --html report.html --from",
    NIGHTLY,
    AUDIT,
    EVIDENCE,
    CAMPAIGNS,
)


def tour() -> list[Block]:
    return [block for block in blocks("bash") if block.section == TOUR]


def shell_block(beginning: str) -> Block:
    (found,) = [block for block in blocks("bash") if block.body.startswith(beginning)]
    return found


@dataclass
class Office:
    """Two terminals in a clone: one for the sandbox, one to work in."""

    home: Path
    first: Terminal
    second: Terminal
    folder: Path

    @property
    def exports(self) -> str:
        """What the sandbox printed to be pasted."""
        shown = (self.home / "first.screen").read_text(encoding="utf-8")
        return "\n".join(line for line in shown.splitlines() if line.startswith("export "))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Start the simulated organisation as the tour's first block says, and paste what it prints."""
    home = tmp_path_factory.mktemp("home")
    clone = newcomers_clone(home)
    with Terminal(clone, home, "first") as first, Terminal(clone, home, "second") as second:
        first.begin(tour()[0].body)
        first.wait_for("--config ")
        there = Office(home, first, second, home / "wxrec-tour")
        second.do(f". .venv/bin/activate\n{there.exports}")  # each test by itself, not only after the tour
        yield there


def screen_after(block: Block) -> str:
    """Return the text block that shows what ``block`` prints."""
    return next(shown.body for shown in blocks("text") if shown.line > block.line)


def test_every_shell_block_is_run_or_listed() -> None:
    """Nobody adds a command to the README that is never tried; no reason outlives its block."""
    known = {block.body for block in tour()} | {shell_block(start).body for start in TYPED_ELSEWHERE}
    others = [block for block in blocks("bash") if block.body not in known]
    assert [block.body for block in others if not block.body.startswith(tuple(NOT_RUN))] == []
    assert [start for start in NOT_RUN if not any(block.body.startswith(start) for block in others)] == []


def test_the_tour_leads_from_a_clone_to_a_rebuilt_ledger(office: Office) -> None:
    """Examined, planned, begun, watched, killed, finished, verified, tidied, lost and rebuilt: as it is written."""
    _, doctor, plan, kill, rest, tidy, rebuild = tour()
    shown = office.second.do(doctor.body)
    assert "exit 0: nothing is wrong" in shown
    for line in screen_after(doctor).splitlines():
        assert line == "…" or line[:25] in shown, f"doctor shows no line like {line!r}"
    shown = office.second.do(plan.body)
    assert FIGURES.findall(screen_after(plan)) == FIGURES.findall(shown)[:2]
    assert len(re.findall(r"^nothing was moved", shown, re.MULTILINE)) == 2
    for words in ("10 stored", "exit 6\n", "exit 6: stopped before everything was done"):
        assert words in shown
    shown = office.second.do(kill.body)
    assert "still going on, or killed" in shown
    assert "killed\n" in shown.partition("still going on, or killed")[2]
    shown = office.second.do(rest.body)
    assert "exit 0: complete" in shown
    assert FIGURES.findall(screen_after(rest)) == FIGURES.findall(shown)
    for level in ("head", "full"):
        assert re.search(rf"(\d+) stored recordings looked at \({level}\): \1 ok, 0 missing", shown)
    assert "exit 0: certified: every task" in shown
    shown = office.second.do(tidy.body)
    for words in ("report.html: html, ", "0 B stored by this run", "0 unfinished uploads", "concurrency = 64"):
        assert words in shown
    shown = office.second.do(rebuild.body)
    assert "downloads none of this" in shown
    assert "0 B stored by this run" in shown


def test_credentials_and_a_service_apps_tokens_are_taken_in(office: Office) -> None:
    """`chmod` makes the file one the program reads; a reply of the shown form is stored, checked and removed."""
    shown_form = [json.loads(block.body) for block in blocks("json") if block.section == WEBEX]
    assert [set(form) for form in shown_form] == [
        {"client_id", "client_secret", "org_id"},
        {"access_token", "refresh_token", "expires_in", "refresh_token_expires_in"},
    ]
    folder, org = office.home / "service-app", office.folder / "org"
    folder.mkdir()
    office.second.do(f"cd {folder}; umask 022; cat {org}/secrets.json > secrets.json")
    office.second.do(shell_block("chmod 600 secrets.json").body)
    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600
    tokens = json.loads((org / "tokens.json").read_text(encoding="utf-8"))
    reply = {name: tokens.get(name, value) for name, value in shown_form[1].items()}
    (folder / "reply.json").write_text(json.dumps(reply), encoding="utf-8")
    settings = (org / "config.toml").read_text(encoding="utf-8")
    settings = settings.replace(f"{org}/secrets.json", "secrets.json").replace(f"{org}/tokens.json", "tokens.json")
    (folder / "config.toml").write_text(settings, encoding="utf-8")
    shown = office.second.do(shell_block("wxrec-async login --tokens-from").body)
    assert "logged in to organisation" in shown
    assert not (folder / "reply.json").exists()
    assert stat.S_IMODE((folder / "tokens.json").stat().st_mode) == 0o600


def test_the_ledger_goes_on_paper(office: Office) -> None:
    """A page of a month, private; rows on stdout for whoever reads on."""
    office.second.do("cd ~/wxrec-tour; cp org/config.toml config.toml; wxrec-async run")
    shown = office.second.do(shell_block("wxrec-async report --html report.html --from").body)
    assert "report.html: html, " in shown
    assert "\nkind,task_id,recording_id,state," in shown
    page = office.folder / "report.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_nightly_script_tells_fine_from_a_person_is_needed(office: Office) -> None:
    """0 is fine; a failed recording is named; a configuration that cannot be used ends with its code and its line."""
    (office.folder / "nightly.sh").write_text(named("file: nightly.sh").body, encoding="utf-8")
    office.second.do("cd ~/wxrec-tour; cp org/config.toml config.toml")
    assert "fine (0), the schedule goes on" in office.second.do("sh nightly.sh")
    summary = (office.folder / "outcomes.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(summary)["event"] == "summary"
    shown = office.second.do("WXREC_S3__BUCKETT=x sh nightly.sh || echo ended with $?")
    for words in ("a person is needed (2)", "did you mean [s3] bucket?", "ended with 2"):
        assert words in shown
    few = "WXREC_LEDGER__PATH=other.db WXREC_FILTERS__MIN_DURATION_SECONDS=500"
    shown = office.second.do(f"{few} WXREC_BACKFILL__MAX_RECORDING_GIB=0.005 sh nightly.sh")
    assert "some failed, the next run tries again" in shown
    assert '"reason": "too_large"' in shown or '"reason":"too_large"' in shown
