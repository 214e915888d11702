"""The media port behaves like a bucket behind pre-signed URLs, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from wxrec_async.sandbox import Options, Sandbox, TruthRecording

from .kit import Webex, http_client

pytestmark = pytest.mark.anyio


@pytest.fixture
def item(sandbox: Sandbox) -> TruthRecording:
    return min(sandbox.truth(), key=lambda found: found.size)


async def test_a_url_gives_the_whole_recording(webex: Webex, item: TruthRecording) -> None:
    """Bytes, length, type and validator are there; an odd query arrives byte for byte."""
    url = await webex.url(item.task_id)
    assert "%2F" in url
    assert "%2B" in url
    answer = await webex.http.get(url)
    assert hashlib.sha256(answer.content).hexdigest() == item.sha256
    assert answer.headers["content-length"] == str(item.size)
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["etag"] == item.audio.etag


async def test_ranges_and_validators(webex: Webex, item: TruthRecording) -> None:
    """A range is exactly that slice; If-Match decides; beyond the end is a 416."""
    url = await webex.url(item.task_id)
    for header, start, end in (
        ("bytes=100-", 100, item.size),
        ("bytes=5-9", 5, 10),
        ("bytes=-7", item.size - 7, item.size),
    ):
        answer = await webex.http.get(url, headers={"Range": header, "If-Match": item.audio.etag})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{item.size}"
        assert answer.content == item.audio.slice(start, end)
    assert (await webex.http.get(url, headers={"If-Match": '"other"'})).status_code == 412
    beyond = await webex.http.get(url, headers={"Range": f"bytes={item.size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{item.size}")


@pytest.mark.parametrize(
    ("spoil", "method", "status", "code"),
    [
        (lambda url: url, "HEAD", 403, ""),
        (lambda url: url + "A", "GET", 403, "SignatureDoesNotMatch"),
        (lambda url: url.replace("%2F", "/", 1), "GET", 403, "SignatureDoesNotMatch"),
        (lambda url: url.partition("?")[0], "GET", 403, "AccessDenied"),
    ],
)
async def test_only_the_signed_request_is_served(
    webex: Webex, item: TruthRecording, spoil: Callable[[str], str], method: str, status: int, code: str
) -> None:
    """HEAD is not signed, and a re-encoded or shortened query is another query."""
    answer = await webex.http.request(method, spoil(await webex.url(item.task_id)))
    assert answer.status_code == status
    assert f"<Code>{code}</Code>" in answer.text or method == "HEAD"


async def test_two_kinds_of_credentials_are_a_400(webex: Webex, item: TruthRecording) -> None:
    """An Authorization header on a pre-signed URL fails as on S3."""
    answer = await webex.http.get(await webex.url(item.task_id), headers=webex.bearer)
    assert answer.status_code == 400
    assert "<Code>InvalidArgument</Code>" in answer.text
    assert "Only one auth mechanism allowed" in answer.text


async def test_expiry_is_checked_when_a_request_starts() -> None:
    """A minute later the URL is dead, with S3's words; a fresh one works at once."""
    offset = 0.0
    async with (
        Sandbox(Options(tasks=20, clock=lambda: time.time() + offset)) as sandbox,
        http_client() as http,
    ):
        webex, item = Webex(sandbox, http), sandbox.truth()[0]
        url = await webex.url(item.task_id, urlExpiration=1)
        assert (await http.get(url)).status_code == 200
        offset = 62.0
        late = await http.get(url)
        assert late.status_code == 403
        assert "Request has expired" in late.text
        assert (await http.get(await webex.url(item.task_id))).status_code == 200


async def test_a_purged_recording_is_gone(webex: Webex, item: TruthRecording) -> None:
    """Retention takes the media and the captures entry."""
    url = await webex.url(item.task_id)
    webex.sandbox.organisation.purge(item.task_id)
    assert (await webex.http.get(url)).status_code == 404
    assert not any(row.get("recording") for row in (await webex.captures(item.task_id)).json()["data"])


