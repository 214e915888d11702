"""Killed while a file is being replaced, whatever file it is: the old one is whole, then the new one is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wxrec_async.auth.secret_files import replace_private

# Dies at the n-th of the calls by which a file is replaced: made, written (twice half), flushed, renamed, made durable.
CHILD = """
import os, signal, sys
from pathlib import Path
from wxrec_async.auth.secret_files import replace_private

path, at, seen = Path(sys.argv[1]), int(sys.argv[2]), 0

def dying(name):
    call = getattr(os, name)
    def counted(*arguments, **named):
        global seen
        seen += 1
        if seen == at:
            if name == "write":
                call(arguments[0], bytes(arguments[1])[:7])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    setattr(os, name, counted)

for name in ("open", "fchmod", "write", "fsync", "rename"):
    dying(name)
replace_private(path, b"new content of the file")
print(seen)
"""
OLD, NEW = b"old content", b"new content of the file"


@pytest.mark.fault("K18", "K20", "L03")
def test_a_file_is_the_old_one_or_the_new_one_at_every_moment(tmp_path: Path) -> None:
    """Killed at each system call in turn; what is left over is private, and the next replacement removes it."""
    states = []
    for at in range(1, 30):
        path = tmp_path / f"{at}.json"
        assert replace_private(path, OLD) is None
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(path), str(at)], capture_output=True, text=True, timeout=360, check=False
        )
        states.append(path.read_bytes())
        assert states[-1] in (OLD, NEW)
        left = list(tmp_path.glob(f".{path.name}.*.tmp"))
        assert all(file.stat().st_mode & 0o077 == 0 for file in left)
        assert replace_private(path, NEW) is None
        assert path.read_bytes() == NEW
        assert not list(tmp_path.glob(f".{path.name}.*.tmp"))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert states == sorted(states, key=[OLD, NEW].index)
    assert states.count(OLD) >= 4
