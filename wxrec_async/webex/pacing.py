"""Every request to the API, replays included, goes through the budget of its client id."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import httpx

from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.rules.retry import MAX_WAIT_S, retry_after_s
from wxrec_async.rules.server_time import Moment

# For the 429 that names none; how long to back off is the retrier's to judge, which closes the gate again.
UNNAMED_WAIT_S = 1.0
TOO_MANY = 429
UNAVAILABLE = 503


class PacedTransport(httpx.AsyncBaseTransport):
    """Takes one turn of ``pacer`` for each request, and shuts its gate as soon as an answer's head says so.

    The head is enough: were the gate shut only after the body was read and
    judged, other workers' requests would go into the very time the server asked
    to be left alone.  A named wait beyond `MAX_WAIT_S` is for `rules.retry` to
    judge; here it shuts the gate for `MAX_WAIT_S`.
    A response's ``extensions["sent_at"]`` is the monotonic time its turn came, ``["asked"]`` both clocks of then.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, pacer: Pacer, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._inner, self._pacer, self._clock = inner, pacer, clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the turn, then send; raises what the inner transport raises."""
        async with self._pacer.turn():
            sent_at = anyio.current_time()
            asked = Moment(self._clock(), sent_at)
            response = await self._inner.handle_async_request(request)
            response.extensions |= {"sent_at": sent_at, "asked": asked}
            self._heed(response)
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    def _heed(self, response: httpx.Response) -> None:
        if response.status_code not in (TOO_MANY, UNAVAILABLE):
            return
        wait = retry_after_of(response, self._clock())
        # A 503 without a wait is one request's trouble; a 429 is everybody's.
        if wait or response.status_code == TOO_MANY:
            self._pacer.gate.close(min(wait or UNNAMED_WAIT_S, MAX_WAIT_S))


def retry_after_of(response: httpx.Response, now_s: float) -> float | None:
    """Read the wait a response asks for in seconds, None when it asks for none."""
    return retry_after_s(response.headers.get("Retry-After"), server_date=response.headers.get("Date"), now_s=now_s)
