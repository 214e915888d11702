"""Cisco's paths, as their specification words them: tasks, captures, tokens, and the pre-signed URLs; no Search."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.canaries import ACCESS_TOKEN, REFRESH_TOKEN, SIGNATURE
from tests.trials.organisation import Json, Organisation

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MOST_ROWS = 40
MOST_TASKS = 10


class Webex:
    """One organisation's API and media host on one port; a test puts its own handlers in the place of these."""

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.port = 0
        self.servers: list[asyncio.Server] = []  # of a test's own, to be closed with this one
        self.tasks: Handler = self.plain_tasks
        self.captures: Handler = self.plain_captures
        self.media: Handler = self.plain_media

    def app(self) -> web.Application:
        """Return the application; which handler answers is looked up at each request."""
        app = web.Application()
        app.on_cleanup.append(self._close)
        app.router.add_get("/v1/tasks", self._counted("tasks"))
        app.router.add_post("/v1/captures/query", self._counted("captures"))
        app.router.add_post("/v1/access_token", self._token)
        app.router.add_get("/media/{recording}/{name}", self._counted("media"), allow_head=False)
        return app

    async def _close(self, _: web.Application) -> None:
        for server in self.servers:
            server.close()

    def _counted(self, name: str) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.organisation.seen[name] += 1
            handler: Handler = getattr(self, name)
            return await handler(request)

        return answer

    async def _token(self, _: web.Request) -> web.Response:
        token = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "token_type": "Bearer"}
        return web.json_response(token | {"expires_in": 1_209_599, "refresh_token_expires_in": 7_775_999})

    async def plain_tasks(self, request: web.Request) -> web.Response:
        """List what was created in the window, the oldest first, at most 40 rows a page."""
        if refused := self._refused(request):
            return refused
        query = request.query
        first, end, size = int(query["from"]), int(query["to"]), int(query.get("pageSize", "100"))
        rows = [row for row in self.of_channels(query.get("channelTypes", "")) if first <= created(row) < end]
        return self.answer(sorted(rows, key=created)[: min(size, MOST_ROWS)])

    def of_channels(self, names: str) -> list[Json]:
        """Return the tasks of these channels, of all when none is named."""
        wanted = {name for name in names.split(",") if name}
        return [row for row in self.organisation.tasks if not wanted or row["attributes"]["channelType"] in wanted]

    def answer(self, rows: object, **beside: object) -> web.Response:
        """Write an answer with its ``data``."""
        return web.json_response({"meta": {"orgId": self.organisation.org_id}, "data": rows} | beside)

    async def plain_captures(self, request: web.Request) -> web.Response:
        """Answer an entry for each task that was asked for, with empty lists where there is nothing."""
        if refused := self._refused(request):
            return refused
        asked = (await request.json())["query"]["taskIds"]
        if not 1 <= len(asked) <= MOST_TASKS:
            return web.json_response({"trackingId": "T", "error": {"key": "400", "message": []}}, status=400)
        return self.answer([self.entry(name) for name in asked])

    def entry(self, task: str) -> Json:
        """Return what captures says of one task."""
        named = self.organisation.recordings.get(task, [])
        return {"taskId": task, "recording": [self._signed(each) for each in named], "transcription": []}

    def _signed(self, recording: Json) -> Json:
        said = recording["attributes"] | {"filePath": self.url(recording["id"], recording["attributes"]["fileName"])}
        return recording | {"attributes": said}

    def url(self, recording_id: str, file_name: str) -> str:
        """Return a pre-signed URL."""
        signed = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={SIGNATURE}"
        )
        return f"http://127.0.0.1:{self.port}/media/{quote(recording_id)}/{quote(file_name)}?{signed}"

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {ACCESS_TOKEN}":
            return None
        return web.json_response({"trackingId": "T", "error": {"key": "401", "message": []}}, status=401)

    async def plain_media(self, request: web.Request) -> web.StreamResponse:
        """Give a recording, or the rest of it, as S3 does."""
        if "Authorization" in request.headers or "X-Amz-Signature" not in request.query:
            return s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        body = self.body(request)
        if body is None:
            return s3_error(404, "NoSuchKey", "The specified key does not exist.")
        return ranged(request, body, {"ETag": etag(body), "Content-Type": "audio/wav"})

    def body(self, request: web.Request) -> bytes | None:
        """Return the bytes that a URL stands for."""
        return self.organisation.media.get(request.match_info["recording"])


def created(row: Json) -> int:
    """Return when a task was created, in milliseconds."""
    moment: int = row["attributes"]["createdTime"]
    return moment


def etag(body: bytes) -> str:
    """Return the strong validator of a body."""
    return f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - as S3 has it


def first_byte(request: web.Request) -> int | None:
    """Return where the range that is asked for begins, None when all is asked for."""
    asked = request.headers.get("Range")
    return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else None


def ranged(request: web.Request, body: bytes, head: dict[str, str]) -> web.Response:
    """Answer all of a body, or what ``Range`` asks for if the validator still fits."""
    first = first_byte(request)
    if_match, tag = request.headers.get("If-Match"), head.get("ETag")
    if if_match and tag and if_match != tag:
        return s3_error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
    if first is None or request.headers.get("If-Range", tag) != tag:
        return web.Response(body=body, headers=head)
    if first >= len(body):
        return s3_error(416, "InvalidRange", "", {"Content-Range": f"bytes */{len(body)}"})
    last = request.headers["Range"].rpartition("-")[2]
    end = min(len(body), int(last) + 1) if last else len(body)
    return web.Response(
        status=206, body=body[first:end], headers=head | {"Content-Range": f"bytes {first}-{end - 1}/{len(body)}"}
    )


def s3_error(status: int, code: str, message: str = "", head: dict[str, str] | None = None) -> web.Response:
    """Write an error as S3 does."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml", headers=head)


def read_json(answer: web.StreamResponse) -> Any:
    """Return what a plain handler answered, to be changed."""
    assert isinstance(answer, web.Response)
    return json.loads(answer.text or "null")
