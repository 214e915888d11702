"""One poisonous id must not take the nine others of its batch with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from wxrec_async.errors import HTTPStatusError, InvalidMedia, InvalidResponse, RemoteError, TimedOut
from wxrec_async.model import Capture
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.tokens import refuses_token
from wxrec_async.webex.pacing import TOO_MANY

Enough = Callable[[RemoteError], bool]
Ask = Callable[[Sequence[str], Enough], Awaitable[dict[str, Capture]]]

BATCH_PATIENCE = 3
SINGLE_PATIENCE = 3
HOPELESS = 12
FORBIDDEN = 403


class Bisection:
    """Asks for a batch and halves it while it fails, until the id at fault stands alone.

    What that costs is limited.  A refusal (4xx) is given up at once and halved
    cheaply.  A server error may be the whole server's doing, so the batch gets
    the retrier's full patience, unless other batches are ``answered`` meanwhile:
    then `BATCH_PATIENCE` failures are enough.  A half is halved at its first
    failure; a single id fails after `SINGLE_PATIENCE`, or at once when nothing
    has succeeded at all; and when `HOPELESS` calls in a row have failed the rest
    fails without being asked.
    """

    def __init__(self, ask: Ask, answered: Callable[[], int]) -> None:
        self._ask, self._answered = ask, answered
        self._answered_before = answered()
        self._failures_in_row = 0
        self.found: dict[str, Capture] = {}
        self.failed: dict[str, str] = {}
        self.trouble: RemoteError | None = None  # the last one

    async def ask(self, ids: Sequence[str]) -> None:
        """Fill ``found`` and ``failed`` so that each of ``ids`` is in one of them."""
        await self._ask_part(ids, _after(BATCH_PATIENCE, self._server_works) if len(ids) > 1 else _never)

    def _server_works(self) -> bool:
        return self._answered() > self._answered_before

    async def _ask_part(self, ids: Sequence[str], enough: Enough) -> None:
        try:
            found = await self._ask(ids, enough)
        except OperationFailed as exc:
            given_up = exc
        else:
            self._failures_in_row = 0
            self.found.update(found)
            return
        # Outside the handler: each half would hang on the failure of the whole it came from, as its context.
        await self._failed(ids, given_up)

    async def _failed(self, ids: Sequence[str], given_up: OperationFailed) -> None:
        self._failures_in_row += 1
        decision, trouble = given_up.decision, given_up.trouble
        self.trouble = trouble
        # A budget that is used up and a broken connection say nothing of the ids: half of them would fare no better.
        if len(ids) == 1 or not _blames_ids(trouble):
            reason = decision.reason if isinstance(decision, GiveUp) else "error"
            self.failed.update(dict.fromkeys(ids, reason))
            return
        middle = len(ids) // 2
        for half in (ids[:middle], ids[middle:]):
            # Asked anew for each half: the first one may have used up what was left.
            if self._failures_in_row >= HOPELESS:
                self.failed.update(dict.fromkeys(half, reason_of(trouble)))
            else:
                patience = SINGLE_PATIENCE if len(half) == 1 and self._server_works() else 1
                await self._ask_part(half, _after(patience))


def forbids_ids(trouble: RemoteError) -> bool:
    """Tell a refusal that may belong to one of the ids from one that speaks of the token itself."""
    return (
        isinstance(trouble, HTTPStatusError)
        and trouble.status == FORBIDDEN
        and not refuses_token(f"{trouble.code} {trouble.words}")
    )


def reason_of(trouble: RemoteError) -> str:
    """Name a failure in one stable word."""
    match trouble:
        case HTTPStatusError(status=status):
            return f"http_{status}"
        case InvalidMedia(reason=reason):
            return reason
        case InvalidResponse():
            return "nonsense"
        case TimedOut():
            return "timed_out"
        case _:
            return "connection"


def _blames_ids(trouble: RemoteError) -> bool:
    """Tell whether other ids might fare better: the server got the request and did not like it."""
    if isinstance(trouble, HTTPStatusError):
        # Also 5xx: one id can be what a server stumbles over.
        return trouble.status != TOO_MANY
    return isinstance(trouble, InvalidResponse | TimedOut)


def _after(patience: int, condition: Callable[[], bool] = lambda: True) -> Enough:
    failures = 0

    def enough(trouble: RemoteError) -> bool:
        nonlocal failures
        # Who refuses the token refuses every id: the retrier ends the run with it.
        if not _blames_ids(trouble) or (isinstance(trouble, HTTPStatusError) and trouble.status in (401, 403)):
            return False
        failures += 1
        return failures >= patience and condition()

    return enough


def _never(_: RemoteError) -> bool:
    return False
