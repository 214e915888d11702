"""How many connections there are, and what each may do: what SQLite's own faults need to happen is not there."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wxrec_async
from wxrec_async.ledger import Everything, opening

from .contract import HOME, Opener, add

pytestmark = pytest.mark.anyio

PACKAGE = Path(wxrec_async.__file__).parent


def descriptors_on(path: Path) -> list[int]:
    """The access modes (O_RDONLY, O_RDWR) of this process's descriptors on a file."""
    modes = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the directory itself must not stay open
        try:
            if Path(f"/proc/self/fd/{name}").readlink() == path:
                told = Path(f"/proc/self/fdinfo/{name}").read_text().split("flags:")[1].split()[0]
                modes.append(int(told, 8) & os.O_ACCMODE)
        except OSError:
            continue  # the descriptor of the listing itself
    return modes


def both_files(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name("wxrec.db-wal").read_bytes()


@pytest.mark.fault("L19")
async def test_there_is_one_connection_that_writes_however_many_look(path: Path, opener: Opener) -> None:
    """SQLite's WAL-reset bug (3.7.0 to 3.51.2) needs two that write or checkpoint at once: there is one.

    The catalogue wants a warning for an SQLite below 3.51.3 as well; without a second writer there is nothing
    to warn of, and nearly every Python there is brings such a version.
    """
    async with opener() as ledger:
        await add(ledger, "t1")
        readers = [opening.open_for_reading(path) for _ in range(3)]
        for reader in readers:
            assert reader.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
        await add(ledger, "t2")
        modes = descriptors_on(path)
        assert modes.count(os.O_RDWR) == 1
        assert modes.count(os.O_RDONLY) == 3
        for reader in readers:
            reader.close()


@pytest.mark.fault("L19")
async def test_who_only_looks_never_moves_the_log_into_the_database(path: Path, opener: Opener) -> None:
    """A reader that closes leaves the write-ahead log and the database byte for byte, also as the last one to go."""
    async with opener() as ledger:
        await add(ledger, *(f"t{number}" for number in range(50)))
        before = both_files(path)
        assert before[1]
        reader = opening.open_for_reading(path)
        reader.execute("SELECT count(*) FROM tasks").fetchone()
        reader.close()
        assert both_files(path) == before


@pytest.mark.fault("L19")
def test_only_the_holder_of_the_lock_opens_for_writing_and_nobody_checkpoints_by_hand() -> None:
    """Every way to SQLite goes through `opening`, which writes behind the lock alone, or on a draft without a name."""
    calls: list[tuple[str, str, str]] = []
    for source in PACKAGE.rglob("*.py"):
        text = source.read_text("utf-8")
        assert "wal_checkpoint" not in text.lower()
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {"sqlite3.connect", "_connect"}:
                    mode = ast.unparse(node.args[-1]) if len(node.args) > 1 else ""
                    calls.append((source.name, function.name, mode))
    ledger = [call for call in calls if call[0] == "opening.py"]
    others = {call[0] for call in calls} - {"opening.py"}
    assert others <= {"seen_tasks.py", "media_stream.py"}  # a scratch file of its own; a method of the same name
    writing = {function for _, function, mode in ledger if mode == "'rw'"}
    # The last two write on copies in a folder of their own, which nobody else sees.
    assert writing == {"open_for_writing", "_create", "_connect_to_copy", "_brought_up_to_date"}


SYNCER = """
import anyio, sys
from pathlib import Path
from wxrec_async.events import ignore
from wxrec_async.ledger import Identity, open_ledger
from wxrec_async.model import Task

async def main(path, *identity):
    async with open_ledger(Path(path), Identity(*identity), mask=str, emit=ignore) as ledger:
        for number in range(3):
            await ledger.add_tasks([Task(f"t{number}", created_ms=1)], listed_in=None, now_ms=1)
            sys.stderr.write(f"ACKNOWLEDGED {number}\\n")

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.fault("L18")
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_every_acknowledged_commit_was_written_and_synced_before(tmp_path: Path) -> None:
    """What the system is asked for, in its order: log written, log synced, and only then does the caller hear of it."""
    path, trace = tmp_path / "wxrec.db", tmp_path / "trace"
    command = [sys.executable, "-c", SYNCER, str(path), HOME.org_id, HOME.bucket, HOME.key_template]
    calls = "trace=fsync,fdatasync,pwrite64,write"
    done = subprocess.run(
        ["strace", "-f", "-y", "-e", calls, "-o", str(trace), *command], check=False, capture_output=True, timeout=360
    )
    if b"ptrace" in done.stderr.lower() and done.returncode:
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    written = synced = False
    acknowledged = 0
    for line in trace.read_text(errors="replace").splitlines():
        if "wxrec.db-wal>" in line and "write" in line.split("(")[0]:
            written, synced = True, False
        elif "wxrec.db-wal>" in line and "sync(" in line:
            synced = True
        elif "ACKNOWLEDGED" in line:
            assert written
            assert synced, "a commit was acknowledged that power loss would take back"
            written = False
            acknowledged += 1
    assert acknowledged == 3


@pytest.mark.fault("L19", "L07")
async def test_a_reader_in_another_process_does_not_write_either(path: Path, opener: Opener) -> None:
    """`status` in a second terminal: counts as they are, database and log untouched."""
    script = (
        "import sys; from pathlib import Path; from wxrec_async.ledger import opening\n"
        "c = opening.open_for_reading(Path(sys.argv[1])); print(*c.execute('SELECT count(*) FROM tasks').fetchone())\n"
    )
    async with opener() as ledger:
        await add(ledger, "t1", "t2")
        before = both_files(path)
        done = subprocess.run(  # noqa: ASYNC221 - nothing else is to happen meanwhile
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["2"]
        assert both_files(path) == before
        assert (await ledger.counts(Everything(), None)).tasks_listed == 2
