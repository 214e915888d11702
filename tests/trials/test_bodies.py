"""Bodies that are recordings though they look odd, and bodies that are none though they look well."""

from __future__ import annotations

import gzip
import struct

from aiohttp import web

from tests.trials.judges import FAILED, all_stored, failed_by_name, nothing_mixed, recordings_in
from tests.trials.organisation import wav
from tests.trials.trial import Trial
from tests.trials.webex import etag

ERROR = "<Error><Code>InternalError</Code><Message>please try again</Message></Error>"
XML = f'<?xml version="1.0" encoding="utf-16"?>{ERROR}'
PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + bytes(2000) + b"%%EOF\n"
DISGUISED: dict[str, bytes] = {
    "UTF-16 with its mark": XML.encode("utf-16"),
    "UTF-16 without a mark": XML.encode("utf-16-le"),
    "UTF-16 the other way round": b"\xfe\xff" + XML.encode("utf-16-be"),
    "UTF-16 the other way round, no mark": XML.encode("utf-16-be"),
    "UTF-32": XML.encode("utf-32"),
    "UTF-32 without a mark": XML.encode("utf-32-be"),
    "UTF-8 with its mark": b"\xef\xbb\xbf" + ERROR.encode(),
    "UTF-7": b"+ADw-Error+AD4-InternalError+ADw-/Error+AD4-",
    "Japanese mail": PAGE.replace("Please", "サインイン").encode("iso-2022-jp"),
    "a page in UTF-16": PAGE.encode("utf-16"),
    "a page after blank lines": b"\r\n" * 40 + PAGE.encode(),
    "a page after a comment": b"<!-- " + b"x" * 5000 + b" -->" + PAGE.encode(),
    "a packed page": gzip.compress(PAGE.encode()),
    "a packed error": gzip.compress(ERROR.encode()),
    "JSON": b'{"message": "Internal server error"}',
    "JSON in UTF-16": '{"message": "Internal server error"}'.encode("utf-16"),
    "a list in JSON": b'[{"error": "x"}]',
    "words": b"upstream connect error or disconnect/reset before headers\n",
    "a PDF": PDF,
    "nothing": b"",
}


def bodies(trial: Trial, made: dict[str, bytes], head: dict[str, str] | None = None) -> None:
    """Answer 200 with these bodies, by recording."""
    plain = {"Content-Type": "application/octet-stream"} if head is None else head

    async def media(request: web.Request) -> web.StreamResponse:
        body = made.get(request.match_info["recording"])
        if body is None:
            return await trial.webex.plain_media(request)
        return web.Response(body=body, headers=plain | {"ETag": etag(body)})

    trial.webex.media = media


def test_an_error_in_utf_16_is_no_recording(trial: Trial) -> None:
    """With its byte order mark, which passes for a frame of MPEG, and without."""
    names = [trial.organisation.add().task_id for _ in range(2)]
    bodies(trial, dict(zip(names, (XML.encode("utf-16"), XML.encode("utf-16-le")), strict=True)))
    told = trial.run()
    failed_by_name(told, *names)
    assert not recordings_in(trial.bucket)


def test_no_page_or_error_is_a_recording(trial: Trial) -> None:
    """In any encoding and packing; beside them, a recording is one."""
    trial.organisation.add()
    names = {trial.organisation.add().task_id: name for name in DISGUISED}
    bodies(trial, {task: DISGUISED[name] for task, name in names.items()})
    told = trial.run()
    stored = [names[line["task_id"]] for line in told.events("stored") if line["task_id"] in names]
    assert not stored, stored
    failed_by_name(told, *names)
    nothing_mixed(trial)
    assert len(recordings_in(trial.bucket)) == 1


def test_what_is_stored_under_a_flag_is_in_the_summary(trial: Trial) -> None:
    """Bytes that nobody knows may be kept, and then the summary says so."""
    task, _ = trial.organisation.add(body=trial_bytes())
    told = trial.run()
    flags = [flag for line in told.events("stored") for flag in line["flags"]]
    assert flags or told.code == FAILED, told
    assert not flags or any(flag in str(told.summary) for flag in flags), (task, told)


def trial_bytes() -> bytes:
    """Bytes that are neither sound nor text."""
    return bytes((number * number + 131) % 256 for number in range(1, 20_000))


