"""One current token for everybody, renewed by one, and the `httpx.Auth` that uses it."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator

import anyio
import httpx

from wxrec_async.auth.bounded_read import beginning, unpacked
from wxrec_async.auth.endpoint import TokenEndpoint
from wxrec_async.auth.token_manager import TokenManager
from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.errors import AuthError, HTTPStatusError, RemoteError, TLSError, WxrecError
from wxrec_async.events import Emit, Retrying, Warned, ignore
from wxrec_async.rules.retry import MAX_WAIT_S, backoff_s
from wxrec_async.rules.tokens import refuses_token

MAX_TRIES = 5
# How long a failed renewal or save is left alone while the old token still serves.
QUIET_S = 30.0
ERROR_BODY_LIMIT = 64 << 10  # bytes


class Refresher:
    """Renews the token before it ends or when it was refused: one task at a time, one process at a time.

    ``token_url`` is ``{auth_url}/access_token``.  ``client`` stays the caller's; its own
    ``auth`` is not used for the token endpoint.  ``now`` is epoch seconds.
    """

    def __init__(  # noqa: PLR0913 - its surroundings, each replaceable
        self,
        store: TokenStore,
        credentials: Credentials,
        client: httpx.AsyncClient,
        token_url: str,
        emit: Emit = ignore,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._keeper = TokenManager(store, TokenEndpoint(credentials, client, token_url, emit, now), emit, now)
        self._emit, self._chance = emit, chance
        self._lock = anyio.Lock()
        self._quiet_until = 0.0
        self._rounds = 0
        self._failure: AuthError | None = None

    @property
    def generation(self) -> int:
        """How many access tokens were adopted so far; 0 before the first was loaded."""
        return self._keeper.generation

    @property
    def unsaved(self) -> bool:
        """Whether the newest token is in memory only: a run that ends so has to say it."""
        return self._keeper.unsaved is not None

    async def current(self) -> Tokens:
        """Return a token that is good for a while, renewing it first when it ends within 300 s.

        While the old token lives a failing renewal is only a warning.  Raises `AuthError` when there is
        no valid token and none can be had, `ConfigError` when the store is unusable.
        """
        if not self._settled():
            await self._one_at_a_time(lambda: not self._settled(), self._settle)
        return self._held()

    async def refresh(self, stale: int) -> Tokens:
        """Renew because generation ``stale`` was refused; does nothing when another one is current already.

        Raises as `current` does.
        """
        if self.generation == stale:
            await self._one_at_a_time(lambda: self.generation == stale, self._force)
        return self._held()

    async def take_newer(self, refused: int) -> bool:
        """Look for a token that another process stored since; return whether one newer than ``refused`` is current.

        Asks the token endpoint for nothing: what was just renewed is not renewed again.
        """
        if self.generation == refused:
            async with self._lock:
                with contextlib.suppress(WxrecError):  # then there is none, and the refusal stands
                    await self._keeper.take_newer()
        return self.generation != refused

    async def save_pending(self) -> bool:
        """Try once more to store a token that could not be stored; return whether all is stored now.

        For the end of a run; during it `current` does the same every 30 s.
        """
        if self.unsaved:
            async with self._lock:
                await self._save_again()
        return not self.unsaved

    def _held(self) -> Tokens:
        if self._keeper.tokens is None:
            raise AuthError("there is no token")
        return self._keeper.tokens

    def _settled(self) -> bool:
        """Say whether there is nothing to do, or nothing to do yet."""
        # A fresh token that is in memory only is something to do: a killed process would take it along.
        if self._keeper.fresh() and not self.unsaved:
            return True
        return self._keeper.alive() and anyio.current_time() < self._quiet_until

    async def _one_at_a_time(self, needed: Callable[[], bool], work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` under the lock if it is still ``needed``; who waited through a failure shares it."""
        # Whoever was in line while a round failed gets that failure; whoever comes later begins a round of his own.
        rounds = self._rounds
        async with self._lock:
            # Asked again under the lock: the one before us may have done it for all.
            if not needed():
                return
            if self._failure is not None and self._rounds != rounds:
                raise AuthError(str(self._failure), tracking_id=self._failure.tracking_id)
            self._failure = None
            try:
                await work()
            # Only this one is shared; anything else is no judgement of the token, and each may try for himself.
            except AuthError as failure:
                self._failure = failure
                raise
            finally:
                self._rounds += 1

    async def _settle(self) -> None:
        if self.unsaved:
            await self._save_again()
        if not self._keeper.fresh():
            await self._renew(self._keeper.alive)

    async def _force(self) -> None:
        # The server is the judge: refused is dead, whatever its time says.
        await self._renew(lambda: False)

    async def _save_again(self) -> None:
        with contextlib.suppress(WxrecError):  # still unsaved then, and that was said
            await self._keeper.save_again()
        if self.unsaved:
            self._be_quiet()

    async def _renew(self, lives: Callable[[], bool]) -> None:
        """Renew; on failure go on with the old token while it ``lives``, else try a few times."""
        for attempt in itertools.count(1):
            problem = await self._problem()
            if problem is None:
                return
            # Asked after the attempt: the old token may have ended while it went on.
            if lives():
                self._put_off(problem)
                return
            if not isinstance(problem, RemoteError):
                raise problem
            await self._wait(problem, attempt)

    async def _problem(self) -> WxrecError | None:
        try:
            await self._keeper.renew()
        except WxrecError as problem:
            return problem
        return None

    def _put_off(self, problem: WxrecError) -> None:
        self._emit(Warned("token_not_renewed", f"the token could not be renewed and is used while it lives: {problem}"))
        self._be_quiet()

    def _be_quiet(self) -> None:
        self._quiet_until = anyio.current_time() + QUIET_S

    async def _wait(self, problem: RemoteError, attempt: int) -> None:
        """Wait before the next attempt, or raise `AuthError` when there shall be none."""
        # A certificate is the same the next time.
        if attempt >= MAX_TRIES or isinstance(problem, TLSError):
            raise _none_left(problem, f"in {attempt} tries")
        asked = problem.retry_after_s if isinstance(problem, HTTPStatusError) else None
        if asked is not None and asked > MAX_WAIT_S:
            raise _none_left(problem, f"because it asks to wait {asked:.0f} s")
        after_s = asked * (1 + self._chance() / 10) if asked else backoff_s(attempt, self._chance())
        self._emit(Retrying("token", attempt, after_s, str(problem)))
        await anyio.sleep(after_s)


