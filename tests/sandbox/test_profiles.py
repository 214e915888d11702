"""Under mild and storm everything can still be had, by a client that only tries again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import httpx
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from wxrec_async.sandbox import Options, Organisation, Sandbox, TruthRecording
from wxrec_async.sandbox.faults import Profile

from .kit import Webex, http_client, s3_client

pytestmark = pytest.mark.anyio
PATIENCE = 8
T = TypeVar("T")


class Again(Exception):
    """The answer will not do."""


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try a few times, whatever goes wrong."""
    for _ in range(PATIENCE):
        try:
            return await attempt()
        except (Again, httpx.HTTPError, ValueError, BotoCoreError, ClientError):
            continue
    raise AssertionError(f"not to be had in {PATIENCE} attempts")


async def url_of(webex: Webex, item: TruthRecording) -> str:
    answer = await webex.captures(item.task_id)
    if answer.status_code != 200:
        raise Again
    found = [row for entry in answer.json()["data"] for row in entry.get("recording") or []]
    return next(str(row["attributes"]["filePath"]) for row in found if row["id"] == item.recording_id)


async def body_of(webex: Webex, item: TruthRecording, url: str) -> bytes:
    body = (await webex.http.get(url)).content
    if body != item.audio.slice():
        raise Again
    return body


@pytest.mark.parametrize("profile", ["mild", "storm"])
async def test_every_recording_arrives_in_the_end(profile: Profile) -> None:
    """A few attempts on each thing bring every byte through, and faults were really played."""
    organisation = Organisation(40, 11, seconds=(0.5, 1), large=False)
    options = Options(organisation=organisation, faults=profile, requests_per_minute=0)
    async with (
        Sandbox(options) as sandbox,
        s3_client(sandbox) as s3,
        http_client() as http,
    ):
        webex = Webex(sandbox, http)
        for item in sandbox.truth():
            url = await insist(partial(url_of, webex, item))
            body = await insist(partial(body_of, webex, item, url))
            named = {"Bucket": sandbox.bucket, "Key": item.key, "ContentType": item.content_type}
            await insist(partial(s3.put_object, **named, Body=body))
        assert [line for line in await sandbox.differences() if not line.startswith("overwritten")] == []
        assert sum(sandbox.faults.hits.values()) >= (2 if profile == "mild" else 15)
