"""What stands before every service: the log, the fault plan, and the faults any server can have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import Protocol

import aiohttp
from aiohttp import web

from wxrec_async.sandbox.fault_kinds import Fault
from wxrec_async.sandbox.faults import Faults
from wxrec_async.sandbox.log import Entry, RequestLog
from wxrec_async.sandbox.raw_http import cut, hold, is_gone

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"
# Where no client may let itself be sent: another host, a cloud's metadata, plain http.
REDIRECTS = {
    "elsewhere": "https://media.example.net/elsewhere.wav",
    "private": "http://169.254.169.254/latest/meta-data/",
    "plain": "http://media.example.net/plain.wav",
}
Clock = Callable[[], float]
# What aiohttp makes of a client that is gone, while it is read from and while it is written to.
LOST = (ConnectionError, aiohttp.ClientError, aiohttp.http.HttpProcessingError, asyncio.IncompleteReadError)


@dataclass(slots=True)
class Call:
    """One request under way.  A service may look at ``fault`` and act it out; the front acts out the common ones."""

    request: web.BaseRequest
    entry: Entry
    operation: str = ""
    key: str = ""
    fault: Fault | None = None
    body: bytes = b""
    detail: dict[str, str] = field(default_factory=dict)

    def wrong(self, *kinds: str) -> Fault | None:
        """Return the fault when it is one of these."""
        return self.fault if self.fault is not None and self.fault.kind in kinds else None


@dataclass(slots=True)
class Refusal(Exception):
    """A request is refused: ``status``, the server's own ``code`` and ``message``."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


class Service(Protocol):
    """One simulated server."""

    name: str

    async def classify(self, call: Call) -> tuple[str, str]:
        """Name the operation and the key of a request; may raise Refusal."""

    async def answer(self, call: Call) -> web.StreamResponse:
        """Do what was asked; may raise Refusal."""

    def refusal(self, problem: Refusal, call: Call) -> web.Response:
        """Say no in the shape this server uses."""


@dataclass(slots=True)
class Front:
    """The handler of one port."""

    service: Service
    log: RequestLog
    faults: Faults
    latency: float = 0.0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call(request, self.log.open(self.service.name, request))
        response: web.StreamResponse
        try:
            response = await self._respond(call)
        except Refusal as problem:
            response = self._refuse(problem, call)
        except LOST:
            response = cut(request)  # the client left while it was being read or answered
        self._close(call, response)
        return response

    async def _respond(self, call: Call) -> web.StreamResponse:
        if self.latency:
            await asyncio.sleep(self.latency)
        entry = call.entry
        call.operation, call.key = entry.operation, entry.key = await self.service.classify(call)
        # Counted with and without a fault, so that an attempt has the same number under every plan.
        entry.attempt = self.faults.count(call.operation, call.key)
        ranged = "Range" in call.request.headers
        call.fault = self.faults.decide(call.operation, call.key, entry.attempt, ranged=ranged)
        if call.fault is None:
            return await self.service.answer(call)
        entry.fault = call.fault.kind
        return await self._act(call, call.fault)

    async def _act(self, call: Call, fault: Fault) -> web.StreamResponse:
        """Act out the faults every server can have; the others are the service's own."""
        if before := fault.get("before"):
            before()
        match fault.kind:
            case "reset_before" | "close_before":
                return cut(call.request, reset=fault.kind == "reset_before")
            case "error":
                raise Refusal(fault.get("status", 500), fault.get("code", ""), fault.get("message", ""), waits(fault))
            case "redirect":
                return self._redirect(call, fault)
            case "html":
                return web.Response(body=HTML, content_type="text/html")
            case "empty_body":
                return web.Response(body=b"", content_type="application/json")
            case "pause" | "stall":
                await hold(call.request, fault.get("seconds", 0.2 if fault.kind == "pause" else 3600.0))
        return await self._finish(call, fault)

    async def _finish(self, call: Call, fault: Fault) -> web.StreamResponse:
        try:
            response = await self.service.answer(call)
        except Refusal as problem:
            response = self._refuse(problem, call)
        if after := fault.get("after"):
            after()
        # prepared: the head has left, it cannot be changed or taken back.
        if fault.kind == "skewed_date" and not response.prepared:
            response.headers["Date"] = date_in(fault.get("seconds", 300))
        if fault.kind == "reset_after" and not response.prepared:
            # The log knows what was done, though nobody is told.
            call.entry.code = str(response.status)
            return cut(call.request)
        return response

    def _redirect(self, call: Call, fault: Fault) -> web.Response:
        to = fault.get("to", "elsewhere")
        named = {**REDIRECTS, "loop": call.request.raw_path}
        return web.Response(status=fault.get("status", 302), headers={"Location": named.get(to, to)})

    def _refuse(self, problem: Refusal, call: Call) -> web.Response:
        call.entry.code = problem.code
        call.entry.asked_wait_s = _asked_wait_s(problem.headers)
        response = self.service.refusal(problem, call)
        response.headers.update(problem.headers)
        return response

    def _close(self, call: Call, response: web.StreamResponse) -> None:
        entry = call.entry
        entry.seconds = time.monotonic() - entry.started
        entry.status = entry.status or (-1 if is_gone(call.request) else response.status)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            entry.sent = entry.sent or len(response.body)


def waits(fault: Fault) -> dict[str, str]:
    """Return the Retry-After header a fault asks for; with a Date of its own when that clock is off."""
    value, skew = fault.get("retry_after"), fault.get("skew", 0)
    if value is None:
        return {}
    if value == "date":
        return {"Retry-After": date_in(2 + skew), "Date": date_in(skew)}
    return {"Retry-After": str(value), **({"Date": date_in(skew)} if skew else {})}


def date_in(seconds: float) -> str:
    """Return an HTTP-date so many seconds from now."""
    return formatdate(time.time() + seconds, usegmt=True)


def _asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return for how long an answer asks to be left alone, None when it says nothing readable."""
    text = headers.get("Retry-After", "")
    if text.replace(".", "", 1).isdigit():
        return float(text)
    until, date = (parsedate_tz(value) for value in (text, headers.get("Date", "")))
    return float(mktime_tz(until) - mktime_tz(date)) if until and date else None
