"""What the tests of this room share: canary tokens, a token server's rules, a store in memory."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import anyio
import httpx
from anyio import lowlevel

from wxrec_async.auth.refresher import Refresher
from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.errors import AuthError
from wxrec_async.events import Event
from wxrec_async.model import Secret

ORG = "0a1b2c3d-1111-2222-3333-444455556666"
CLIENT_SECRET = "CANARY-CS-0001-abcdef"
TOKEN_URL = "https://idp.test/v1/access_token"
API = "https://api.test/v1"
T0 = 1_800_000_000.0
DAY = 86_400.0
CREDENTIALS = Credentials("client-1", Secret(CLIENT_SECRET), ORG)


def access(n: int) -> str:
    return f"CANARY-AT-{n:04d}_{ORG}"


def renewal(n: int) -> str:
    return f"CANARY-RT-{n:04d}"


def pair(n: int, expires_at: float, *, lifetime_s: float | None = 14 * DAY) -> Tokens:
    """Return the n-th token of a server, ending at `expires_at`."""
    return Tokens(Secret(access(n)), Secret(renewal(n)), expires_at, lifetime_s=lifetime_s)


def as_json(n: int, expires_at: float, **more: object) -> str:
    """Return what a token file holds."""
    return json.dumps({"access_token": access(n), "refresh_token": renewal(n), "expires_at": expires_at, **more})


def write_private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def text_of(path: Path) -> str:
    return path.read_text()


def number(tokens: Tokens | None) -> int:
    """Say the how-manieth token of the server this is."""
    assert tokens is not None
    return int(tokens.access_token.reveal().split("-")[2][:4])


@dataclass
class Clock:
    """Epoch seconds that move when told to."""

    at: float = T0

    def __call__(self) -> float:
        return self.at


@dataclass
class TokenRules:
    """A token endpoint that rotates: the n-th refresh hands out pair n+1.

    `revoke` makes a used refresh token worthless; `script` is answered first.
    """

    newest: int = 1
    expires_in: object = 14 * DAY
    revoke: bool = True
    script: list[httpx.Response | Exception] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, dict[str, object]]:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.seen.append(form)
        given = form.get("refresh_token", "")
        good = {renewal(n) for n in ([self.newest] if self.revoke else range(1, self.newest + 1))}
        if form.get("client_secret") != CLIENT_SECRET or given not in good:
            return 400, {"error": "invalid_grant", "error_description": f"token {given} is dead"}
        self.newest += 1
        reply: dict[str, object] = {
            "access_token": access(self.newest),
            "refresh_token": renewal(self.newest),
            "expires_in": self.expires_in,
            "refresh_token_expires_in": 90 * DAY,
            "token_type": "Bearer",
        }
        return 200, reply

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as an `httpx.MockTransport` does, with a few turns of the loop for others to come in."""
        for _ in range(3):
            await lowlevel.checkpoint()
        if self.script:
            self.seen.append({})
            scripted = self.script.pop(0)
            if isinstance(scripted, Exception):
                raise scripted
            return scripted
        status, reply = self.answer(await request.aread())
        for _ in range(3):
            await lowlevel.checkpoint()
        return httpx.Response(status, json=reply, headers={"trackingid": "ROUTER_0A1B"})

    @property
    def posts(self) -> int:
        return len(self.seen)


class MemoryStore:
    """A token store to look at; `failures` are raised by the next saves, then it works."""

    def __init__(self, tokens: Tokens | None) -> None:
        self.tokens = tokens
        self.failures: list[Exception] = []
        self.loads = 0
        self.saves: list[Tokens] = []
        self._lock = anyio.Lock()

    async def load(self) -> Tokens:
        self.loads += 1
        await lowlevel.checkpoint()
        if self.tokens is None:
            raise AuthError("nothing stored: run `wxrec-async login`")
        return self.tokens

    async def save(self, tokens: Tokens) -> None:
        for _ in range(3):
            await lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop(0)
        self.saves.append(tokens)
        self.tokens = tokens

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        async with self._lock:
            yield


@dataclass
class Bench:
    """A refresher with everything around it in the test's hands."""

    store: MemoryStore
    rules: TokenRules
    clock: Clock
    events: list[Event]
    client: httpx.AsyncClient
    refresher: Refresher

    def warned(self) -> list[str]:
        return [getattr(event, "code", "") for event in self.events if hasattr(event, "code")]


@asynccontextmanager
async def bench(
    tokens: Tokens | None, rules: TokenRules | None = None, store: TokenStore | None = None
) -> AsyncIterator[Bench]:
    rules, clock, events = rules or TokenRules(), Clock(), list[Event]()
    memory = MemoryStore(tokens)
    async with httpx.AsyncClient(transport=httpx.MockTransport(rules.handle), trust_env=False) as client:
        refresher = Refresher(
            store or memory, CREDENTIALS, client, TOKEN_URL, events.append, now=clock, chance=lambda: 0.0
        )
        yield Bench(memory, rules, clock, events, client, refresher)


def tree(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """Walk an exception with its causes, contexts and group members."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from tree(error.__cause__, seen)
    yield from tree(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from tree(member, seen)


def shown(*things: object) -> str:
    """Return everything printing, formatting or logging these things could show."""
    text = []
    for thing in things:
        text += [repr(thing), str(thing), f"{thing}"]
        if isinstance(thing, BaseException):
            text += [f"{e!r} {e} {e.args} {vars(e)} {getattr(e, '__notes__', '')}" for e in tree(thing)]
    return "\n".join(text)


async def cancelled_after(turns: int, work: Callable[[], Awaitable[object]], *, natively: bool = False) -> None:
    """Run `work` in a task and cancel it after so many turns of the loop; wait until it is gone."""

    async def run() -> None:
        await work()

    if natively:
        task = asyncio.create_task(run())
        for _ in range(turns):
            await lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
        return
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(turns):
            await lowlevel.checkpoint()
        group.cancel_scope.cancel()
