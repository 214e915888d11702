"""What reads bytes it cannot trust, and what must hold whatever they are.

A target takes bytes and returns.  An exception that is not one of those its
reader documents is a crash, and so is an assertion: a planted secret in an error,
a wave file judged otherwise when it comes in other pieces, a URL that two programs
read in two ways.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import yarl
from botocore.parsers import ResponseParserError, create_parser

from tests.canaries import found_in
from wxrec_async.auth.authorization_code import read_reply
from wxrec_async.auth.endpoint import TokenEndpoint
from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.auth.leases import read_lease
from wxrec_async.auth.token_values import Credentials, credentials_from, parse_object, tokens_from, tokens_to
from wxrec_async.config import load_config
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    HTTPStatusError,
    InvalidMedia,
    InvalidResponse,
    RemoteError,
    WxrecError,
)
from wxrec_async.events import ignore
from wxrec_async.model import Secret, Task
from wxrec_async.rules.evidence import Unsound, read_certificate, read_ended, read_line
from wxrec_async.rules.keys import encode_id, read_label
from wxrec_async.rules.media_urls import media_url_problem
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.retry import retry_after_s
from wxrec_async.rules.sidecars import Described, content, merged
from wxrec_async.rules.tokens import refuses_token
from wxrec_async.rules.wav import HEAD_SIZE, Sniffer
from wxrec_async.s3.errors import rejected, translated
from wxrec_async.webex.parse import UrlLease, cut_words, read_captures, read_error, read_s3_error, read_tasks
from wxrec_async.webex.search_parse import SearchRefused, read_search

Target = Callable[[bytes], None]

ORG = "ff33d2aa-723d-4599-8c27-af86f7dee1e4"
HOSTS = ("*.amazonaws.com", "media.webex.com")
ASKED = ("t1", "t2")
MAX_ERROR_CHARS = 800
PRINTABLE_WORDS = 300


OURS = ("CANARY-CS-1234", "CANARY-RT-1234")


def _quoting(error: BaseException) -> None:
    """An error that quotes the other side's words: short, one line, and without the secrets we sent."""
    text = str(error)
    assert len(text) <= MAX_ERROR_CHARS, f"{len(text)} characters"
    assert text.isprintable()
    assert not any(secret in text for secret in OURS)


def _harmless(error: BaseException) -> None:
    """An error in our own words: no planted secret is in it, nor in what hangs on it; one line, and short."""
    seen: BaseException | None = error
    while seen is not None:
        shown = f"{seen} {seen.__dict__} {getattr(seen, '__notes__', '')}"
        assert not found_in(shown), type(seen).__name__
        seen = seen.__cause__ or seen.__context__
    text = str(error)
    assert len(text) <= MAX_ERROR_CHARS, f"{len(text)} characters"
    assert "\n" not in text, "more than a line"


def _url_problem(url: str) -> str | None:
    return media_url_problem(url, HOSTS)


def tasks(data: bytes) -> None:
    """A page of ``GET /v1/tasks``: every row is a task or counted, no id stands twice."""
    try:
        page, _ = read_tasks(data, org_id=ORG)
    except (InvalidResponse, AuthError) as error:
        return _harmless(error)
    ids = [task.id for task in page.tasks]
    assert len(set(ids)) == len(ids) <= page.rows
    assert all(0 < len(each) <= 1024 and encode_id(each) for each in ids)
    return None


def captures(data: bytes) -> None:
    """An answer of captures: one capture for every id asked, a recording has a fetchable URL or a problem."""
    try:
        found, warnings = read_captures(data, ASKED, UrlLease(0.0, 60.0), _url_problem, org_id=ORG)
    except (InvalidResponse, AuthError) as error:
        return _harmless(error)
    assert tuple(found) == ASKED
    for capture in found.values():
        ids = [each.id for each in capture.recordings]
        assert len(set(ids)) == len(ids)
        for recording in capture.recordings:
            assert recording.id
            assert (recording.url is None) == (recording.problem is not None)
            assert recording.url is None or _url_problem(recording.url.reveal()) is None
    assert not any(sign in warning.message for warning in warnings for sign in "?=&/")  # of a URL, its host at most
    return None


