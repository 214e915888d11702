"""The current token and its store: who has the newer one, and what is written down when."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from wxrec_async.auth.endpoint import InvalidGrant, TokenEndpoint
from wxrec_async.auth.token_store import StoreMoved, TokenStore
from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import WxrecError
from wxrec_async.events import Emit, TokenRefreshed, Warned
from wxrec_async.plumbing.finishing import run_to_completion

SAVE_WITHIN_S = 60.0
HURRIED_ASK_S = 2.0  # for an answer when somebody waits for us to be gone: less loses tokens, more outlives a platform


class TokenManager:
    """Holds the token, asks for new ones and stores them; one caller at a time, please.

    ``tokens`` is None until something was loaded.  ``generation`` counts the tokens adopted, also one
    that says the same as the last: who waited for it must see it.  ``unsaved`` is a token that is in
    memory only.
    """

    def __init__(self, store: TokenStore, endpoint: TokenEndpoint, emit: Emit, now: Callable[[], float]) -> None:
        self._store, self._endpoint, self._emit, self._now = store, endpoint, emit, now
        self.generation = 0
        self.tokens: Tokens | None = None
        self.unsaved: Tokens | None = None
        self._stored: Tokens | None = None  # what the store held when it was last read or written
        self._base: Tokens | None = None  # whose refresh token is the newest
        self._ends_at = 0.0  # by the monotonic clock

    def fresh(self) -> bool:
        """Say whether the token need not be renewed yet."""
        return self.tokens is not None and self.tokens.fresh(self._now())

    def alive(self) -> bool:
        """Say whether the token lives by either clock: a jump of the wall clock does not end it."""
        if self.tokens is None or not self.tokens.access_token:
            return False
        return self.tokens.alive(self._now()) or anyio.current_time() < self._ends_at

    async def renew(self) -> None:
        """Take the token another process has stored meanwhile, or ask for a new one.

        Raises `AuthError`, `ConfigError` or `RemoteError`; the token held before is then still held.
        """
        if self.tokens is None and await self._take_stored():
            return  # the first one, and good: nothing needs to be locked
        async with self._store.lock():
            if await self._take_stored():
                return
            refused = await self._ask()
            if refused is not None:
                await self._after_refusal(refused)

    async def take_newer(self) -> None:
        """Take the token another process has stored meanwhile; wait for one that is just being stored."""
        async with self._store.lock():
            await self._take_stored()

    async def _after_refusal(self, refused: InvalidGrant) -> None:
        """Look once more: whoever made our refresh token worthless may have stored its own since."""
        # By identity: `_take_stored` puts another one there only when the store has moved.
        base = self._base
        if await self._take_stored():
            return
        if self._base is base:
            raise refused
        again = await self._ask()
        if again is not None:
            raise again

    async def _take_stored(self) -> bool:
        """Read the store; adopt what another process put there and return True when it is good to use."""
        stored = await self._store.load()
        if stored.same(self._stored):
            return False
        self._stored = stored
        if self.unsaved is not None and stored.expires_at <= self.unsaved.expires_at:
            return False  # ours is the newer one, and still to be stored
        self._base, self.unsaved = stored, None
        known = self.tokens is not None and stored.access_token == self.tokens.access_token
        # The very first token may be near its end and is adopted all the same: it lives until it is renewed.
        if not known and (self.tokens is None or stored.fresh(self._now())):
            self._adopt(stored)
            return stored.fresh(self._now())
        return False

    async def _ask(self) -> InvalidGrant | None:
        try:
            # Once asked, the old refresh token may be worthless: cancelled before the save, we had neither.
            await run_to_completion(self._exchange, hurried_s=HURRIED_ASK_S)
        except InvalidGrant as refused:
            return refused
        return None

    async def _exchange(self) -> None:
        """Ask and write down; nothing may come between, so this runs shielded, and nothing hurries the writing."""
        if self._base is None:
            raise AssertionError("renewed before anything was loaded")
        tokens = await self._endpoint.refresh(self._base)
        # Saved before it is used, and not hurried: a token that is written nowhere dies with the process.
        with anyio.CancelScope(shield=True):
            tokens = await self._saved(tokens)
            self._adopt(tokens)
        self._emit(TokenRefreshed(tokens.expires_at))

    async def save_again(self) -> None:
        """Try again to store an unsaved token; gives way to a newer one of another process."""
        async with self._store.lock():
            if await self._stored_moved() or self.unsaved is None:
                return
            await run_to_completion(self._keep_unsaved)

    async def _keep_unsaved(self) -> None:
        if self.unsaved is None:
            return
        kept = await self._saved(self.unsaved)
        if not kept.same(self.tokens):
            self._adopt(kept)

    async def _stored_moved(self) -> bool:
        try:
            return await self._take_stored()
        except WxrecError:
            return False  # unreadable now: saving says why, or mends it

    async def _saved(self, tokens: Tokens) -> Tokens:
        """Store ``tokens`` and return what is to be used: them, stored or not, or a newer one of another process."""
        # A store that fails is no reason to throw the token away: it serves from memory, and saving is tried again.
        problem = await self._save(tokens)
        if isinstance(problem, StoreMoved):
            tokens, problem = problem.tokens, None
        if problem is None:
            self._stored, self.unsaved = tokens, None
        else:
            self._warn_unsaved(tokens, problem)
            self.unsaved = tokens
        return tokens

    async def _save(self, tokens: Tokens) -> Exception | None:
        try:
            with anyio.fail_after(SAVE_WITHIN_S):
                await self._store.save(tokens)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, this token exists nowhere else
            return error
        return None

    def _warn_unsaved(self, tokens: Tokens, problem: Exception) -> None:
        if tokens.same(self.unsaved):
            return  # said already
        said = str(problem) if isinstance(problem, WxrecError) else type(problem).__name__
        self._emit(Warned("token_not_saved", f"the renewed token is in memory only: {said}"))

    def _adopt(self, tokens: Tokens) -> None:
        self.generation += 1
        self.tokens = self._base = tokens
        self._ends_at = anyio.current_time() + tokens.expires_at - self._now()
