"""The ledger's files: where they may lie, who may read them, who holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from wxrec_async.errors import LedgerError, LedgerFull, LedgerInUse
from wxrec_async.ledger.disk_room import disk_trouble
from wxrec_async.plumbing import private_files

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
COMPANIONS = ("-wal", "-shm", "-journal")  # what SQLite lays beside a database
# Where a WAL's shared memory cannot be, and locks may be kept by one machine only.
NETWORK_KINDS = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "beegfs", "gpfs", "ncpfs"}
    | {"vboxsf", "virtiofs", "glusterfs", "ocfs2", "gfs2"}
)


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a companion file, ``wxrec.db`` -> ``wxrec.db-wal``."""
    return path.with_name(path.name + suffix)


def check_place(path: Path) -> bool:
    """Return whether the ledger file exists; LedgerError when nothing sound can lie at ``path``.

    A link is refused, symbolic or hard: the lock goes by the name, so a second
    name would let a second process in.
    """
    if not path.parent.is_dir():
        raise LedgerError(f"ledger {path}: the folder {path.parent} does not exist; create it or use --ledger")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerError(f"ledger {path} cannot be reached: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise LedgerError(f"ledger {path} is a folder; name a file with --ledger")
    if stat.S_ISLNK(found.st_mode):
        raise LedgerError(f"ledger {path} is a symbolic link; name the file itself with --ledger")
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise LedgerError(f"ledger {path} is not a plain file with one name; name another with --ledger")
    return True


def open_private(path: Path, flags: int) -> int:
    """Open a file of ours with mode 0600 whatever the umask, never through a symbolic link; LedgerError if not."""
    try:
        return private_files.open_private(path, flags)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_trouble(path) or LedgerFull(f"ledger: {path} cannot be made: {error.strerror}") from None
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise LedgerError(f"ledger: {path} cannot be opened: {reason}") from None


def take_lock(path: Path) -> int:
    """Hold ``<path>.lock`` until the returned descriptor is closed or the process dies.

    LedgerInUse when someone else holds it.  The file stays behind: removing it
    would let two processes hold two files of one name.
    """
    handle = open_private(beside(path, ".lock"), os.O_RDWR | os.O_CREAT)
    try:
        free = private_files.try_lock(handle)
        holder = "" if free else private_files.holder_of(handle)
    except OSError as error:
        os.close(handle)
        raise LedgerError(f"ledger {path} cannot be locked here: {error.strerror}") from None
    if not free:
        os.close(handle)
        raise LedgerInUse(f"ledger {path} is in use by pid {holder or 'unknown'}")
    # For the words of the next one who is refused; the lock is what counts, not the number in the file.
    private_files.note_holder(handle)
    return handle


def is_held(path: Path) -> bool:
    """Return whether somebody holds the lock of the ledger, that is, may write on it now."""
    try:
        handle = private_files.open_private(beside(path, ".lock"), os.O_RDONLY)
    except OSError:
        return False  # never locked, or not ours to ask
    try:
        return not private_files.try_lock(handle)
    except OSError:
        return False
    finally:
        os.close(handle)


def tighten(path: Path) -> list[Path]:
    """Make the ledger's files private, and return those that others could read or write.

    Tightened rather than refused: the default ledger holds no secret and its
    phone numbers are masked, so a nightly run need not stop for it.
    """
    loose = []
    for file in (path, *(beside(path, suffix) for suffix in COMPANIONS)):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IMODE(file.lstat().st_mode) & 0o077:
                _make_private(file)
                loose.append(file)
    return loose


def _make_private(file: Path) -> None:
    handle = open_private(file, os.O_RDONLY)
    try:
        os.fchmod(handle, private_files.PRIVATE)
    except OSError as error:
        raise LedgerError(f"ledger {file} can be read by others and cannot be made private: {error.strerror}") from None
    finally:
        os.close(handle)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Lend an empty private file to be filled; it takes the name ``path`` only when the block ends well."""
    draft = beside(path, ".new")  # one fixed name: what a killed process left is replaced
    draft.unlink(missing_ok=True)
    os.close(open_private(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    try:
        yield draft
        # On the disk before it has the name: after a power cut there is a whole ledger under it, or none.
        private_files.sync(draft)
        private_files.put_in_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def network_kind(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Name the network file system ``path`` lies on; None when it is local, or when this system does not say."""
    try:
        kind = kind_of(path.resolve(), mounts.read_text("utf-8", "replace"))
    except OSError:
        return None
    return kind if kind in NETWORK_KINDS or kind.startswith("fuse.") else None


def kind_of(path: Path, mountinfo: str) -> str:
    """Return the type of the file system of an absolute path, from the text of proc(5)'s mountinfo; "" if unknown."""
    longest, kind = "", ""
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after:
            continue
        # proc(5) writes a blank in a path as an octal number.
        point = fields[4].replace("\\040", " ")
        if len(point) >= len(longest) and path.is_relative_to(point):  # a later mount covers an earlier one
            longest, kind = point, after.split()[0]
    return kind
