"""Several processes on one token file, and one that is killed, against a token server on a socket."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.auth.auth_kit import CLIENT_SECRET, T0, TokenRules, access, as_json, renewal, text_of, write_private

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).with_name("refresh_child.py")
HOUR = 3600.0


class Server:
    """The token rules on a socket; `kill` names the process that dies with the answer in its socket."""

    def __init__(self, rules: TokenRules) -> None:
        self.rules = rules
        self.kill: int | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        status, reply = self.rules.answer(await request.read())
        if self.kill is None:
            return web.json_response(reply, status=status)
        # Stopped before it can read the answer, killed once the answer has been sent: never saved.
        os.kill(self.kill, signal.SIGSTOP)
        body = json.dumps(reply).encode()
        response = web.StreamResponse(status=status, headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body)
        os.kill(self.kill, signal.SIGKILL)
        self.kill = None
        return response


@asynccontextmanager
async def serving(rules: TokenRules) -> AsyncIterator[Server]:
    server, app = Server(rules), web.Application()
    app.router.add_post("/v1/access_token", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}/v1/access_token"
        yield server
    finally:
        await runner.cleanup()


class Child:
    """One process with one refresher."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process, self._out, self._rest = process, TextReceiveStream(process.stdout), ""

    async def ask(self, now: float) -> str:
        assert self.process.stdin is not None
        await self.process.stdin.send(f"{now}\n".encode())
        while "\n" not in self._rest:
            self._rest += await self._out.receive()
        line, _, self._rest = self._rest.partition("\n")
        return line


@asynccontextmanager
async def child(path: Path, server: Server) -> AsyncIterator[Child]:
    root = Path(__file__).parents[2]
    command = [sys.executable, str(CHILD), str(path), server.url]
    environment = {**os.environ, "PYTHONPATH": str(root), "CLIENT_SECRET": CLIENT_SECRET}  # `ps` would show an argument
    process = await anyio.open_process(command, stderr=None, env=environment)
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


def digest(n: int) -> str:
    return hashlib.sha256(access(n).encode()).hexdigest()


@pytest.mark.fault("T09")
async def test_two_processes_make_one_refresh_per_expiry_under_rotation(tmp_path: Path) -> None:
    """The used refresh token dies at once, so a second request would end the slower process."""
    path = write_private(tmp_path / "tokens.json", as_json(1, T0 - 1))
    rules = TokenRules(expires_in=HOUR)
    async with serving(rules) as server, child(path, server) as one, child(path, server) as two:
        for turn in range(12):
            at, said = T0 + turn * 2 * HOUR, list[str]()
            with anyio.fail_after(120):
                async with anyio.create_task_group() as group:
                    group.start_soon(ask, one, at, said)
                    group.start_soon(ask, two, at, said)
            assert said == [digest(turn + 2)] * 2
            assert json.loads(text_of(path))["refresh_token"] == renewal(turn + 2)
            assert rules.posts == turn + 1


async def ask(which: Child, at: float, into: list[str]) -> None:
    into.append(await which.ask(at))


@pytest.mark.fault("T04")
@pytest.mark.parametrize("revoke", [False, True], ids=["old stays valid", "old is revoked"])
async def test_a_process_killed_with_the_answer_unread_leaves_a_whole_file(tmp_path: Path, revoke: bool) -> None:
    """The next one goes on with the old refresh token, or says plainly that a login is needed."""
    path = write_private(tmp_path / "tokens.json", as_json(1, T0 - 1))
    before = text_of(path)
    async with serving(TokenRules(revoke=revoke)) as server:
        async with child(path, server) as victim:
            server.kill = victim.process.pid
            assert victim.process.stdin is not None
            await victim.process.stdin.send(f"{T0}\n".encode())
            with anyio.fail_after(120):
                assert await victim.process.wait() == -signal.SIGKILL
        assert text_of(path) == before
        async with child(path, server) as heir:
            with anyio.fail_after(120):
                said = await heir.ask(T0)
    if revoke:
        assert "wxrec-async login" in said
        assert text_of(path) == before
    else:
        assert said == digest(3)
        assert json.loads(text_of(path))["refresh_token"] == renewal(3)
    assert server.rules.posts == 2


@pytest.mark.fault("T04")
async def test_a_process_killed_at_any_moment_of_a_refresh_leaves_a_whole_file(tmp_path: Path) -> None:
    """Old or new, never half; and the lock is free for the next one."""
    path = write_private(tmp_path / "tokens.json", as_json(1, T0 - 1))
    async with serving(TokenRules(revoke=False, expires_in=HOUR)) as server:
        for delay in (0.0, 0.002, 0.005):
            async with child(path, server) as victim:
                with anyio.fail_after(120):
                    await victim.ask(T0 + 1)
                    at = float(json.loads(text_of(path))["expires_at"]) + 1
                    assert victim.process.stdin is not None
                    await victim.process.stdin.send(f"{at}\n".encode())
                    await anyio.sleep(delay)
                    victim.process.kill()
                    await victim.process.wait()
            data = json.loads(text_of(path))
            assert data["refresh_token"] in {renewal(n) for n in range(1, server.rules.newest + 1)}
            async with child(path, server) as heir:
                with anyio.fail_after(120):
                    assert await heir.ask(data["expires_at"] + 1) == digest(server.rules.newest)
