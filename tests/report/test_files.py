"""Report files: private, whole or as before, never through a link."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.report.kit import written
from wxrec_async.errors import ConfigError, WxrecError
from wxrec_async.reporting import Wanted
from wxrec_async.reporting.output_files import replacing

CHILD = """
import os, sys
from pathlib import Path
from wxrec_async.reporting.output_files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write("half of a new report")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def others(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix == ".tmp")


@pytest.mark.fault("X10")
@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_a_report_is_private_whatever_the_umask(month: Path, tmp_path: Path, mask: int) -> None:
    """0600, also where an older one could be read by everybody."""
    paths = {name: tmp_path / f"report.{name}" for name in ("html", "csv", "jsonl")}
    paths["html"].write_text("old")
    paths["html"].chmod(0o644)
    before = os.umask(mask)
    try:
        written(month, Wanted(html=paths["html"], csv=paths["csv"], jsonl=paths["jsonl"]))
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths.values()] == [0o600] * 3
    assert others(tmp_path) == []


@pytest.mark.fault("X10")
def test_a_link_is_not_followed(month: Path, tmp_path: Path) -> None:
    """Neither one to a file nor one to nowhere; what it leads to stays as it is.  A second name keeps the old text."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for target in (victim, tmp_path / "nowhere"):
        link = tmp_path / f"to-{target.name}.html"
        link.symlink_to(target)
        with pytest.raises(ConfigError, match="symbolic link"):
            written(month, Wanted(html=link))
        assert link.is_symlink()
    hard = tmp_path / "hard.html"
    hard.hardlink_to(victim)
    written(month, Wanted(html=hard))
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("what", ["folder", "device", "parent"])
def test_what_is_no_place_for_a_report_is_refused(month: Path, tmp_path: Path, what: str) -> None:
    """One sentence that names it, before anything is read."""
    path = {"folder": tmp_path, "device": Path("/dev/null"), "parent": tmp_path / "no" / "report.html"}[what]
    with pytest.raises(ConfigError, match=r"folder|regular file"):
        written(month, Wanted(html=path))


def test_the_ledger_is_never_replaced(month: Path) -> None:
    """Nor what lies beside it, nor one report by the other, whatever the way to the name."""
    for name in ("wxrec.db", "wxrec.db-wal", "wxrec.db.lock"):
        with pytest.raises(ConfigError, match="belongs to the ledger"):
            written(month, Wanted(csv=month.parent / ".." / month.parent.name / name))
    same = month.parent / "same"
    with pytest.raises(ConfigError, match="two reports"):
        written(month, Wanted(csv=same, jsonl=month.parent / "." / "same"))


@pytest.mark.fault("K20")
def test_killed_in_the_middle_leaves_the_old_report_whole(tmp_path: Path) -> None:
    """SIGKILL while half is written: the half never gets the name, and the next report tidies it up."""
    path = tmp_path / "report.html"
    path.write_text("the old report")
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        with replacing(path) as file:  # one that is being written is left alone by others
            file.write("another")
        assert len(others(tmp_path)) == 1
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    assert path.read_text() == "another"
    assert len(others(tmp_path)) == 1
    with replacing(path) as file:
        file.write("the new report")
    assert path.read_text() == "the new report"
    assert others(tmp_path) == []


@pytest.mark.fault("K20")
def test_the_command_killed_leaves_the_old_report_whole(month: Path, tmp_path: Path) -> None:
    """`report --csv` itself, killed at whatever moment: old or new, never half."""
    path = tmp_path / "report.csv"
    written(month, Wanted(csv=path))
    whole = path.read_bytes()
    (tmp_path / "config.toml").write_text('[s3]\nbucket = "b"\n', encoding="utf-8")
    command = [sys.executable, "-m", "wxrec_async", "report", "--ledger", str(month), "--csv", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path) as child:
        deadline = time.monotonic() + 30
        while not others(tmp_path) and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        child.kill()
        child.wait(10)
    assert path.read_bytes() == whole


def begun_and_broken_off(path: Path, failure: Exception) -> None:
    with replacing(path) as file:
        file.write("new")
        raise failure


def test_a_failure_leaves_the_old_report(tmp_path: Path) -> None:
    """Whatever goes wrong within, the draft is gone and the old one is there."""
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="no"):
        begun_and_broken_off(path, RuntimeError("no"))
    assert path.read_text() == "old"
    assert others(tmp_path) == []


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    """Not a fault of the program; the old report is as it was."""
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(WxrecError, match=r"report\.html was not written: No space left"):
        begun_and_broken_off(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert path.read_text() == "old"