async def raw_get(url: str) -> tuple[bytes, bytes, bool]:
    """Fetch past every HTTP library: the head, the body as it came, and whether it ended in a reset."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    received, reset = b"", False
    try:
        while block := await reader.read(1 << 20):
            received += block
    except ConnectionResetError:
        reset = True
    writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return head.lower(), body, reset


FAULTS = [
    # kind, parameters, how many body bytes of the recording must come, what the head must have
    ("short_body", {"at": "first"}, 1, b"content-length: {size}"),
    ("short_body", {"at": "middle"}, -2, b"content-length: {size}"),
    ("short_body", {"at": "last"}, -1, b"content-length: {size}"),
    ("unframed", {"at": 1000}, 1000, b"connection: close"),
    ("zero_bytes", {}, 0, b"content-length: 0"),
    ("header_only", {}, None, b"content-length: "),
    ("drip", {"at": "last", "count": 3, "interval": 0.01}, 0, b"content-length: {size}"),
    ("stall_body", {"seconds": 0.05}, 0, b"content-length: {size}"),
]


@pytest.mark.parametrize(("kind", "parameters", "count", "head"), FAULTS)
async def test_bodies_that_end_early(
    webex: Webex, item: TruthRecording, kind: str, parameters: dict[str, object], count: int | None, head: bytes
) -> None:
    """What comes is a true beginning of the recording, of the length asked for."""
    webex.sandbox.faults.add("media.get", kind, **parameters)
    got_head, body, _ = await raw_get(await webex.url(item.task_id))
    whole = item.audio.slice()
    ends = {-1: item.size - 1, -2: item.size // 2, None: len(item.audio.header)}
    expected = whole[: ends.get(count, count)] if kind not in ("drip", "stall_body") else whole
    assert body == expected
    assert head.replace(b"{size}", str(item.size).encode()) in got_head
    assert webex.sandbox.faults.unhit() == []
    entry = webex.sandbox.log.of("media.get")[0]
    assert (entry.status, entry.sent, entry.fault) == (200, len(expected), kind)


async def test_a_reset_is_a_reset(webex: Webex, item: TruthRecording) -> None:
    """RST and FIN are told apart by the client's socket."""
    webex.sandbox.faults.add("media.get", "short_body", attempts=(1,), end="rst")
    webex.sandbox.faults.add("media.get", "short_body", attempts=(2,), end="fin")
    url = await webex.url(item.task_id)
    assert [(await raw_get(url))[2] for _ in range(2)] == [True, False]


async def test_bodies_that_lie(webex: Webex, item: TruthRecording) -> None:
    """Chunks cut or damaged, excess, flipped bits, compression and wrong ranges look as announced."""
    kinds = [
        ("chunked", {}), ("chunked", {"at": "middle"}), ("bad_chunk", {"seconds": 0}), ("excess", {"count": 9}),
        ("flip_bit", {"at": 500}), ("gzip", {}), ("wrong_range", {}), ("html", {}), ("range_ignored", {}),
    ]  # fmt: skip
    for attempt, (kind, parameters) in enumerate(kinds, 1):
        webex.sandbox.faults.add("media.get", kind, attempts=(attempt,), **parameters)  # type: ignore[arg-type]
    url, whole = await webex.url(item.task_id), item.audio.slice()
    heads, bodies, _ = zip(*[await raw_get(url) for _ in kinds], strict=True)
    assert all(b"transfer-encoding: chunked" in head and b"content-length" not in head for head in heads[:3])
    assert bodies[0].endswith(b"0\r\n\r\n")
    assert not bodies[1].endswith(b"0\r\n\r\n")
    assert b"zz\r\n" in bodies[2]
    assert bodies[3][:-9] == whole
    assert [n for n, (a, b) in enumerate(zip(bodies[4], whole, strict=True)) if a != b] == [500]
    assert b"content-encoding: gzip" in heads[5]
    assert f"content-range: bytes 1-{item.size - 1}/{item.size}".encode() in heads[6]
    assert b"text/html" in heads[7]
    assert bodies[8] == whole
    assert webex.sandbox.faults.unhit() == []


async def test_heads_that_lie(webex: Webex, item: TruthRecording) -> None:
    """Two lengths, a length beside chunks, several ranges, another total and an error under status 200."""
    kinds = ["two_lengths", "length_and_chunked", "byteranges", "other_total", "xml", "drip_head"]
    for attempt, kind in enumerate(kinds, 1):
        webex.sandbox.faults.add("media.get", kind, attempts=(attempt,))
    url, whole = await webex.url(item.task_id), item.audio.slice()
    heads, bodies, _ = zip(*[await raw_get(url) for _ in kinds], strict=True)
    assert heads[0].count(b"content-length: ") == 2
    assert b"content-length: " in heads[1]
    assert b"transfer-encoding: chunked" in heads[1]
    assert heads[2].startswith(b"http/1.1 206")
    assert b"multipart/byteranges" in heads[2]
    assert whole in bodies[2]
    assert f"content-range: bytes 0-{item.size - 1}/{item.size + 1000}".encode() in heads[3]
    assert b"<Code>AccessDenied</Code>" in bodies[4]
    assert b"x-slow: zzzz" in heads[5]
    assert bodies[5] == whole


@pytest.mark.parametrize(
    ("to", "where"),
    [("elsewhere", "https://media.example.net/"), ("private", "http://169.254.169.254/"), ("loop", "/")],
)
async def test_redirects_lead_astray(webex: Webex, item: TruthRecording, to: str, where: str) -> None:
    """To another host, to a private one, in a circle."""
    webex.sandbox.faults.add("media.get", "redirect", to=to, status=307)
    answer = await webex.http.get(await webex.url(item.task_id))
    assert answer.status_code == 307
    assert answer.headers["Location"].startswith(where)


async def test_a_refusal_has_the_code_it_was_given(webex: Webex, item: TruthRecording) -> None:
    """Signatures and clocks are refused as S3 refuses them."""
    webex.sandbox.faults.add("media.get", "refused", code="RequestTimeTooSkewed")
    answer = await webex.http.get(await webex.url(item.task_id))
    assert answer.status_code == 403
    assert "<Code>RequestTimeTooSkewed</Code>" in answer.text
