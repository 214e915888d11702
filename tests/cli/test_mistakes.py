"""One mistake, one line, one exit code: what a person reads who made it, in the table of `mistakes.md`."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wxrec_async.cli.app import app

Prepare = Callable[[Path], None]
WELL = '[s3]\nbucket = "b"\n'
ID, SECRET = "C" + "0123456789abcdef" * 4, "fedcba9876543210" * 4


def text(name: str, content: str | bytes, mode: int = 0o600) -> Prepare:
    def write(folder: Path) -> None:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    return write


def config(more: str = "", before: bytes = b"") -> Prepare:
    return text("config.toml", before + (WELL + more).encode())


def all_of(*steps: Prepare) -> Prepare:
    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def folder_called(name: str) -> Prepare:
    return lambda folder: (folder / name).mkdir()


def nothing(_: Path) -> None:
    """Prepare nothing."""


CREDENTIALS = text("secrets.json", json.dumps({"client_id": ID, "client_secret": SECRET, "org_id": "org-1"}))
TOKENS = text("tokens.json", json.dumps({"access_token": "a", "refresh_token": "r", "expires_at": 1}))
READY = all_of(CREDENTIALS, TOKENS)
WRITE_ANEW = "write it anew, with client_id and client_secret from the integration's page at developer.webex.com"


@dataclass(frozen=True)
class Mistake:
    """How one is made; PORT in the command is one on which nobody listens."""

    name: str
    prepare: Prepare
    command: str
    environment: tuple[tuple[str, str], ...] = ()


MISTAKES = (
    Mistake("no configuration", nothing, "run"),
    Mistake("configuration not there", nothing, "run --config other.toml"),
    Mistake("configuration is a folder", folder_called("conf"), "run --config conf"),
    Mistake("byte order mark", config(before=b"\xef\xbb\xbf"), "run"),
    Mistake("UTF-16", text("config.toml", WELL.encode("utf-16")), "run"),
    Mistake("no TOML", text("config.toml", "[s3]\nbucket = b\n"), "run"),
    Mistake("misspelt key", config("regoin = 'x'\n"), "status"),
    Mistake("misspelt section", config("[webx]\nregion = 'us1'\n"), "status"),
    Mistake("key of another section", config("[backfill]\nbucket = 'x'\n"), "config show"),
    Mistake("one underscore", config(), "run", (("WXREC_S3_BUCKET", "x"),)),
    Mistake("one underscore, two words", config(), "status", (("WXREC_BACKFILL_DAYS_BACK", "3"),)),
    Mistake("misspelt variable", config(), "run", (("WXREC_S3__BUKET", "x"),)),
    Mistake("text for a number", config("[backfill]\nconcurrency = 'many'\n"), "run"),
    Mistake("no region of Webex", config("[webex]\nregion = 'us9'\n"), "run"),
    Mistake("key without the task", config("key = 'calls/{recording_id}{ext}'\n"), "run"),
    Mistake("plain http", config("endpoint_url = 'http://s3.example.org'\n"), "run"),
    Mistake("flag for nobody", config(), "run --frm 2026-01-01"),
    Mistake("no such command", config(), "rum"),
    Mistake("group alone", config(), "ledger"),
    Mistake("flag without its value", config(), "run --rate"),
    Mistake("flag of another command", config(), "--limit 3 status"),
    Mistake("one word too many", config(), "status now"),
    Mistake("no duration", config(), "run --max-duration soon"),
    Mistake("no level", config(), "status --log-level loud"),
    Mistake("no date", config(), "run --from yesterday"),
    Mistake("backwards", config(), "run --from 2026-02-01 --to 2026-01-01"),
    Mistake("two beginnings", config(), "run --from 2026-01-01 --days-back 3"),
    Mistake("no file of ids", config(), "run --task-ids-from ids.txt"),
    Mistake("empty file of ids", all_of(config(), text("ids.txt", "\n")), "run --task-ids-from ids.txt"),
    Mistake("no ids", all_of(config(), text("ids.txt", "a call\n")), "run --task-ids-from ids.txt"),
    Mistake("two columns", all_of(config(), text("ids.txt", "a,b\n")), "run --task-ids-from ids.txt"),
    Mistake("ids and a period", config(), "run --task-ids-from - --from 2026-01-01"),
    Mistake("limited follower", config(), "run --follow --limit 3"),
    Mistake("no credentials", config(), "run"),
    Mistake("truncated credentials", all_of(config(), text("secrets.json", '{"client_id": "C1')), "run"),
    Mistake("credentials without secret", all_of(config(), text("secrets.json", '{"client_id": "C1"}')), "run"),
    Mistake(
        "id and secret swapped",
        all_of(config(), text("secrets.json", json.dumps({"client_id": SECRET, "client_secret": ID}))),
        "run",
    ),
    Mistake("open credentials", all_of(config(), text("secrets.json", "{}", 0o644)), "run"),
    Mistake("no login yet", all_of(config(), CREDENTIALS), "run"),
    Mistake("tokens without refresh token", all_of(config(), CREDENTIALS, text("tokens.json", "{}")), "run"),
    Mistake("no bundle", all_of(config(), READY), "run --ca-bundle ca.pem"),
    Mistake("S3 away", all_of(config(), READY), "run --endpoint-url http://127.0.0.1:PORT"),
    Mistake("S3 away, verify", all_of(config(), READY), "ledger rebuild --endpoint-url http://127.0.0.1:PORT"),
    Mistake(
        "S3 misnamed",
        all_of(config("[webex]\nbase_url = 'http://localhost:1/v1'\n"), READY),
        "run --endpoint-url https://s3.invalid",
    ),
    Mistake("no ledger yet", config(), "status"),
    Mistake("ledger is a folder", all_of(config(), folder_called("wxrec.db")), "status"),
    Mistake("folder of the ledger missing", config(), "status --ledger away/wxrec.db"),
    Mistake("ledger is a text", all_of(config(), text("wxrec.db", "hello, hello, hello" * 9)), "status"),
    Mistake("report of nothing", config(), "report"),
    Mistake("two reports on stdout", config(), "report --csv - --jsonl -"),
    Mistake("age without the prefix", config(), "cleanup --older-than 8h"),
    Mistake("cleanup without a ledger", config(), "cleanup"),
    Mistake("merge and replace", config(), "ledger rebuild --merge --replace"),
)


TABLE = {
    name: (int(code), line)
    for name, code, line in (
        [cell.strip() for cell in row.strip("|\n ").split(" | ", 2)]
        for row in (Path(__file__).parent / "mistakes.md").read_text("utf-8").splitlines()
        if row.startswith("| ") and not row.startswith("| mistake")
    )
}


def test_every_mistake_is_in_the_table_and_made() -> None:
    """At least 35 of them."""
    assert list(TABLE) == [mistake.name for mistake in MISTAKES]
    assert len(TABLE) >= 35


@pytest.fixture
def port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found: int = closed.getsockname()[1]
        return found


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name for mistake in MISTAKES])
def test_a_mistake_is_one_line_that_says_what_to_do(
    mistake: Mistake, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its exit code is that of the table, whichever command was given."""
    for name in [name for name in os.environ if name.startswith(("WXREC_", "AWS_")) or name.lower() == "https_proxy"]:
        monkeypatch.delenv(name)
    for name, value in (("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "k"), *mistake.environment):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    mistake.prepare(tmp_path)
    command = mistake.command.replace("PORT", str(port)).split()
    done = CliRunner().invoke(app, command, prog_name="wxrec-async")
    last = done.stderr.splitlines()[-1].replace(str(tmp_path), "FOLDER").replace(str(port), "PORT")
    code, line = TABLE[mistake.name]
    assert (done.exit_code, last) == (code, f"error: {line}")
    assert not done.stdout
