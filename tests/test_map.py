"""The map of the house: what it names is there, and a stranger's questions are answered in one step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
MAP = HOME / ".github" / "ARCHITECTURE.md"
PAGES = (MAP, HOME / ".github" / "CONTRIBUTING.md", HOME / "wxrec_async" / "docs" / "glossary.md")
PATH = re.compile(r"`((?:wxrec_async|tests)/[\w/.]*)`")
ROW = re.compile(r"^\| (where|who|what|which|under|how|when|in) (.+?) \| (.+) \|$", re.MULTILINE)
QUESTIONS = {
    "where does a 429 wait": "pacing",
    "decides that a call is owed": "rules/selection",
    "decides that a call has no recording": "rules/finality",
    "writes a certificate": "evidence/",
    "would a second store go": "s3/",
    "closes a window": "rules/finality",
    "under which key": "rules/keys",
    "300 calls a minute": "plumbing/pacer",
    "refreshes the token": "auth/refresher",
    "aborted after a crash": "flow/recovery",
    "on Ctrl-C": "cli/signals",
    "an exit code": "flow/summary",
    "secrets and phone numbers masked": "rules/redact",
    "private file written": "plumbing/private_files",
    "bucket opened": "wiring/bucket",
    "column of the ledger": "ledger/",
    "worker of a fleet": "temporal/",
    "simulator answer": "sandbox/",
    "tried again": "rules/retry",
    "memory is used": "plumbing/pool",
    "broken download": "webex/media_stream",
    "in which order are windows": "rules/windows",
    "two recordings under one id": "rules/identity",
    "Retry-After": "rules/retry",
    "address of a media URL": "rules/media_urls",
    "sidecar written": "flow/sidecar_writer",
    "progress bar": "cli/live_display",
    "older ledger": "ledger/migrations",
    'before "stored" is said': "s3/verified_write",
}


def text() -> str:
    return MAP.read_text("utf-8")


def test_the_map_names_files_that_exist() -> None:
    """Every path in it, and in what is read beside it, is a file or a folder of this tree."""
    assert len(set(PATH.findall(text()))) > 40
    named = {path for page in PAGES for path in PATH.findall(page.read_text("utf-8"))}
    assert [each for each in sorted(named) if not (HOME / each).exists()] == []


def test_the_map_has_every_room() -> None:
    """A room without a line in the table is one that a stranger does not find."""
    rooms = {path.parent for path in (HOME / "wxrec_async").glob("*/__init__.py")}
    assert [each.name for each in sorted(rooms) if f"`wxrec_async/{each.name}/`" not in text()] == []


@pytest.mark.parametrize("asked", QUESTIONS)
def test_a_strangers_question_is_answered_in_one_step(asked: str) -> None:
    """One row of the table has the question, and names the place."""
    rows = [f"{first} {rest} {answer}" for first, rest, answer in ROW.findall(text()) if asked in f"{first} {rest}"]
    assert len(rows) == 1
    assert QUESTIONS[asked] in rows[0]
    assert PATH.search(rows[0])
