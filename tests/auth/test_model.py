"""The refresher against a server that rotates and revokes: whatever happens in whatever order, no token is lost."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.auth.auth_kit import DAY, T0, Bench, TokenRules, bench, cancelled_after, number, pair, renewal
from tests.stateful import walks
from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import AuthError

WORKERS = st.integers(1, 5)
TURNS = st.integers(0, 40)


class RefresherMachine(RuleBasedStateMachine):
    """``due`` says how many requests the next renewals may make: one for each expiry, refusal or change elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.portal_manager = start_blocking_portal("asyncio")
        self.portal = self.portal_manager.__enter__()

    @initialize(revoke=st.booleans())
    def begin(self, revoke: bool) -> None:
        opening = bench(pair(1, T0 + DAY), TokenRules(revoke=revoke))
        self.opened: AbstractContextManager[Bench] = self.portal.wrap_async_context_manager(opening)
        self.b = self.opened.__enter__()
        self.due = self.posts = 0
        self.elsewhere = {1}  # tokens the store had from others
        self.do(self.b.refresher.current)

    def do(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do it; at most what is due is asked of the server, and never with a token it has revoked."""
        self.portal.call(work)
        asked = self.b.rules.posts - self.posts
        assert asked <= self.due
        self.posts, self.due = self.b.rules.posts, self.due - asked
        if self.b.rules.revoke:
            sent = [form.get("refresh_token") for form in self.b.rules.seen]
            assert len(sent) == len(set(sent))

    async def _used_by(
        self, workers: int, work: Callable[[], Coroutine[Any, Any, Tokens]], *, lives: bool = True
    ) -> None:
        """Let workers go at once; each has a token that lives, is saved (or known not to be), and is the same."""
        got: list[Tokens] = []

        async def one() -> None:
            tokens = await work()
            saved = {*self.elsewhere, *map(number, self.b.store.saves)}
            assert self.b.refresher.unsaved or number(tokens) in saved  # saved before it is used
            got.append(tokens)

        async with anyio.create_task_group() as group:
            for _ in range(workers):
                group.start_soon(one)
        assert len({number(tokens) for tokens in got}) == 1
        assert not lives or all(tokens.alive(self.b.clock.at) for tokens in got)

    @rule()
    def expire(self) -> None:
        self.b.clock.at += 15 * DAY
        self.due = 1

    @rule(workers=WORKERS)
    def use(self, workers: int) -> None:
        self.do(lambda: self._used_by(workers, self.b.refresher.current))

    @rule(workers=WORKERS, old=st.integers(0, 3))
    def refused(self, workers: int, old: int) -> None:
        """401 for a token of this generation, or of one before, which is no news."""
        stale = self.b.refresher.generation - old
        self.due += old == 0
        # For an old one nothing is done: whoever signs with it asks `current` first.
        self.do(lambda: self._used_by(workers, lambda: self.b.refresher.refresh(stale), lives=old == 0))

    @rule(turns=TURNS, natively=st.booleans(), forced=st.booleans())
    def cancel(self, turns: int, natively: bool, forced: bool) -> None:
        refresher, stale = self.b.refresher, self.b.refresher.generation
        self.due += forced
        work = (lambda: refresher.refresh(stale)) if forced else refresher.current
        self.do(lambda: cancelled_after(turns, work, natively=natively))

    @rule(times=st.integers(1, 2))
    def store_fails(self, times: int) -> None:
        self.b.store.failures = [AuthError("the disk is full") for _ in range(times)]

    @rule()
    def store_works(self) -> None:
        self.b.store.failures = []
        self.do(self.b.refresher.save_pending)
        assert not self.b.refresher.unsaved

    @rule()
    def another_process_renews(self) -> None:
        """It does what we do: under the lock, from what is stored; so not while ours is unsaved and its was revoked."""
        if self.b.refresher.unsaved:
            return
        self.b.rules.newest += 1
        self.elsewhere.add(self.b.rules.newest)
        self.b.store.tokens = pair(self.b.rules.newest, self.b.clock.at + 14 * DAY)

    @invariant()
    def the_newest_token_is_never_lost(self) -> None:
        if hasattr(self, "b"):
            assert number(self.b.store.tokens) == self.b.rules.newest or self.b.refresher.unsaved
            assert all(form.get("refresh_token") != renewal(0) for form in self.b.rules.seen)

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.b.store.failures = []
            assert self.portal.call(self.b.refresher.save_pending)
            assert number(self.b.store.tokens) == self.b.rules.newest
            self.opened.__exit__(None, None, None)
        self.portal_manager.__exit__(None, None, None)


TestRefresherMachine = RefresherMachine.TestCase
TestRefresherMachine.settings = walks(15)