def search(data: bytes) -> None:
    """A page of Search: rows are witnesses or counted, an unfinished listing says where it goes on."""
    try:
        page = read_search(data)
    except SearchRefused as error:
        return _quoting(error)
    except InvalidResponse as error:
        return _harmless(error)
    assert len(page.witnesses) <= page.rows
    return None


def api_error(data: bytes) -> None:
    """An error body of the API, and the question whether it speaks of the token."""
    said = read_error(data)
    assert len(said.code) <= 64
    assert len(said.words) <= PRINTABLE_WORDS
    assert len(said.tracking_id or "") <= 128
    assert f"{said.code}{said.words}{said.tracking_id or ''}".isprintable()
    refuses_token(data.decode("utf-8", "replace"))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def token_answer(data: bytes) -> None:
    """The token endpoint's answer: the first byte chooses its status, the rest is its body."""
    status = (200, 200, 400, 401, 429, 500)[data[0] % 6] if data else 200
    body = data[1:]

    async def ask() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
        async with httpx.AsyncClient(transport=transport) as client:
            credentials = Credentials("C1", Secret("CANARY-CS-1234"))
            endpoint = TokenEndpoint(credentials, client, "https://webexapis.com/v1/access_token", ignore)
            tokens = await endpoint.ask({"refresh_token": "CANARY-RT-1234"})
            assert tokens.access_token
            assert math.isfinite(tokens.expires_at)

    try:
        _loop().run_until_complete(ask())
    except (AuthError, RemoteError) as error:
        _quoting(error)
    try:
        read_reply(body, 1_700_000_000.0)
    except (AuthError, ConfigError) as error:
        _harmless(error)


@functools.cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def token_file(data: bytes) -> None:
    """A file of tokens or credentials, or a secret of that kind: read, written and read again it says the same."""
    path = _folder() / "tokens.json"
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        tokens = _loop().run_until_complete(FileTokenStore(path).load())
    except (AuthError, ConfigError) as error:
        _harmless(error)
    else:
        kept = parse_object(data, "it")
        written = json.dumps(tokens_to(tokens, kept), ensure_ascii=False).encode("utf-8", "surrogatepass")
        assert tokens_from(parse_object(written, "it"), "it") == tokens
    try:
        credentials_from(parse_object(data, "secrets.json"), "secrets.json")
    except ConfigError as error:
        _harmless(error)
    lease = read_lease(data)
    assert lease is None or (lease.number > 0 and math.isfinite(lease.lasts_s))


def _sniffed(pieces: list[bytes], content_type: str) -> tuple[object, ...]:
    sniffer, told = Sniffer(), []
    for piece in pieces:
        sniffer.feed(memoryview(piece))
    for check in (partial(sniffer.check_beginning, content_type), sniffer.check_end):
        try:
            check()
        except InvalidMedia as unfit:
            _harmless(unfit)
            told.append(unfit.reason)
        else:
            told.append("")
    return (sniffer.size, sniffer.is_wav, sniffer.riff_size, sniffer.known_media, *told)


def wav(data: bytes) -> None:
    """A recording's first bytes: whatever pieces they come in, the judgement is the same.

    The first two bytes cut the rest: one gives the size of the pieces, the other moves the first cut.
    """
    size, shift, body = (data[0] + 1 if data else 1), (data[1] if len(data) > 1 else 0), data[2:]
    cuts = [0, *range(shift, len(body), size), len(body)]
    pieces = [body[start:end] for start, end in pairwise(sorted(set(cuts)))]
    assert b"".join(pieces) == body
    for content_type in ("audio/wav", "text/html", ""):
        assert _sniffed(pieces, content_type) == _sniffed([body], content_type)
    padded = body[:HEAD_SIZE].ljust(HEAD_SIZE, b"\0")
    assert _sniffed([padded, b"x"], "")[1:4] == _sniffed([padded], "")[1:4]


def retry_after(data: bytes) -> None:
    """``Retry-After`` and, behind a newline, ``Date``: nothing, or a finite number of seconds that is not negative."""
    value, _, date = data.decode("latin-1").partition("\n")
    wait = retry_after_s(value, server_date=date, now_s=1_700_000_000.0)
    assert wait is None or (math.isfinite(wait) and wait >= 0)


