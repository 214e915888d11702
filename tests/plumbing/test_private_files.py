"""Private files: nobody else's to read, whole or as before, locked against others, never through a link."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wxrec_async.errors import ConfigError
from wxrec_async.plumbing import private_files
from wxrec_async.plumbing.private_files import Draft, holder_of, note_holder, open_private, try_lock, write_all

CREATED = os.O_RDWR | os.O_CREAT
HOLDER = """
import os, sys
from pathlib import Path
from wxrec_async.plumbing.private_files import note_holder, open_private, try_lock
fd = open_private(Path(sys.argv[1]), os.O_RDWR | os.O_CREAT)
print(try_lock(fd), flush=True)
note_holder(fd)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def replaced(path: Path, text: bytes) -> None:
    with Draft(path) as fd:
        write_all(fd, text)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.fault("X10")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_what_is_made_is_private_whatever_the_umask(path: Path, mask: int) -> None:
    """0600, no more and no less, for a file of ours and for one that is replaced; no child inherits it."""
    with umask(mask):
        fd = open_private(path, CREATED)
        replaced(path.with_name("other"), b"x")
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert (mode_of(path), mode_of(path.with_name("other"))) == (0o600, 0o600)


@pytest.mark.fault("X10")
def test_a_replacement_is_private_where_the_old_file_was_not(path: Path) -> None:
    """What others could read of the old one, they cannot read of the new one."""
    path.write_bytes(b"old")
    path.chmod(0o666)
    replaced(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


def test_a_file_of_somebody_else_keeps_its_mode_and_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its owner may change it: whether that is good enough is judged by who asked."""
    path.write_bytes(b"theirs")
    path.chmod(0o644)

    def refused(_fd: int, _mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refused)
    os.close(open_private(path, CREATED))
    assert mode_of(path) == 0o644


def test_a_file_whose_mode_cannot_be_set_is_not_used_and_not_held_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written where it could not be made private."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder is that of this very call

    def broken(_fd: int, _mode: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", broken)
    with pytest.raises(OSError, match="Input/output error"):
        open_private(path, CREATED)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.fault("X10")
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, CREATED, os.O_RDONLY | os.O_DIRECTORY])
def test_no_link_is_followed(path: Path, flags: int) -> None:
    """Neither to a file nor to a folder nor to nowhere, and nothing is made at the end of it."""
    for target in (path.with_name("victim"), path.with_name("folder"), path.with_name("nowhere")):
        link = path.with_name(f"to-{target.name}")
        link.symlink_to(target)
    path.with_name("victim").write_bytes(b"mine")
    path.with_name("folder").mkdir()
    for name in ("victim", "folder", "nowhere"):
        with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
            open_private(path.with_name(f"to-{name}"), flags)
    assert not path.with_name("nowhere").exists()
    assert path.with_name("victim").read_bytes() == b"mine"


@pytest.mark.fault("X10")
def test_a_replacement_takes_the_place_of_a_link_and_spares_what_it_leads_to(path: Path) -> None:
    """Also of a second name: the new file is another one."""
    victim = path.with_name("victim")
    victim.write_bytes(b"mine")
    path.symlink_to(victim)
    replaced(path, b"new")
    hard = path.with_name("hard")
    hard.hardlink_to(victim)
    replaced(hard, b"new")
    assert (path.is_symlink(), path.read_bytes(), hard.read_bytes(), victim.read_bytes()) == (
        False,
        b"new",
        b"new",
        b"mine",
    )


def broken_off(path: Path, failure: BaseException) -> None:
    with Draft(path) as fd:
        write_all(fd, b"half")
        raise failure


@pytest.mark.parametrize("failure", [ValueError("no"), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_whatever_fails_the_old_file_stays_and_nothing_beside_it(path: Path, failure: BaseException) -> None:
    """The failure itself comes out."""
    path.write_bytes(b"old")
    with pytest.raises(type(failure)):
        broken_off(path, failure)
    assert (path.read_bytes(), names(path.parent)) == (b"old", ["file"])


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_step_of_the_replacement_that_fails_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A file whose bytes may not be on the disk never gets the name."""
    path.write_bytes(b"old")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, step, broken)
    with pytest.raises(OSError, match="Input/output error"):
        replaced(path, b"new")
    assert (path.read_bytes(), names(path.parent)) == (b"old", ["file"])


