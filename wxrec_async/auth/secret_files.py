"""The token file: replaced only as a whole, by one process at a time.

Everything here blocks and is called in a worker thread.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from wxrec_async.errors import ConfigError
from wxrec_async.plumbing import private_files

# What creating a lock file fails with where nothing can be created, though files can be read.
_NOT_CREATABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


def replace_private(path: Path, text: bytes) -> str | None:
    """Replace the file as a whole and durably; return what the system said when that fails.

    The file is at every moment either the old one or the new one, of mode 0600
    whatever the umask.  What an earlier crash left of this is removed.
    """
    try:
        try:
            _replace(path, text)
        except FileNotFoundError:
            _replace(path, text)  # a process on another machine may have swept it: locks do not reach there
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _replace(path: Path, text: bytes) -> None:
    with private_files.Draft(path) as fd:
        private_files.write_all(fd, text)


class LockFile:
    """An advisory lock beside a file; the system frees it when the process dies, however it dies."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd, self._path = fd, path

    def try_lock(self) -> bool:
        """Take the lock if it is free; raises `ConfigError` where the file system cannot lock."""
        try:
            return private_files.try_lock(self._fd)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be locked: {error.strerror}") from None

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
        return LockFile(private_files.open_private(lock, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK), lock)
    except OSError as error:
        if error.errno not in _NOT_CREATABLE:
            raise private_files.not_opened(lock, error) from None
    try:
        # The others on this machine fail to create it as well, so all of them come here.
        return LockFile(private_files.open_private(path.parent, os.O_RDONLY | os.O_DIRECTORY), path.parent)
    except OSError as error:
        raise private_files.not_opened(path.parent, error) from None
