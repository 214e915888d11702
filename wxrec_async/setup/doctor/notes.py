"""What an examination writes down as it goes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import anyio

from wxrec_async.errors import (
    AuthError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    InvalidResponse,
    RemoteError,
    RunStopped,
    TimedOut,
    WxrecError,
)
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.diagnosis import Finding, unknown

TRIES = 3
PAUSE_S = 0.3
# Somebody waits for these lines: a server that asks for minutes is told of as it is.
LONGEST_WAIT_S = 20.0


@dataclass(slots=True)
class Notes:
    """The findings so far, and by how many seconds this machine's clock is ahead of each host's."""

    tell: Callable[[Finding], None]
    clock: Callable[[], float] = time.time
    findings: list[Finding] = field(default_factory=list)
    skews: dict[str, float] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Write one down and tell it."""
        self.findings.append(finding)
        self.tell(finding)

    def skip(self, names: Iterable[str], why: str) -> None:
        """Write down that these could not be known."""
        for name in names:
            self.add(unknown(name, why))

    def note_date(self, host: str, date: str | None) -> None:
        """Compare our clock with a ``Date`` header; it has whole seconds, so half of one is added."""
        try:
            theirs = parsedate_to_datetime(date or "").timestamp() + 0.5
        except (TypeError, ValueError):
            return
        self.skews[host] = self.clock() - theirs

    def server_time(self, host: str) -> float:
        """Return what time it is for ``host``, as far as it said: answers are judged by that, the clock apart."""
        return self.clock() - self.skews.get(host, 0.0)


async def failure_of(ask: Callable[[], Awaitable[object]]) -> WxrecError | None:
    """Ask, a few times when that may help; return the last failure, None when it was answered."""
    failure: WxrecError | None = None
    for attempt in range(TRIES):
        failure = await _failure_of_one(ask)
        wait = _wait(failure, attempt)
        if wait is None or attempt == TRIES - 1:
            break
        await anyio.sleep(wait)
    return failure


async def _failure_of_one(ask: Callable[[], Awaitable[object]]) -> WxrecError | None:
    try:
        await ask()
    except (RemoteError, AuthError, RunStopped) as failure:
        # Told as findings.  Anything else, a fault of the program or a cancellation, is none and goes through.
        return failure
    except OperationFailed as given_up:
        return given_up.trouble
    return None


def _wait(failure: WxrecError | None, attempt: int) -> float | None:
    """Return how long to wait before asking again, None when that would not help."""
    match failure:
        case HTTPStatusError(status=status) if status == 429 or status >= 500:
            return min(failure.retry_after_s or PAUSE_S * (attempt + 1), LONGEST_WAIT_S)
        case ConnectError() | ConnectionLost() | TimedOut() | InvalidResponse():
            return PAUSE_S * (attempt + 1)
        case _:
            return None