def s3_error(data: bytes) -> None:
    """An error of S3 in XML: from the media host, and from the bucket by way of the SDK."""
    code, words = read_s3_error(data)
    assert len(code) <= 64
    assert len(words) <= PRINTABLE_WORDS
    assert words.isprintable()
    answer = {"status_code": 400, "headers": {}, "body": data}
    try:
        parser: Any = create_parser("rest-xml")
        response = parser.parse(answer, None)  # an error needs no shape
    except ResponseParserError as error:
        trouble: WxrecError = translated(error, "s3.example")
    else:
        trouble = rejected(response, "s3.example")
        assert isinstance(trouble, HTTPStatusError)
    assert len(str(trouble)) <= MAX_ERROR_CHARS


def config(data: bytes) -> None:
    """A configuration file: settings, or one line that says what is wrong."""
    path = _folder() / "config.toml"
    path.write_bytes(data)
    try:
        settings = load_config(path)
    except ConfigError as error:
        text = str(error)
        assert "\n" not in text, text
        assert len(text) <= MAX_ERROR_CHARS, f"{len(text)} characters"
        return
    assert settings.memory.pool >= settings.s3.part_size_mib << 20


def evidence(data: bytes) -> None:
    """What an auditor reads from the bucket: a certificate, a manifest's line, a sidecar."""
    for read in (lambda: read_certificate("k", data), lambda: read_line(data), lambda: read_ended(data)):
        try:
            read()
        except Unsound as error:
            text = str(error)
            assert len(text) < MAX_ERROR_CHARS, f"{len(text)} characters"
    wanted = content(Described(Task("t"), ()), masked=True)
    assert merged(merged(data, wanted), wanted) == merged(data, wanted)


def label(data: bytes) -> None:
    """The metadata of an object, as ``name=value`` lines, of which a ledger is made anew."""
    lines = (line.partition("=") for line in data.decode("latin-1").split("\n"))
    metadata = {f"wx-{name}": value for name, _, value in lines}
    try:
        found = read_label(metadata)
    except ValueError:
        return
    assert encode_id(found.task.id) == metadata["wx-task-id"]
    assert encode_id(found.recording.id) == metadata["wx-recording-id"]


def media_url(data: bytes) -> None:
    """A pre-signed URL: one that may be fetched means the same host to every program that reads it."""
    url = data.decode("utf-8", "replace")
    problem = _url_problem(url)
    if problem is not None:
        assert len(problem) < 400
        assert not any(sign in problem for sign in "?=&/")
        return
    host = httpx.URL(url).host
    assert host == yarl.URL(url, encoded=True).host
    assert host.endswith((".amazonaws.com", "media.webex.com"))
    assert httpx.URL(url).port in (None, 443)
    assert not httpx.URL(url).userinfo
    assert httpx.URL(url).scheme == "https"


def redaction(data: bytes) -> None:
    """A text for the log: once masked, masking changes nothing more, and no planted signature is left in a query."""
    text = data.decode("utf-8", "replace")
    once = redact_text(text)
    assert redact_text(once) == once
    assert cut_words(text).isprintable()
    signed = "https://media.amazonaws.com/a?X-Amz-Signature=CANARY-SIG-6e4b82fa17d34c09"
    assert "6e4b82fa17d34c09" not in redact_text(f"{text} {signed}")


TARGETS: dict[str, Target] = {
    each.__name__.replace("_", "-"): each
    for each in (
        tasks, captures, search, api_error, token_answer, token_file, wav, retry_after, s3_error, config,
        evidence, label, media_url, redaction,
    )
}  # fmt: skip
CORPUS = Path(__file__).parent / "corpus"


def seeds(name: str) -> list[bytes]:
    """The corpus of a target: small files, real shapes and what once crashed it."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def without_settings_of_ours() -> None:
    """Take out of the environment what would be read beside a configuration file."""
    for variable in [each for each in os.environ if each.startswith("WXREC_")]:
        del os.environ[variable]
