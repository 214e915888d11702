"""Starts Python programs from a process that has read their modules already.

Four fifths of what a short run of the program costs is reading modules, the same ones at every start, and the suite
starts it a thousand times.  So one process (``python -m tests.warm``) reads them once and forks for each start:
another program then runs in the child as ``python -m`` would, with its own arguments, folder, environment,
warnings and files.  What is tested of a process itself (its command line, its memory, its imports, how it starts)
is started in the ordinary way.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from botocore.session import get_session

from tests.botocore_models import share_models

ROOT = Path(__file__).parents[1]
MODULES = (
    "aioboto3",
    "httpx",
    "wxrec_async.backfill",
    "wxrec_async.cli.app",
    "wxrec_async.cli.commands.cleanup",
    "wxrec_async.cli.commands.doctor",
    "wxrec_async.cli.commands.login",
    "wxrec_async.cli.commands.rebuild",
    "wxrec_async.cli.commands.reconcile",
    "wxrec_async.cli.commands.report",
    "wxrec_async.cli.commands.run",
    "wxrec_async.cli.commands.status",
    "wxrec_async.cli.commands.verify",
    "wxrec_async.sandbox.server",
)
LONGEST = 1 << 20  # bytes of an order
# What Python reads while it starts, so that a fork would come too late.
READ_AT_START = ("PYTHON", "LC_", "LANG")
NOT_COMPARED = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}  # the one is heeded here, the other changes no result
File = IO[Any] | int | None


@dataclass(frozen=True, slots=True)
class Order:
    """What to run as ``python -m``, and where; ``warned`` are the words behind ``-W``."""

    module: str
    arguments: list[str]
    warned: list[str]
    folder: str
    environment: dict[str, str]


def start(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: File = None,
    stdout: File = None,
    stderr: File = None,
) -> subprocess.Popen[str]:
    """Start ``[sys.executable, "-W", …, "-m", module, …]``, its files being text; the caller ends it."""
    environment = dict(os.environ if env is None else env)
    kind: type[subprocess.Popen[str]] = _Forked if _is_ours(environment) else subprocess.Popen
    return kind(command, cwd=cwd, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, text=True)


def run(
    command: Sequence[str], *, timeout: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep what it printed, as ``subprocess.run`` does."""
    with start(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _is_ours(environment: Mapping[str, str]) -> bool:
    """Say whether a fork of this process's interpreter is what would be started in an environment."""

    def told(of: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value for name, value in of.items() if name.startswith(READ_AT_START) and name not in NOT_COMPARED
        }

    return told(environment) == told(os.environ)


def order_of(command: Sequence[str], folder: str, environment: Mapping[str, str]) -> Order:
    """Read a command line; raises ValueError for one that is no ``python -m``."""
    words = list(command[1:])
    warned: list[str] = []
    while words[:1] == ["-W"]:
        warned, words = [*warned, words[1]], words[2:]
    if command[0] != sys.executable or words[:1] != ["-m"]:
        raise ValueError(f"not a module of this Python: {command[:6]}")
    return Order(words[1], words[2:], warned, folder, dict(environment))


class _Forked(subprocess.Popen[str]):
    """A process that is not this one's child: another one forked it, and tells how it ended."""

    _told: int

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        # As CPython 3.11 to 3.13 call it; what stands between has its default here.
        folder, environment, pipes = rest[4], rest[5], rest[9:15]
        files = [given if given != -1 else own for own, given in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._told, told = os.pipe()
        try:
            order = order_of(args, str(folder or Path.cwd()), environment)
            self.pid = _nursery().fork(order, [*files, told])
        finally:
            os.close(told)
        whole: Any = self
        whole._child_created = True
        whole._close_pipe_fds(*pipes)

    def _try_wait(self, flags: int) -> tuple[int, int]:
        os.set_blocking(self._told, not flags & os.WNOHANG)
        try:
            told = os.read(self._told, 4)
        except BlockingIOError:
            return 0, 0
        os.close(self._told)
        return self.pid, struct.unpack("i", told)[0] if told else signal.SIGKILL

    def _look(self) -> None:
        # Looked at again with the lock: another thread may have waited meanwhile.
        pid, status = (0, 0) if self.returncode is not None else self._try_wait(os.WNOHANG)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        whole: Any = self
        lock = whole._waitpid_lock
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                lock.release()
        return self.returncode


class Nursery:
    """The process that forks, started with the first order and gone with this process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        self._socket, self._lock = ours, threading.Lock()
        atexit.register(self.close)

    def fork(self, order: Order, files: Sequence[int]) -> int:
        """Start a program with these as its files 0, 1 and 2, and the last to tell its end by; return its pid."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(asdict(order)).encode()], list(files))
            return int(self._socket.recv(64))

    def close(self) -> None:
        """End it; what it started lives on."""
        self._socket.close()
        self._process.wait()


_made: list[Nursery] = []
_making = threading.Lock()


def _nursery() -> Nursery:
    with _making:
        if not _made:
            _made.append(Nursery())
        return _made[0]


# In the process that forks


def serve(orders: socket.socket) -> Order:
    """Fork for each order, and return it in the child that is to carry it out; at the end of orders, exit."""
    # Those who wait for a child's end are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        told, files, *_ = socket.recv_fds(orders, LONGEST, 4)
        if not told:
            sys.exit()
        reading, writing = os.pipe()
        if os.fork() == 0:
            orders.close()
            os.close(reading)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _split(Order(**json.loads(told)), files, writing)
        for file in (*files, writing):
            os.close(file)
        orders.send(os.read(reading, 64))
        os.close(reading)


def _split(order: Order, files: list[int], writing: int) -> Order:
    """Fork once more: the parent waits for the end and tells it, the child goes on as the program."""
    if child := os.fork():
        os.write(writing, str(child).encode())
        for file in (*files[:3], writing):
            os.close(file)
        for number in (signal.SIGINT, signal.SIGTERM):  # meant for the program, which has them as well
            signal.signal(number, signal.SIG_IGN)
        _, status = os.waitpid(child, 0)
        os.write(files[3], struct.pack("i", status))
        os._exit(0)
    os.close(writing)
    for own, file in enumerate(files[:3]):
        os.dup2(file, own)
    for file in files:
        os.close(file)
    return order


def _open_files() -> None:
    """Open files 0, 1 and 2 anew, as Python does at its start: those there are know what was once behind the number."""
    for name, file, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, name)
        lines = 1 if name == "stderr" or os.isatty(file) else -1
        new = open(file, mode, lines, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def become(order: Order) -> None:
    """Run the program of an order as this process's own."""
    _open_files()
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    sys.path[0] = order.folder
    sys.path[1:1] = [each for each in order.environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    for word in order.warned:
        warnings.simplefilter(word)  # type: ignore[arg-type]
    sys.argv[1:] = order.arguments
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Read the modules, then serve."""
    share_models()
    for name in MODULES:
        importlib.import_module(name)
    # Reads what each client of S3 will need.
    get_session().create_client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    become(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
