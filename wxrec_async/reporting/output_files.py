"""Report files: private, whole or not there, and never through a link.  Everything here blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from wxrec_async.errors import ConfigError, WxrecError
from wxrec_async.plumbing.private_files import Draft

BUFFER = 1 << 18  # characters gathered before they go to the file
# The disk, a quota or a limit of file sizes says no: nothing a program could have known.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def check_target(path: Path) -> None:
    """Raise `ConfigError`, which names the file and what to do, when no report can be put at ``path``."""
    try:
        # Not stat: what a link leads to may be a file its owner never meant to have replaced.
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
    try:
        draft = Draft(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    # newline="": the CSV brings its own CRLF.  closefd: the draft still has to sync what the descriptor got.
    with _naming(path), draft as fd, os.fdopen(fd, "w", BUFFER, encoding="utf-8", newline="", closefd=False) as file:
        yield file


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Tell a full disk apart from a fault of the program."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise WxrecError(f"{path} was not written: {error.strerror}; an older one is as it was") from None
        raise