def _none_left(problem: WxrecError, how: str) -> AuthError:
    tracking_id = getattr(problem, "tracking_id", None)
    return AuthError(f"no valid token is left and none could be had {how}: {problem}", tracking_id=tracking_id)


class RefreshingAuth(httpx.Auth):
    """Signs requests to one API with the current token, and renews it when the API refuses it.

    On 401, and on 400 and 403 that speak of the token, the token is renewed unless that has happened
    since, and the request sent once more.  A token that is refused although it was just renewed is
    not renewed again; but another process may have renewed it since, and made ours worthless: what it
    stored is tried, once.  What is answered then is handed on.  Raises as `Refresher.current`, and
    `AuthError` for a request to any other origin than that of ``base_url``.
    """

    requires_request_body = True  # so that it can be sent twice
    requires_response_body = False

    def __init__(self, refresher: Refresher, base_url: str) -> None:
        self._refresher = refresher
        self._origin = _origin(httpx.URL(base_url))
        self._hopeless = -1  # the generation refused right after it was renewed

    def sync_auth_flow(self, _request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuse: there is nothing to wait with."""
        raise RuntimeError("RefreshingAuth works with httpx.AsyncClient only")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign, send, and once more if the token was refused."""
        self._check_origin(request)
        await request.aread()
        generation = await self._sign(request)
        response = yield request
        # Taken after all: the next refusal is worth a renewal again.
        if response.is_success and generation == self._hopeless:
            self._hopeless = -1
        if not await _refuses(response):
            return
        # Not for a token that was refused fresh from its renewal: each call would renew it anew.
        if generation != self._hopeless:
            await self._refresher.refresh(generation)
            generation = await self._sign(request)
            response = yield request
            if not await _refuses(response):
                return
        # A look and no renewal, which would outdate the other process's token in its turn.
        if await self._refresher.take_newer(generation):
            generation = await self._sign(request)
            response = yield request
            if not await _refuses(response):
                return
        self._hopeless = generation

    def _check_origin(self, request: httpx.Request) -> None:
        if _origin(request.url) != self._origin:
            raise AuthError(f"the token is not sent to {request.url.host}: it belongs to {self._origin[1]}")

    async def _sign(self, request: httpx.Request) -> int:
        tokens = await self._refresher.current()
        request.headers["Authorization"] = f"Bearer {tokens.access_token.reveal()}"
        request.headers["Accept"] = "application/json"
        return self._refresher.generation


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


async def _refuses(response: httpx.Response) -> bool:
    """Say whether the answer refuses the token.

    Reads the body of 400, 401 and 403, cut at 64 KiB: it frees the connection, which the
    token endpoint may need, before anything is waited for.
    """
    if response.status_code not in (400, 401, 403):
        return False
    if not response.is_closed:
        # The header goes: httpx would unpack once more what `_Cut` has unpacked.
        response.stream = _Cut(response.stream, response.headers.pop("Content-Encoding", ""))
    await response.aread()
    return response.status_code == 401 or refuses_token(response.text)


class _Cut(httpx.AsyncByteStream):
    """The beginning of a body, unpacked if it can be."""

    def __init__(self, stream: object, coding: str) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous response has an asynchronous body")
        self._stream, self._coding = stream, coding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = await beginning(self._stream.__aiter__(), ERROR_BODY_LIMIT)
        with contextlib.suppress(httpx.DecodingError):
            body = unpacked(body, self._coding, ERROR_BODY_LIMIT)
        yield body

    async def aclose(self) -> None:
        await self._stream.aclose()
