"""Stores that speak S3 in their own way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web

from tests.trials.judges import FAILED, OK, all_stored, bucket_is_truth, failed_by_name, honest, missing
from tests.trials.organisation import RATE
from tests.trials.trial import Told, Trial
from tests.trials.webex import Handler, s3_error

SEVERAL_PARTS_S = 20 * (1 << 20) / RATE / 2
Change = Callable[[web.Request, web.Response], None]


def answering(trial: Trial, change: Change) -> None:
    """Let the store's answers be changed on their way."""

    async def s3(request: web.Request) -> web.StreamResponse:
        answer = await trial.bucket.plain_s3(request)
        assert isinstance(answer, web.Response)
        change(request, answer)
        return answer

    trial.bucket.s3 = s3


def is_get_of_an_object(request: web.Request) -> bool:
    listing = {"list-type", "uploads", "uploadId"} & set(request.query)
    return request.method == "GET" and not listing


def without_checksums(_: web.Request, answer: web.Response) -> None:
    for name in [name for name in answer.headers if "checksum" in name.lower()]:
        del answer.headers[name]


def in_chunks(trial: Trial) -> Handler:
    """Return a handler that names no checksums and gives objects in chunks, without their length."""

    async def s3(request: web.Request) -> web.StreamResponse:
        answer = await trial.bucket.plain_s3(request)
        assert isinstance(answer, web.Response)
        without_checksums(request, answer)
        if not is_get_of_an_object(request) or answer.status not in (200, 206):
            return answer
        head = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
        chunked = web.StreamResponse(status=answer.status, headers=head)
        chunked.enable_chunked_encoding()
        await chunked.prepare(request)
        assert isinstance(answer.body, bytes)
        await chunked.write(answer.body)
        await chunked.write_eof()
        return chunked

    return s3


def test_an_object_read_back_in_chunks_is_found_equal(trial: Trial) -> None:
    """No checksums, and GET without Content-Length: found equal, or said to be unverified; no crash."""
    for _ in range(3):
        trial.organisation.add()
    trial.bucket.s3 = in_chunks(trial)
    all_stored(trial, trial.run())
    assert trial.verify().code == OK
    assert trial.call("status").code == OK
    honest(trial, trial.reconcile())


@pytest.mark.parametrize("left_out", [(), ("etag", "content-type", "last-modified", "date")], ids=["checksums", "all"])
def test_what_http_makes_optional_may_be_missing(trial: Trial, left_out: tuple[str, ...]) -> None:
    """In every command: the recordings are had, and nothing crashes."""
    trial.organisation.add(seconds=SEVERAL_PARTS_S)
    trial.organisation.add()

    def change(request: web.Request, answer: web.Response) -> None:
        without_checksums(request, answer)
        if request.method in ("GET", "HEAD"):
            for name in left_out:
                answer.headers.popall(name, None)

    answering(trial, change)
    all_stored(trial, trial.run())
    assert trial.verify().code == OK
    honest(trial, trial.reconcile())


def names_the_way_out(told: Told) -> None:
    """The condition is named, and what to do."""
    said = told.err + told.out
    assert told.code == FAILED, told
    assert "If-None-Match" in said, told
    assert "--overwrite" in said or "overwrite" in told.summary["error"], told


def test_a_store_without_conditions_is_told_once(trial: Trial) -> None:
    """501 for every request with If-None-Match: said in words that name it and the way out, and not twelve times."""
    for _ in range(12):
        trial.organisation.add()
    refused = refusing(trial, 501, "NotImplemented", "A header you provided implies functionality …")
    told = trial.run()
    names_the_way_out(told)
    assert len(refused) < 12, "every recording was tried"
    all_stored(trial, trial.run("--overwrite"))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "InvalidArgument", "If-None-Match is not supported"),
        (400, "InvalidRequest", "Unsupported header If-None-Match"),
        (405, "MethodNotAllowed", "conditional PUT: If-None-Match"),
        (501, "", ""),
    ],
)
def test_other_words_for_the_same_refusal(trial: Trial, status: int, code: str, words: str) -> None:
    """The header is named by the answer, or it says that something is not implemented."""
    for _ in range(12):
        trial.organisation.add(seconds=0.3)
    refusing(trial, status, code, words)
    names_the_way_out(trial.run())


def refusing(trial: Trial, status: int, code: str, words: str) -> list[str]:
    """Refuse every request with If-None-Match; return the paths of those that were refused, as they come."""
    refused: list[str] = []

    async def s3(request: web.Request) -> web.StreamResponse:
        if "If-None-Match" not in request.headers:
            return await trial.bucket.plain_s3(request)
        await request.read()
        refused.append(request.path)
        named = f"{words}</Message><Header>If-None-Match</Header><Message>" if status == 501 and code else words
        return s3_error(status, code, named) if code else web.Response(status=status)

    trial.bucket.s3 = s3
    return refused


def test_a_proxy_may_weaken_the_tags_of_parts(trial: Trial) -> None:
    """The store knows them without ``W/``: stored, or a failure that names the weak ETag; nothing is left open."""
    large, _ = trial.organisation.add(seconds=SEVERAL_PARTS_S)
    trial.organisation.add()

    def change(_: web.Request, answer: web.Response) -> None:
        if "ETag" in answer.headers:
            answer.headers["ETag"] = f"W/{answer.headers['ETag']}"

    answering(trial, change)
    stored_or_named(trial, large)
    honest(trial, trial.reconcile())


def test_tags_without_quotes_are_tags(trial: Trial) -> None:
    """Given back and compared all the same."""
    large, _ = trial.organisation.add(seconds=SEVERAL_PARTS_S)
    trial.organisation.add()

    def change(_: web.Request, answer: web.Response) -> None:
        if "ETag" in answer.headers:
            answer.headers["ETag"] = answer.headers["ETag"].strip('"')

    answering(trial, change)
    stored_or_named(trial, large)
    assert trial.verify().code == OK
    honest(trial, trial.reconcile())


def stored_or_named(trial: Trial, large: str) -> None:
    told = trial.run()
    assert not trial.bucket.uploads, "an upload was left open"
    if told.code == OK:
        bucket_is_truth(trial)
        return
    failed_by_name(told, large)
    assert [true.task_id for true in missing(trial)] == [large]
    assert "ETag" in str(told.events("failed")), told