CODINGS = ("aws-chunked", "AWS-Chunked", "identity", "aws-chunked, identity", "none", "binary", "8bit", "utf-8", ",")


def test_a_coding_that_needs_no_undoing_is_none(trial: Trial) -> None:
    """Length and head of the body decide: a WAV and an MP3 under ``aws-chunked`` are stored byte for byte."""
    trial.organisation.add()
    trial.organisation.add(file_name="x.mp3", body=b"ID3\x03\0\0\0\0\0\0" + bytes(range(256)) * 100)
    coded(trial, dict.fromkeys(trial.organisation.media, "aws-chunked"))
    all_stored(trial, trial.run())


def test_other_words_that_name_no_coding(trial: Trial) -> None:
    """Whatever is written there that nobody would have to undo."""
    coded(trial, {trial.organisation.add(seconds=0.3).recording_id: words for words in CODINGS})
    all_stored(trial, trial.run())


def coded(trial: Trial, words: dict[str, str]) -> None:
    """Send recordings as they are, under a Content-Encoding."""

    async def media(request: web.Request) -> web.StreamResponse:
        name = request.match_info["recording"]
        body = trial.organisation.media[name]
        head = {"Content-Type": "binary/octet-stream", "ETag": etag(body), "Content-Encoding": words[name]}
        return web.Response(body=body, headers=head)

    trial.webex.media = media


INFO = b"INFOISFT" + struct.pack("<I", 5) + b"Rec7\0"
Chunks = list[tuple[bytes, bytes, bool]]  # name, content, whether it is padded to an even length


def riff(sound: bytes, before: Chunks, after: Chunks | None = None) -> bytes:
    """Put chunks before and behind the form and the data of a WAV."""

    def written(chunks: Chunks) -> bytes:
        return b"".join(
            name + struct.pack("<I", len(content)) + content + b"\0" * (padded and len(content) % 2)
            for name, content, padded in chunks
        )

    inner = b"WAVE" + sound[12:36] + written(before) + sound[36:] + written(after or [])
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def test_a_short_wav_with_an_odd_chunk_is_a_recording(trial: Trial) -> None:
    """A LIST chunk of odd size without its padding byte, before the data; in a short file and in a long one."""
    for seconds in (0.2, 2):
        sound = wav(trial.organisation.rng, seconds, channels=1)
        trial.organisation.add(seconds=seconds, body=riff(sound, [(b"LIST", INFO, False)]))
    all_stored(trial, trial.run())


def test_chunks_of_any_kind_and_order(trial: Trial) -> None:
    """Padded or not, known or not, before the form, behind the data, in files of any size."""
    odd, even = b"\1" * 333, b"\1" * 600
    before: list[Chunks] = [
        [(b"LIST", INFO, True)],
        [(b"LIST", INFO, False), (b"JUNK", odd, False)],
        [(b"LIST", INFO, False), (b"fact", struct.pack("<I", 1600), True)],
        [(b"JUNK", even, True), (b"bext", odd, True), (b"LIST", INFO, False)],
        [(b"id3 ", odd, False), (b"xyz9", b"", True)],
        [(b"JUNK", b"\0" * 8001, False)],
    ]
    for chunks in before:
        for seconds in (0.1, 1.0):
            sound = wav(trial.organisation.rng, seconds, channels=1)
            trial.organisation.add(seconds=seconds, body=riff(sound, chunks, [(b"LIST", INFO, False)]))
    sound = wav(trial.organisation.rng, 0.2, channels=1)
    listed = b"LIST" + struct.pack("<I", len(INFO)) + INFO
    body = b"RIFF" + struct.pack("<I", len(sound) - 8 + len(listed)) + b"WAVE" + listed + sound[12:]
    trial.organisation.add(seconds=0.2, body=body)
    all_stored(trial, trial.run())


def test_a_sound_wav_under_any_type_is_one(trial: Trial) -> None:
    """The type that a server names decides nothing against the bytes."""
    types = ("text/plain", "application/x-www-form-urlencoded", "audio/x-wav; charset=utf-8", "text/html", "")
    names = {trial.organisation.add(seconds=0.3).recording_id: words for words in types}

    async def media(request: web.Request) -> web.StreamResponse:
        body = trial.organisation.media[request.match_info["recording"]]
        return web.Response(body=body, headers={"Content-Type": names[request.match_info["recording"]]})

    trial.webex.media = media
    all_stored(trial, trial.run())
