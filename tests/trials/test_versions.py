"""Two answers about one recording: whether they speak of the same bytes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web

from tests.trials.judges import FAILED, OK, all_stored, honest, nothing_mixed, recordings_in
from tests.trials.organisation import wav
from tests.trials.trial import Trial
from tests.trials.webex import etag, first_byte, s3_error

DAY_S = 86_400
Head = dict[str, str]


@dataclass
class Replaced:
    """A recording of which another version lies there after the first answer has broken off."""

    new: bytes
    first: Head = field(default_factory=dict)
    later: Head = field(default_factory=dict)
    ignores_if_match: bool = True
    refuses_beyond: bool = False  # a range that the new, shorter version does not have


def serve(trial: Trial, replaced: dict[str, Replaced]) -> None:
    """Break the first answer off in the middle; from then on answer from the other version, ranges, too."""
    asked: Counter[str] = Counter()

    async def media(request: web.Request) -> web.StreamResponse:
        name = request.match_info["recording"]
        if name not in replaced:
            return await trial.webex.plain_media(request)
        asked[name] += 1
        case = replaced[name]
        if asked[name] == 1:
            old = trial.organisation.media[name]
            trial.organisation.media[name] = case.new
            return await cut(request, old, case.first, len(old) // 2)
        return later(request, case)

    trial.webex.media = media


def later(request: web.Request, case: Replaced) -> web.StreamResponse:
    """Answer from the new version; a condition is heeded only where the case says so."""
    first, size = first_byte(request), len(case.new)
    if not case.ignores_if_match and request.headers.get("If-Match", case.later.get("ETag")) != case.later.get("ETag"):
        return s3_error(412, "PreconditionFailed")
    if first is None:
        return web.Response(body=case.new, headers=case.later)
    if first >= size:
        return s3_error(416, "InvalidRange", "", {"Content-Range": f"bytes */{size}"})
    head = case.later | {"Content-Range": f"bytes {first}-{size - 1}/{size}"}
    return web.Response(status=206, body=case.new[first:], headers=head)


async def cut(request: web.Request, body: bytes, head: Head, sent: int, *, first: int = 0) -> web.StreamResponse:
    """Send a body from byte ``first`` on, and close the connection after ``sent`` bytes of it."""
    ranged = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if first_byte(request) is not None else {}
    answer = web.StreamResponse(status=206 if ranged else 200, headers={"Content-Type": "audio/wav"} | head | ranged)
    answer.content_length = len(body) - first
    await answer.prepare(request)
    await answer.write(body[first : first + sent])
    if first + sent >= len(body):
        await answer.write_eof()
        return answer
    await asyncio.sleep(0.3)  # the bytes are read before the connection is gone
    assert request.transport
    request.transport.close()
    return answer


def one_version(trial: Trial, replaced: dict[str, Replaced], old: list[bytes]) -> None:
    """Whatever is stored is one of the versions, whole; what is not has failed by name."""
    told = trial.run()
    nothing_mixed(trial, also=tuple(old))
    assert told.code in (OK, FAILED), told
    failed = told.named("failed")
    assert len(recordings_in(trial.bucket)) == len(replaced) - len(failed), told


def test_two_answers_without_a_validator_are_not_joined(trial: Trial) -> None:
    """Another version of equal length: one of both, whole, or a failure; and so say verify and reconcile."""
    _, name = trial.organisation.add(seconds=3)
    old = trial.organisation.media[name]
    replaced = {name: Replaced(wav(random.Random(99), 3))}
    serve(trial, replaced)
    one_version(trial, replaced, [old])
    assert trial.verify().code == 0
    honest(trial, trial.reconcile())


def test_only_one_strong_validator_of_both_joins_two_answers(trial: Trial) -> None:
    """A weak one, one on one side, a date, another size, a shorter version: never are two versions one object."""
    date = {"Last-Modified": formatdate(trial.organisation.now_ms / 1000 - DAY_S, usegmt=True)}
    shown: list[tuple[Head, Head]] = [
        ({}, {}),
        ({"ETag": 'W/"same"'}, {"ETag": 'W/"same"'}),
        ({"ETag": '"one"'}, {}),
        ({}, {"ETag": '"one"'}),
        ({"ETag": '"one"'}, {"ETag": '"two"'}),
        ({"ETag": '"one"'}, {"ETag": 'W/"one"'}),
        ({"ETag": "unquoted"}, {"ETag": "quoted"}),
        (date, date),
        (date, {}),
    ]
    replaced, old = {}, []
    for seconds in (2.0, 2.5, 1.0, 0.5):  # as long, longer, at the place where it broke off, shorter than that
        for first, then in shown:
            _, name = trial.organisation.add(seconds=2)
            old.append(trial.organisation.media[name])
            replaced[name] = Replaced(wav(random.Random(name), seconds), first, then)
    serve(trial, replaced)
    one_version(trial, replaced, old)
    honest(trial, trial.reconcile())


def test_a_range_that_begins_earlier_is_taken(trial: Trial) -> None:
    """A cache answers from a multiple of 4096: the overlap is skipped, and all is stored."""
    _, name = trial.organisation.add(seconds=6)

    async def media(request: web.Request) -> web.StreamResponse:
        return await aligned(trial, request, 4096, 30_001)

    trial.webex.media = media
    all_stored(trial, trial.run())
    assert recordings_in(trial.bucket)[f"call-detail/{name}/recording.wav"] == trial.organisation.media[name]


async def aligned(trial: Trial, request: web.Request, block: int, sent: int) -> web.StreamResponse:
    """Answer a resumed request from the beginning of a block, and cut every body."""
    body = trial.organisation.media[request.match_info["recording"]]
    first = (first_byte(request) or 0) // block * block
    return await cut(request, body, {"ETag": etag(body)}, sent, first=first)


def test_a_range_may_begin_anywhere_before_what_was_asked_for(trial: Trial) -> None:
    """Blocks of any size, and a 206 of everything."""
    blocks = {trial.organisation.add(seconds=6).recording_id: block for block in (2, 512, 16_384, 1 << 20)}

    async def media(request: web.Request) -> web.StreamResponse:
        block = blocks[request.match_info["recording"]]
        whole = block == 1 << 20 and first_byte(request) is not None
        return await aligned(trial, request, block, 1 << 20 if whole else 40_001)

    trial.webex.media = media
    all_stored(trial, trial.run())