def test_drafts_that_nobody_writes_are_removed_and_those_of_others_and_links_are_left(path: Path) -> None:
    """Ours by name and free of locks; a link of that name is not followed, and what it leads to is left."""
    left, linked = path.with_name(".file.0123456789abcdef.tmp"), path.with_name(".file.linked.tmp")
    other, victim = path.with_name(".other.0123456789abcdef.tmp"), path.with_name("victim")
    for each in (left, other, victim):
        each.write_bytes(b"x")
    linked.symlink_to(victim)
    with Draft(path) as first:
        write_all(first, b"first")
        replaced(path, b"second")
        assert len([name for name in names(path.parent) if name.startswith(".file.")]) == 2
    assert path.read_bytes() == b"first"
    assert names(path.parent) == [linked.name, other.name, "file", "victim"]


def test_a_pipe_that_is_named_like_a_draft_is_not_waited_for(path: Path) -> None:
    """Whoever may make files in the folder could stop every renewal of a token with it."""
    os.mkfifo(path.with_name(".file.pipe.tmp"))
    code = "import sys; from pathlib import Path; from wxrec_async.plumbing.private_files import Draft\n"
    code += "with Draft(Path(sys.argv[1])): pass"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=120)
    assert names(path.parent) == [".file.pipe.tmp", "file"]


def test_a_draft_that_is_swept_before_it_is_locked_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may take it for left over just then; the file is replaced all the same."""
    real = fcntl.flock
    swept: list[Path] = []

    def sweeping(fd: int, operation: int) -> None:
        if not swept:
            (found,) = path.parent.glob(".file.*.tmp")
            swept.append(found)
            found.unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", sweeping)
    replaced(path, b"new")
    assert (path.read_bytes(), names(path.parent)) == (b"new", ["file"])


def test_a_draft_that_is_being_swept_is_made_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper holds its lock already: who sees that does not write into what is about to go."""
    real = fcntl.flock
    sweepers: list[int] = []

    def held(fd: int, operation: int) -> None:
        if not sweepers:
            (found,) = path.parent.glob(".file.*.tmp")
            sweepers.append(os.open(found, os.O_WRONLY))
            real(sweepers[0], fcntl.LOCK_EX)
            found.unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", held)
    replaced(path, b"new")
    os.close(sweepers[0])
    assert (path.read_bytes(), names(path.parent)) == (b"new", ["file"])


def test_where_nothing_can_be_locked_files_are_replaced_and_no_draft_is_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without locks is no reason to lose a token, nor to remove what somebody may be writing."""
    left = path.with_name(".file.0123456789abcdef.tmp")
    left.write_bytes(b"x")

    def cannot(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", cannot)
    replaced(path, b"new")
    assert (path.read_bytes(), names(path.parent)) == (b"new", [left.name, "file"])
    with open_for(path) as fd, pytest.raises(OSError, match="No locks available"):
        try_lock(fd)


@contextmanager
def open_for(path: Path) -> Iterator[int]:
    fd = open_private(path, CREATED)
    try:
        yield fd
    finally:
        os.close(fd)


def test_a_lock_is_held_by_one_names_its_holder_and_ends_with_it(path: Path) -> None:
    """By another process, which is killed: nothing of it stays but the name in the file."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with (
        open_for(path) as fd,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        pid = child.stdout.readline().strip()
        assert (try_lock(fd), holder_of(fd)) == (False, pid)
        child.kill()
        child.wait(30)
        assert try_lock(fd)
        note_holder(fd)
        assert holder_of(fd) == str(os.getpid())


def test_a_full_disk_keeps_nobody_from_a_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is for people only."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with open_for(path) as fd:
        assert try_lock(fd)
        note_holder(fd)
        assert holder_of(fd) == ""


def test_what_is_written_in_pieces_is_written_to_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call may take less than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    replaced(path, b"more than three bytes")
    assert path.read_bytes() == b"more than three bytes"


@pytest.mark.fault("X10")
def test_what_is_too_large_to_be_a_secret_is_not_read(path: Path) -> None:
    """A wrong name must not fill the memory."""
    with open_for(path) as fd:
        os.ftruncate(fd, private_files.LIMIT + 1)
    with pytest.raises(ConfigError, match="larger than"):
        private_files.read_private(path)
    with open_for(path) as fd:
        os.ftruncate(fd, private_files.LIMIT)
    assert private_files.read_private(path) == b"\0" * private_files.LIMIT
