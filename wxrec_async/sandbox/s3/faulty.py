"""S3's own ways to go wrong, and the pace at which it reads."""

from __future__ import annotations

import asyncio

from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.raw_http import hold

REFUSALS = {
    "slow_down": (503, "SlowDown"),
    "internal_error": (500, "InternalError"),
    "no_such_upload": (404, "NoSuchUpload"),
    "precondition_failed": (412, "PreconditionFailed"),
    "conflict": (409, "ConditionalRequestConflict"),
    "request_timeout": (400, "RequestTimeout"),
    "access_denied": (403, "AccessDenied"),
    "expired_token": (400, "ExpiredToken"),
    "no_such_key": (404, "NoSuchKey"),
    "clock_skew": (403, "RequestTimeTooSkewed"),
}


async def before_body(call: Call) -> None:
    """Do what comes before the first byte of a body: say 100 Continue, or stall."""
    # Two ways to hang: the body is invited and not read, so that the client's write blocks; or not even invited.
    if stalled := call.wrong("stall_reading", "no_continue"):
        if stalled.kind == "stall_reading":
            _say_continue(call)
        await hold(call.request, stalled.get("seconds", 3600.0))
        if stalled.kind == "stall_reading":
            return
    _say_continue(call)


def _say_continue(call: Call) -> None:
    request = call.request
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and "continued" not in call.detail and request.transport is not None:
        call.detail["continued"] = "yes"
        # By hand: aiohttp's low-level server does not say it, and it is ours to hold back.
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def refuse_on_purpose(call: Call) -> None:
    """Raise the refusal the fault plan asks for, if any."""
    found = REFUSALS.get(call.fault.kind if call.fault is not None else "")
    if found is not None:
        raise Refusal(*found, "")


async def pace(count: int, rate: float) -> None:
    """Wait as long as ``count`` bytes take at ``rate`` bytes per second."""
    await asyncio.sleep(count / rate)
