"""What may be wrong with the answers of the media host."""

from __future__ import annotations

import codecs
import gzip
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.worlds.media_door import s3_error
from tests.worlds.scene import COMMON, HTML, Scene, Trouble, empty_body
from tests.worlds.wire import Answer

XML_ERROR = '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an error</Message></Error>'


def _body_now(scene: Scene, body: bytes, **more: Any) -> Answer:
    return Answer(200, (("Content-Type", "audio/wav"),), body, **more)


def _cut_media(framing: str | None, *, said: bool = False) -> Trouble:
    """Break the body off; ``said`` when the head gives the length of what is left for the whole."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        if answer.status not in (200, 206) or len(answer.body) < 100:
            return None
        mark = scene.dice.randrange(60, len(answer.body) - 1)
        if said:
            return replace(answer, body=answer.body[:mark], framing="length") if answer.status == 200 else None
        if framing == "close":
            return replace(answer, body=answer.body[:mark], framing="close") if answer.status == 200 else None
        return replace(answer, cut=mark, framing=framing or answer.framing)

    return trouble


def _error_page(scene: Scene, _: Answer) -> Answer:
    kind = scene.dice.choice(("text/html", "application/xml", "application/json"))
    body = {"text/html": HTML, "application/xml": XML_ERROR.encode()}.get(kind, b'{"message": "Internal error"}')
    return Answer(200, (("Content-Type", kind),), body)


def _error_typed(encode: Callable[[bytes], bytes]) -> Trouble:
    def trouble(scene: Scene, _: Answer) -> Answer:
        body = scene.dice.choice((HTML, XML_ERROR.encode(), b'{"message": "Internal error", "code": 500}'))
        return _body_now(scene, encode(body))

    return trouble


def _utf16(body: bytes) -> bytes:
    return codecs.BOM_UTF16_LE + body.decode().encode("utf-16-le")


def _iso2022(body: bytes) -> bytes:
    return body.decode().replace("error", "エラー").encode("iso-2022-jp", "replace")


def _encoded(_: Scene, answer: Answer) -> Answer | None:
    if answer.status != 200:
        return None
    return replace(answer, body=gzip.compress(answer.body), framing="length").with_header("Content-Encoding", "gzip")


def _unasked_range(scene: Scene, answer: Answer) -> Answer | None:
    """Send a first piece though the whole was asked for, and say so."""
    total = len(answer.body)
    if answer.status != 200 or total < 200:
        return None
    mark = scene.dice.randrange(60, total - 1)
    return replace(answer, status=206, body=answer.body[:mark]).with_header(
        "Content-Range", f"bytes 0-{mark - 1}/{total}"
    )


def _other_samples(body: bytes, size: int, dice: random.Random) -> bytes:
    """Return a WAV of ``size`` bytes with the head of another one, all chunks before its samples, and other samples."""
    begin = body.index(b"data") + 8
    made = bytearray(body[:begin] + dice.randbytes(size - begin))
    made[4:8], made[begin - 4 : begin] = (size - 8).to_bytes(4, "little"), (size - begin).to_bytes(4, "little")
    return bytes(made)


def _swap(*, resized: bool) -> Trouble:
    """Break the first answer off and have another version of the recording from then on."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        recording = scene.recording
        if recording is None or scene.media is None or answer.status not in (200, 206) or len(recording.body) < 300:
            return None
        if len(recording.bodies) > 1:
            return None
        size = len(recording.body) + (scene.dice.choice((-80, 120)) if resized else 0)
        recording.bodies.append(_other_samples(recording.body, size, scene.dice))
        if scene.dice.random() < 0.5:
            recording.unmarked = True
            answer = answer.with_header("ETag", None).with_header("Last-Modified", None)
        if len(answer.body) < 120:
            return None
        return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 50))

    return trouble


def _shrinks(scene: Scene, answer: Answer) -> Answer | None:
    """Break the body off, then say that there is no more of it."""
    begun = scene.request.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if begun and begun != "0":
        return s3_error(416, "InvalidRange").with_header("Content-Range", f"bytes */{begun}")
    return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 1)) if len(answer.body) > 100 else None


def _after_cut(then: Callable[[Scene, Answer], Answer | None]) -> Trouble:
    """Break the first answer off, and do ``then`` to those that go on."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        if answer.status == 206:
            return then(scene, answer)
        if answer.status != 200 or len(answer.body) < 100:
            return None
        return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 1))

    return trouble


def _other_total(_: Scene, answer: Answer) -> Answer:
    span, __, total = (answer.header("Content-Range") or "").partition("/")
    return answer.with_header("Content-Range", f"{span}/{int(total) + 7}")


def _wrong_range(scene: Scene, answer: Answer) -> Answer:
    """Send bytes from another place than asked for, and say so."""
    recording, first = scene.recording, scene.dice.randrange(44)
    body = recording.body[first:] if recording else answer.body
    total = first + len(body)
    return replace(answer, body=body).with_header("Content-Range", f"bytes {first}-{total - 1}/{total}")


def _changing_etag(scene: Scene, answer: Answer) -> Answer | None:
    """Break the body off, and give the same bytes another validator every time."""
    if answer.status not in (200, 206) or len(answer.body) < 100:
        return None
    tag = f'"{scene.dice.getrandbits(64):016x}"'
    return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 1)).with_header("ETag", tag)


def _no_range_head(_: Scene, answer: Answer) -> Answer:
    return answer.with_header("Content-Range", None)


MEDIA: dict[str, Trouble] = COMMON | {
    "missing": lambda _, __: Answer(404, (("Content-Type", "text/html"),), b"<html>Not Found</html>"),
    "missing_key": lambda _, __: s3_error(404, "NoSuchKey", "The specified key does not exist."),
    "expired": lambda _, __: s3_error(403, "AccessDenied", "Request has expired"),
    "denied": lambda _, __: s3_error(403, "AccessDenied", "Access Denied"),
    "cut": _cut_media(None), "cut_chunked": _cut_media("chunked"), "cut_close": _cut_media("close"),
    "cut_said": _cut_media("length", said=True), "error_page": _error_page,
    "error_typed_audio": _error_typed(lambda body: body), "error_utf16": _error_typed(_utf16),
    "error_iso2022": _error_typed(_iso2022), "error_gzip": _error_typed(gzip.compress),
    "empty_body": empty_body, "encoded": _encoded, "unasked_range": _unasked_range,
    "swap": _swap(resized=False), "swap_resized": _swap(resized=True), "shrinks": _shrinks,
    "other_total": _after_cut(_other_total), "wrong_range": _after_cut(_wrong_range),
    "changing_etag": _changing_etag,
    "no_range_head": _after_cut(_no_range_head),
}  # fmt: skip
