"""A terminal for somebody who types what the README says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

PATIENCE_S = 360.0
OVER = "@@over"
FAILED = "@@failed"


def newcomers_clone(folder: Path) -> Path:
    """Make what the README's first command leaves: an environment with the program in it; return the clone."""
    scripts = folder / "clone" / ".venv" / "bin"
    scripts.mkdir(parents=True)
    root = Path(__file__).parents[2]
    program = scripts / "wxrec-async"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m wxrec_async "$@"\n')
    program.chmod(0o700)
    (scripts / "activate").write_text(f'PATH="{scripts}:$PATH"\n')
    return folder / "clone"


def newcomers_environment(home: Path) -> dict[str, str]:
    """Return an environment that knows nothing of AWS, of us or of how tests like their Python."""
    others = ("AWS_", "WXREC_", "OTEL_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nowhere | {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}


class Terminal:
    """One shell, kept from block to block; what it shows goes to a file."""

    def __init__(self, start: Path, home: Path, name: str) -> None:
        self._path = home / f"{name}.screen"
        self._screen = self._path.open("w", encoding="utf-8")
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=self._screen,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=start,
            env=newcomers_environment(home),
            start_new_session=True,
        )
        self._read = self._blocks = 0
        self.begin(f"trap 'echo \"{FAILED} $?: $BASH_COMMAND\"' ERR\n")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Press Ctrl-C, which everything started here gets, and close the window when that does not help."""
        for number, patience_s in ((signal.SIGINT, 8.0), (signal.SIGKILL, 8.0)):
            if self._shell.poll() is None:
                if self._shell.stdin and not self._shell.stdin.closed:
                    self._shell.stdin.close()
                os.killpg(self._shell.pid, number)
                try:
                    self._shell.wait(patience_s)
                except subprocess.TimeoutExpired:
                    continue
        self._screen.close()

    def begin(self, block: str) -> None:
        """Type a block and do not wait for it."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(block)
        self._shell.stdin.flush()

    def do(self, block: str) -> str:
        """Type a block, wait until all of it is done, and return what it showed; no command in it may fail."""
        self._blocks += 1
        self.begin(f"{block}\necho '{OVER} {self._blocks}'\n")
        shown = self.wait_for(f"{OVER} {self._blocks}\n")
        assert FAILED not in shown, shown
        return shown

    def wait_for(self, words: str) -> str:
        """Return what was shown since the last time, up to and with ``words``."""
        deadline = time.monotonic() + PATIENCE_S
        while words not in (shown := self._path.read_text(encoding="utf-8")[self._read :]):
            assert time.monotonic() < deadline, f"waited for {words!r}, saw:\n{shown}"
            assert self._shell.poll() is None, f"the shell ended:\n{shown}"
            time.sleep(0.02)
        shown = shown[: shown.index(words) + len(words)]
        self._read += len(shown)
        return shown
