"""The strict front: it stands between a Webex client and any simulator of Webex, and knows the contract, not the two.

A request that is not in the contract is refused with Cisco's error form and
noted; with ``record_only`` it is noted and passed on where one can tell what
was meant.  Answers are judged and noted, never changed, but that the origin of
each ``filePath`` is replaced, so that media pass through here as well.
``GET /_violations`` tells everything found.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from tests.webex_contract.client_checks import ClientChecks, Refusal
from tests.webex_contract.findings import Findings
from tests.webex_contract.probe import probe
from tests.webex_contract.spec import Operation, methods_of, operation_of
from tests.webex_contract.upstream_checks import Answer, UpstreamChecks, media_of

OWN = frozenset({
    "transfer-encoding", "content-length", "connection", "content-encoding", "keep-alive", "host", "server", "date",
})  # fmt: skip
TOKEN_PATHS = ("/v1/access_token", "/v1/authorize")
MEDIA = "/_media/"
TWO_CREDENTIALS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism '
    "allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header "
    "should be specified</Message></Error>"
)
BUFFER = 1 << 20


@dataclass
class StrictFront:
    """The handler of one port; ``upstream`` and ``auth_upstream`` are roots, without ``/v1``."""

    upstream: str
    auth_upstream: str
    http: aiohttp.ClientSession
    record_only: bool = False
    probes: bool = False
    findings: Findings = field(default_factory=Findings)
    base: str = ""
    _origins: list[str] = field(default_factory=list)
    _handed_out: set[str] = field(default_factory=set)
    _probed: bool = False

    def __post_init__(self) -> None:
        self._client, self._server = ClientChecks(self.findings), UpstreamChecks(self.findings)

    @property
    def api_url(self) -> str:
        """What a client's base URL and token URL are to be."""
        return f"{self.base}/v1"

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/_violations":
            return web.json_response({"violations": self.findings.rows()})
        if path.startswith(MEDIA):
            return await self._media(request)
        if path in TOKEN_PATHS:
            return await self._token(request)
        operation, path = self._meant(request)
        raw = await request.read()
        if operation is None:
            others = methods_of(path)
            return _refused(Refusal(405 if others else 404, "Not Found"))
        refusal = self._client.request(request, operation, raw)
        if refusal is not None and not self.record_only:
            return _refused(refusal)
        if self.probes and not self._probed:
            self._probed = True
            await probe(self.http, self.upstream, request.headers, self.findings)
        return await self._forward(request, path, operation, raw)

    def _meant(self, request: web.BaseRequest) -> tuple[Operation | None, str]:
        """Return the operation asked for; one that is not there only when ``record_only`` lets it pass."""
        path = request.path
        found = operation_of(request.method, path)
        if found is not None:
            return found, path
        shown = re.sub("[0-9a-f-]{36}", "{id}", path)
        others = methods_of(path)
        there = f" (there is {', '.join(others)})" if others else ""
        self.findings.note("client", "error", f"{request.method} {shown} does not exist{there}", path, request.path_qs)
        if not self.record_only:
            return None, path
        meant = f"/{path.removeprefix('/v1/')}"
        return operation_of(request.method, meant), meant

    # The APIs

    async def _forward(
        self, request: web.BaseRequest, path: str, operation: Operation, raw: bytes
    ) -> web.StreamResponse:
        url = URL(f"{self.upstream}{path}?{request.rel_url.raw_query_string}", encoded=True)
        try:
            answer = await self._asked(request, url, raw)
        except aiohttp.ClientError as error:
            return self._broke_off(request, operation.where, error)
        body = self._server.answer(operation, request.query, raw, answer)
        data = answer.data if body is None else self._with_own_urls(body)
        return _passed_on(Answer(answer.status, answer.headers, data))

    async def _asked(self, request: web.BaseRequest, url: URL, raw: bytes) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OWN}
        headers.pop("Accept-Encoding", None)
        async with self.http.request(
            request.method, url, headers=headers, data=raw or None, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    def _broke_off(self, request: web.BaseRequest, where: str, error: BaseException) -> web.Response:
        self._server.broke_off(where, error)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _with_own_urls(self, body: dict[str, object]) -> bytes:
        """Let every ``filePath`` lead through here, unchanged behind its origin."""
        for item in media_of(body):
            parts = urlsplit(item["filePath"])
            origin = f"{parts.scheme}://{parts.netloc}"
            if origin not in self._origins:
                self._origins.append(origin)
            path = f"{MEDIA}{self._origins.index(origin)}{item['filePath'].removeprefix(origin)}"
            self._handed_out.add(path)
            item["filePath"] = f"{self.base}{path}"
        return json.dumps(body).encode()

    async def _token(self, request: web.BaseRequest) -> web.StreamResponse:
        raw, where = await request.read(), f"{request.method} {request.path}"
        if request.path == "/v1/access_token":
            self._client.token(request, raw, where)
        try:
            answer = await self._asked(request, URL(f"{self.auth_upstream}{request.path_qs}", encoded=True), raw)
        except aiohttp.ClientError as error:
            return self._broke_off(request, where, error)
        if request.path == "/v1/access_token":
            self._server.token(where, answer)
        return _passed_on(answer)

    # Media

    async def _media(self, request: web.BaseRequest) -> web.StreamResponse:
        where = f"{request.method} media"
        if not self._client.media(request, frozenset(self._handed_out)):
            return web.Response(status=400, content_type="application/xml", text=TWO_CREDENTIALS)
        number, _, rest = request.raw_path.removeprefix(MEDIA).partition("/")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        url = URL(f"{self._origins[int(number)]}/{rest}", encoded=True)
        try:
            async with self.http.request(request.method, url, headers=headers, allow_redirects=False) as answer:
                self._server.media(where, answer.status, answer.headers)
                return await _streamed(request, answer)
        except (aiohttp.ClientError, ConnectionError) as error:
            return self._broke_off(request, where, error)


async def _streamed(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    kept = OWN - {"content-length", "content-encoding"}
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in kept]
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _passed_on(answer: Answer) -> web.Response:
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in OWN]
    return web.Response(status=answer.status, body=answer.data, headers=headers)


def _refused(refusal: Refusal) -> web.Response:
    tracking = f"contract_{uuid.uuid4()}"
    body: Mapping[str, object] = {
        "trackingId": tracking,
        "error": {"key": str(refusal.status), "message": [{"description": refusal.text}]},
    }
    if refusal.graphql:
        body = {"errors": [{"message": refusal.text, "extensions": {"classification": "ValidationError"}}]}
    return web.json_response(body, status=refusal.status, headers={"trackingid": tracking})


@asynccontextmanager
async def strict_front(
    upstream: str, auth_upstream: str | None = None, *, port: int = 0, record_only: bool = False, probes: bool = False
) -> AsyncIterator[StrictFront]:
    """Let a front stand before ``upstream`` for as long as the block lasts."""
    root = upstream.rstrip("/").removesuffix("/v1")
    tokens = (auth_upstream or root).rstrip("/").removesuffix("/v1")
    timeout = aiohttp.ClientTimeout(total=None, sock_read=120)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout, read_bufsize=BUFFER) as http:
        front = StrictFront(root, tokens, http, record_only, probes)
        runner = web.ServerRunner(web.Server(front, access_log=None, max_line_size=1 << 16, max_field_size=1 << 16))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            front.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield front
        finally:
            await runner.cleanup()
