"""`login` as it is typed: its screen, JSON lines and exit codes, and no secret in any of it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import anyio
import pytest

from .kit import CANARY, Done, Place, call, command, environment, follow, query_of, sent_to

pytestmark = pytest.mark.anyio


async def line_of(process: anyio.abc.Process) -> str:
    """Return the first line of its stdout."""
    assert process.stdout is not None
    text = b""
    while b"\n" not in text:
        text += await process.stdout.receive()
    return text.decode().partition("\n")[0]


async def test_login_by_browser_from_a_shell(here: Place) -> None:
    """The address is the one line of stdout that waits; following it ends the command."""
    async with await anyio.open_process(command(here, "login"), env=environment(here)) as process:
        url = await line_of(process)
        await follow(url)
        assert process.stdout is not None
        assert process.stderr is not None
        out = b"".join([piece async for piece in process.stdout]).decode()
        err = b"".join([piece async for piece in process.stderr]).decode()
        assert await process.wait() == 0
    assert f"logged in to organisation {here.sandbox.org_id}" in out
    assert "run" not in here.stored()
    assert CANARY not in url + out + err


async def test_login_with_a_pasted_address_as_json(here: Place) -> None:
    """With --no-browser and --json: two records, and the pasted line from a pipe."""
    arguments = command(here, "login", "--no-browser", "--json")
    async with await anyio.open_process(arguments, env=environment(here)) as process:
        asked = json.loads(await line_of(process))
        assert asked["event"] == "authorize"
        target = await sent_to(asked["url"])
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdin.send(target.encode() + b"\n")
        out = b"".join([piece async for piece in process.stdout]).decode()
        err = b"".join([piece async for piece in process.stderr]).decode()
        assert await process.wait() == 0
    record = json.loads(out)
    assert (record["event"], record["org_id"]) == ("login", here.sandbox.org_id)
    assert not [secret for secret in (CANARY, query_of(target)["state"]) if secret in out + err]


async def test_login_takes_in_a_token_reply_from_a_file_or_stdin(here: Place, tmp_path: Path) -> None:
    """The file holds secrets and is no longer needed, which is said; a personal token is exit 4."""
    file = tmp_path / "tokens-reply.json"
    file.write_text(json.dumps(here.sandbox.desk.issue()))
    async with anyio.create_task_group() as group:
        ended: list[Done] = []

        async def run(*arguments: str, stdin: bytes = b"") -> None:
            ended.append(await call(here, "login", "--tokens-from", *arguments, stdin=stdin))

        group.start_soon(run, str(file))
        group.start_soon(partial(run, "-", stdin=b'{"access_token": "CANARY-AT-77"}'))
    named, piped = sorted(ended, key=lambda done: done.code)
    assert (named.code, "remove it" in named.err) == (0, True)
    assert piped.code == 4
    assert "personal access token" in piped.err
    assert CANARY not in named.out + named.err + piped.out + piped.err


def test_a_redirect_elsewhere_is_pasted_without_being_asked_and_not_echoed(tmp_path: Path) -> None:
    """On a terminal: what is pasted is not shown, Ctrl-C ends it with 130, and the terminal is as it was."""
    config = tmp_path / "config.toml"
    config.write_text('[auth]\nredirect_uri = "https://trilogy.com"\ncredentials = "secrets.json"\n')
    (tmp_path / "secrets.json").write_text('{"client_id": "c-1", "client_secret": "CANARY-CS", "org_id": "o-1"}')
    (tmp_path / "secrets.json").chmod(0o600)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "wxrec_async", "login", "--config", str(config)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "redirect_uri=https%3A%2F%2Ftrilogy.com" in process.stdout.readline()
        _wait_until_hidden(theirs)
        os.write(ours, b"CANARY-half-a-line")
        time.sleep(0.2)  # until a kernel thread has taken it over to the terminal: nothing shows when
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "is not on this machine" in err
    assert CANARY not in out + err
    assert termios.tcgetattr(theirs)[3] & termios.ECHO
    os.set_blocking(ours, False)
    with pytest.raises(BlockingIOError):
        os.read(ours, 100)
    os.close(ours)
    os.close(theirs)


def _wait_until_hidden(terminal: int) -> None:
    deadline = time.monotonic() + 20
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        assert time.monotonic() < deadline
        time.sleep(0.01)
