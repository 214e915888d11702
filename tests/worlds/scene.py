"""What a production may look at, and those that any door knows."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import quote

from tests.worlds.clock import SKY
from tests.worlds.grammar import Choice
from tests.worlds.media_door import Media, s3_error
from tests.worlds.truth import Call, Recording
from tests.worlds.webex_door import refused
from tests.worlds.wire import Answer, Request

WORDS = ("access", "token", "is", "invalid", "expired", "not", "the", " ", "  ", ",", ".", "\t", "refused", "a")
HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>An error occurred</body></html>"


@dataclass(slots=True)
class Scene:
    """What a production may look at: the request, the choice, the call it is about, and what there is to draw."""

    request: Request
    choice: Choice
    dice: random.Random
    call: Call | None = None
    recording: Recording | None = None
    media: Media | None = None
    resumed: bool = False


Trouble = Callable[[Scene, Answer], Answer | None]


# any door


def _status(scene: Scene, _: Answer) -> Answer:
    status = scene.choice.status
    answer = refused(status, scene.dice.choice(("An error occurred", "Not available", "Try again later", "")))
    if scene.choice.door.startswith(("s3", "media")):
        answer = s3_error(status, {404: "NotFound", 403: "Forbidden"}.get(status, "UnexpectedError"))
    if status in (302, 307):
        answer = answer.with_header("Location", "https://login.example.com/")
    if status in (429, 503) and scene.dice.random() < 0.7:
        wait = scene.dice.choice(("1", "3", "30"))
        date = formatdate(SKY.now + int(wait), usegmt=True)
        answer = answer.with_header("Retry-After", scene.dice.choice((wait, date)))
    return replace(answer, framing=scene.dice.choice(("length", "length", "chunked")))


def lost(_: Scene, answer: Answer) -> Answer:
    return replace(answer, lost=True)


def _stall(scene: Scene, answer: Answer) -> Answer:
    return replace(answer, stall=scene.dice.randrange(len(answer.body) or 1))


def _cut(scene: Scene, answer: Answer) -> Answer | None:
    if len(answer.body) < 2:
        return None
    return replace(answer, cut=scene.dice.randrange(1, len(answer.body)))


def _echo(scene: Scene, _: Answer) -> Answer:
    """Tell the client what it sent, as proxies and gateways do in their errors."""
    request, dice = scene.request, scene.dice
    sent = f"{request.method} https://{request.host}{request.target} {request.headers.get('authorization', '')}"
    said = dice.choice((sent, quote(sent), sent.replace("-", "\\u002d"), sent.replace("&", "&amp;")))
    status = dice.choice((400, 403, 404, 500, 502))
    if scene.choice.door == "media":
        return s3_error(status, "UnexpectedError", said.replace("&", "&amp;"))
    return refused(status, said)


def _wordy(scene: Scene, _: Answer) -> Answer:
    """Say little in many words."""
    dice = scene.dice
    few = [dice.choice(WORDS) for _ in range(dice.randint(1, 4))]
    text = (" ".join(few) + dice.choice(("", " ", "  "))) * 12_000
    return refused(dice.choice((400, 401, 403, 500)), text[: 64 << 10])


def empty_body(_: Scene, answer: Answer) -> Answer:
    return replace(answer, body=b"", framing="length")


COMMON: dict[str, Trouble] = {
    "status": _status, "lost": lost, "stall": _stall, "cut": _cut, "echo": _echo, "wordy": _wordy,
}  # fmt: skip
