"""Files that are ours alone: read only when nobody else can, replaced only as a whole, never through a link.

Everything here blocks and is called in a worker thread.  POSIX only, as flock is.
Failures are the system's own `OSError`, unless said otherwise: what they mean, and
what to do about them, is known by who asked for the file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType

from wxrec_async.errors import ConfigError, RemoteError, WxrecError

PRIVATE = 0o600
LIMIT = 1 << 20  # bytes; no file of secrets comes near it
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 3


def open_private(path: Path, flags: int) -> int:
    """Open a file, never through a symbolic link; with ``O_CREAT`` it has mode 0600 whatever the umask."""
    fd = os.open(path, flags | _SAFE, PRIVATE)
    if flags & os.O_CREAT:
        try:
            os.fchmod(fd, PRIVATE)
        except PermissionError:
            pass  # another user's file keeps its mode
        except BaseException:
            os.close(fd)
            raise
    return fd


# Reading secrets


def read_private(path: Path) -> bytes | None:
    """Return the whole file, or None when there is none.

    Raises `ConfigError` that names the file and what to do when it is a link, no
    regular file, another user's, open to others, too large or not readable; `RemoteError`
    when the process has too many files open.
    """
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for a writer.
        fd = open_private(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise not_opened(path, error) from None
    try:
        # What was opened is judged, not what the name leads to: that may be another file by now.
        _check(path, os.fstat(fd))
        return os.read(fd, LIMIT)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)


def not_opened(path: Path, error: OSError) -> WxrecError:
    """Say why a file of secrets, or its lock, could not be opened, and what to do."""
    if error.errno == errno.ELOOP:
        return ConfigError(f"{path} is a symbolic link, which is not followed for secrets: name the file itself")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return RemoteError(f"{path} cannot be opened now: {error.strerror}")  # passes; a wrong mode does not
    return ConfigError(f"{path} cannot be opened: {error.strerror}")


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a regular file")
    if found.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to another user: it must be owned by the user who runs this (chown)")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"{path} holds secrets and is open to other users: chmod 600 {path}")
    if found.st_size > LIMIT:
        raise ConfigError(f"{path} is larger than {LIMIT} bytes; that is not a file of secrets")


# Replacing a file as a whole


class Draft:
    """A new file that takes the place of ``path`` at the end of the block, if that ends well: mode 0600, durably.

    Until then, after a failure, or when the process is killed, what was at ``path``
    stays as it was.  What an earlier kill left beside it is removed.  Entering gives
    the descriptor to write to; it is closed here.
    """

    def __init__(self, path: Path) -> None:
        # What cannot be cleared up is no reason not to write.
        with contextlib.suppress(OSError):
            _sweep(path)
        self._path = path
        self._draft, self._fd = _created_beside(path)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                if kind is None:
                    # Synced before it gets the name: the name must never lead to bytes that are not on the disk.
                    os.fsync(self._fd)
                    put_in_place(self._draft, self._path)
            finally:
                self._draft.unlink(missing_ok=True)
        finally:
            os.close(self._fd)  # last, as its lock ends here: a sweeping process keeps off until all is done


def write_all(fd: int, data: bytes) -> None:
    """Write to the end: one call may take only a part, where the disk is nearly full or a signal comes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def put_in_place(draft: Path, path: Path) -> None:
    """Give a finished draft in the same folder its name, durably."""
    # The name is in the folder's own blocks, so the folder is synced after it, or a power cut could take it back.
    draft.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _created_beside(path: Path) -> tuple[Path, int]:
    """Create a draft and lock it; another one when a sweeping process took it for left over between the two."""
    for _ in range(_ATTEMPTS):
        draft = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.tmp")
        fd = open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        if _is_kept(fd):
            return draft, fd
        os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "drafts are removed as soon as they are made", str(path))


def _is_kept(fd: int) -> bool:
    try:
        return try_lock(fd) and os.fstat(fd).st_nlink > 0
    except OSError:
        return True  # where nothing can be locked, nothing is swept either


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _sweep(path: Path) -> None:
    """Remove the drafts of ``path`` that nobody is writing."""
    prefix = _prefix(path)
    for found in path.parent.iterdir():
        if found.name.startswith(prefix) and found.name.endswith(".tmp"):
            _remove_orphan(found)


def _remove_orphan(draft: Path) -> None:
    try:
        fd = open_private(draft, os.O_WRONLY | os.O_NONBLOCK)  # a FIFO of that name would be waited for otherwise
    except OSError:
        return
    try:
        if try_lock(fd):  # else it is being written by another process
            draft.unlink(missing_ok=True)
    except OSError:
        return
    finally:
        os.close(fd)


# Locks.  The system frees them when the process dies, however it dies.  A lock file is never removed: a removed one
# can be held twice.


def try_lock(fd: int) -> bool:
    """Take the advisory lock of an open file until it is closed, if it is free."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def note_holder(fd: int) -> None:
    """Write our process id into a lock file we hold, for people to read."""
    with contextlib.suppress(OSError):  # a full disk must not hide behind the pid, which is for people only
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)


def holder_of(fd: int) -> str:
    """Return the process id that stands in a lock file, "" when none does."""
    return os.pread(fd, 20, 0).decode("ascii", "replace").strip()
