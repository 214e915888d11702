"""Files that hold secrets: read only when nobody else can, replaced only as a whole.

Everything here blocks and is called in a worker thread.  POSIX only, as flock is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

from wxrec_async.errors import ConfigError, Trouble, WxrecError

LIMIT = 1 << 20  # bytes; no credentials or token file comes near it
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
# What creating a lock file fails with where nothing can be created, though files can be read.
_NOT_CREATABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


def read_private(path: Path) -> bytes | None:
    """Return the whole file, or None when there is none.

    Raises `ConfigError` that names the file and what to do when it is a link, no
    regular file, another user's, open to others, too large or not readable; `Trouble`
    when the process has too many files open.
    """
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_opened(path, error) from None
    try:
        _check(path, os.fstat(fd))
        return _read(path, fd)
    finally:
        os.close(fd)


def _not_opened(path: Path, error: OSError) -> WxrecError:
    if error.errno == errno.ELOOP:
        return ConfigError(f"{path} is a symbolic link, which is not followed for secrets: name the file itself")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return Trouble(f"{path} cannot be opened now: {error.strerror}")  # passes; a wrong mode does not
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


def _read(path: Path, fd: int) -> bytes:
    try:
        return os.read(fd, LIMIT)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def replace_private(path: Path, text: bytes) -> str | None:
    """Replace the file as a whole and durably; return what the system said when that fails.

    The file is at every moment either the old one or the new one, of mode 0600
    whatever the umask.  What an earlier crash left of this is removed.
    """
    with contextlib.suppress(OSError):
        _sweep(path)
    try:
        try:
            _replace(path, text)
        except FileNotFoundError:
            _replace(path, text)  # another process swept the file between its creation and its lock
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _replace(path: Path, text: bytes) -> None:
    temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600)
    try:
        with os.fdopen(fd, "wb", buffering=0):
            # The lock tells a sweeping process that this one is being written, not left over.
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(fd, 0o600)
            _write_all(fd, text)
            os.fsync(fd)
            temporary.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_all(fd: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _sweep(path: Path) -> None:
    """Remove temporary files that nobody is writing."""
    prefix = _prefix(path)
    for found in path.parent.iterdir():
        if found.name.startswith(prefix) and found.name.endswith(".tmp"):
            _remove_orphan(found)


def _remove_orphan(temporary: Path) -> None:
    try:
        fd = os.open(temporary, os.O_WRONLY | _OPEN)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink()
    except OSError:
        return  # being written by another process, or gone already
    finally:
        os.close(fd)


class LockFile:
    """An advisory lock beside a file; the system frees it when the process dies, however it dies."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd, self._path = fd, path

    def try_lock(self) -> bool:
        """Take the lock if it is free; raises `ConfigError` where the file system cannot lock."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be locked: {error.strerror}") from None
        return True

    def close(self) -> None:
        """Let go; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close  # a caller cancelled while the file was being opened never gets to close it


def open_lock(path: Path) -> LockFile:
    """Open ``<path>.lock``, which is never removed: a removed lock file can be held twice.

    Where it cannot be created the folder itself is locked: a read-only folder or a full
    disk must not end a run that can go on with the token it has.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        return LockFile(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | _OPEN, 0o600), lock)
    except OSError as error:
        if error.errno not in _NOT_CREATABLE:
            raise _not_opened(lock, error) from None
    try:
        return LockFile(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | _OPEN), path.parent)
    except OSError as error:
        raise _not_opened(path.parent, error) from None
