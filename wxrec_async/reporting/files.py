"""Report files: private, whole or not there, and never through a link.  Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from wxrec_async.errors import ConfigError, WxrecError

BUFFER = 1 << 18  # characters gathered before they go to the file
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def check_target(path: Path) -> None:
    """Raise `ConfigError`, which names the file and what to do, when no report can be put at ``path``."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: the folder {path.parent} does not exist; create it or name another") from None
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(f"{path} is a symbolic link, which is not followed: name the file itself")
    if stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path} is a folder; name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a regular file; name one, or - for stdout")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Give a file to write to; at the end of the block it takes the place of ``path``, of mode 0600, durably.

    Until then, after a failure, or when the process is killed, what was at
    ``path`` stays as it was.  What an earlier kill left beside it is removed.
    ``ConfigError`` when the file cannot be made, `WxrecError` when the disk is full.
    """
    check_target(path)
    with contextlib.suppress(OSError):
        _sweep(path)
    draft = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.tmp")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    try:
        with _naming(path), os.fdopen(handle, "w", BUFFER, encoding="utf-8", newline="") as file:
            with contextlib.suppress(OSError):  # tells a sweeping process that this one is being written
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(handle, 0o600)
            yield file
            file.flush()
            os.fsync(handle)
            draft.rename(path)
            _sync_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Tell a full disk apart from a fault of the program."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise WxrecError(f"{path} was not written: {error.strerror}; an older one is as it was") from None
        raise


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _sweep(path: Path) -> None:
    """Remove drafts that nobody is writing."""
    for found in path.parent.iterdir():
        if found.name.startswith(_prefix(path)) and found.name.endswith(".tmp"):
            _remove_orphan(found)


def _remove_orphan(draft: Path) -> None:
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    except OSError:
        return  # being written, or gone already
    finally:
        os.close(handle)
