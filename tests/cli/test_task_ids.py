"""``--task-ids-from``."""

from __future__ import annotations

from pathlib import Path

import pytest

from wxrec_async.cli.task_ids import TaskIds
from wxrec_async.errors import ConfigError

from .kit import Cli


def test_blank_lines_and_comments_are_skipped(cli: Cli) -> None:
    """One id a line; a byte order mark, CRLF and spaces around an id are no part of it."""
    (cli.folder / "ids").write_bytes(b"\xef\xbb\xbft-1\r\n\r\n# a comment\n  t-2 \n\nt-3")
    assert cli("--task-ids-from", "ids").exit_code == 0
    assert cli.backfill.asked["task_ids"] == ["t-1", "t-2", "t-3"]


def test_a_dash_is_stdin(cli: Cli) -> None:
    """Ids come through a pipe, too."""
    assert cli("run", "--task-ids-from", "-", input="t-1\n\nt-2\n").exit_code == 0
    assert cli.backfill.asked["task_ids"] == ["t-1", "t-2"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"t-1\nt-\xff\n", "line 2 is not UTF-8"), (b"# nothing\n\n", "no task id"), (None, "No such file")],
)
def test_a_useless_file_is_refused_before_anything_begins(cli: Cli, content: bytes | None, words: str) -> None:
    """Missing, empty or not text: exit 2 with the flag's name."""
    if content is not None:
        (cli.folder / "ids").write_bytes(content)
    done = cli("--task-ids-from", "ids")
    assert done.exit_code == 2
    assert "--task-ids-from ids" in done.stderr
    assert words in done.stderr
    assert cli.backfill.asked == {}


def test_a_file_is_read_as_it_is_used(tmp_path: Path) -> None:
    """A million ids are not held in memory: what changes after the first look is seen."""
    path = tmp_path / "ids"
    path.write_text("t-1\n")
    ids = TaskIds(str(path))
    path.write_text("t-1\nt-2\n")
    assert list(ids) == ["t-1", "t-2"]
    path.unlink()
    with pytest.raises(ConfigError):
        list(ids)
