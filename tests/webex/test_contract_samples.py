"""Every sample of Cisco's contract, fed to whoever reads such an answer: read as meant, and never a crash."""

from __future__ import annotations

import json

import pytest

from tests.webex_contract.samples import SAMPLES, Sample
from wxrec_async.config import WebexSettings
from wxrec_async.errors import HTTPStatusError, InvalidMedia, InvalidResponse
from wxrec_async.rules.media_urls import media_url_problem
from wxrec_async.rules.retry import Attempts, GiveUp, PauseAll, RetryAfter, StopRun, for_api
from wxrec_async.rules.tokens import read_grant
from wxrec_async.rules.wav import Sniffer
from wxrec_async.webex.lenient import as_task_id
from wxrec_async.webex.parse import UrlLease, read_captures, read_error, read_s3_error, read_tasks
from wxrec_async.webex.search_parse import SearchRefused, read_search, unknown_fields

OTHER_QUERIES = {"search-aggregation", "search-activities", "search-older-task-query"}  # answers to what we do not ask
NOT_ANSWERS = {"transcript-legacy", "transcript-vcon", "webhook-capture-available"}  # files, and a call to others
LEASE = UrlLease(0.0, 3600.0)
UNSETTLED = {"captures-missing-entry": "entry_missing", "captures-null-recording": "list_missing"}


def named(prefix: str, *, refused: bool = False) -> list[Sample]:
    return [each for each in SAMPLES if each.name.startswith(prefix) and (each.status >= 400) == refused]


def refusals() -> list[Sample]:
    ours = ("error-", "429-", "search-")
    return [each for each in SAMPLES if each.status >= 400 and each.name.startswith(ours)]


def bytes_of(sample: Sample) -> bytes:
    return sample.body.encode() if isinstance(sample.body, str) else json.dumps(sample.body).encode()


def of(samples: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", samples, ids=[each.name for each in samples])


def problem(url: str) -> str | None:
    return media_url_problem(url, WebexSettings().media_hosts, loopback=False)


@of(named("tasks"))
def test_lists_of_tasks(sample: Sample) -> None:
    """Every row becomes a task, with the time that paging needs."""
    page, odd = read_tasks(bytes_of(sample), org_id=sample.body["meta"]["orgId"])
    assert [task.id for task in page.tasks] == [row["id"] for row in sample.body["data"]]
    assert (page.unreadable, page.more, odd) == (0, False, [])
    assert all(task.created_ms is not None for task in page.tasks)


@of(named("captures"))
def test_captures(sample: Sample) -> None:
    """Every id asked for is answered, every recording named has a URL, and only what is sound settles."""
    asked = sample.asked["query"]["taskIds"]
    found, odd = read_captures(bytes_of(sample), asked, LEASE, problem)
    assert list(found) == asked
    assert odd == []
    entries = {entry["taskId"]: entry for entry in sample.body["data"]}
    for task_id, capture in found.items():
        assert len(capture.recordings) == len(entries.get(task_id, {}).get("recording") or ())
        assert all(each.url is not None and each.start_ms is not None for each in capture.recordings)
    wanted = {UNSETTLED[sample.name]} if sample.name in UNSETTLED else set()
    assert {each.unsettled for each in found.values()} - {""} == wanted


@of([each for each in named("search") if each.name not in OTHER_QUERIES])
def test_pages_of_search(sample: Sample) -> None:
    """A page, a page that is not whole, or a refusal that names the field."""
    if "data" not in sample.body:
        with pytest.raises(SearchRefused) as caught:
            read_search(bytes_of(sample))
        assert "noSuchField" in caught.value.words
        assert unknown_fields(caught.value.words) == set()  # not one of ours
        return
    page = read_search(bytes_of(sample))
    rows, info = (sample.body["data"]["taskDetails"][name] for name in ("tasks", "pageInfo"))
    assert (page.rows, page.unreadable, page.cursor) == (len(rows), 0, info["endCursor"] or "")
    assert bool(page.trouble) == ("errors" in sample.body)


@of([each for each in named("search") if each.name in OTHER_QUERIES])
def test_answers_to_other_queries_are_no_pages(sample: Sample) -> None:
    """They do not say whether they are whole, or have no contacts."""
    try:
        page = read_search(bytes_of(sample))
    except InvalidResponse:
        return
    assert page.unreadable or page.witnesses


@of(refusals())
def test_refusals(sample: Sample) -> None:
    """The server's words and its tracking id are found, and what is done then is decided by the status."""
    error = read_error(bytes_of(sample))
    if isinstance(sample.body, dict):
        assert error.words
        assert error.tracking_id == sample.body["trackingId"]
    decision = for_api(HTTPStatusError(sample.status, code=error.code, words=error.words), Attempts(), 0.5)
    expected: dict[int, tuple[type, ...]] = {429: (PauseAll,), 401: (StopRun,), 403: (RetryAfter,), 502: (RetryAfter,)}
    assert isinstance(decision, expected.get(sample.status, (GiveUp, StopRun)))


@of([each for each in SAMPLES if each.name.startswith("media-s3")])
def test_errors_of_the_media_host(sample: Sample) -> None:
    """Code and message come out of the XML."""
    code, words = read_s3_error(bytes_of(sample))
    assert f"<Code>{code}</Code>" in sample.body
    assert words


@of(named("token"))
def test_grants(sample: Sample) -> None:
    """The token, its life, and the refresh token where there is one."""
    grant = read_grant(sample.body)
    assert grant.access_token.reveal() == sample.body["access_token"]
    assert grant.lifetime_s == sample.body["expires_in"]
    assert (grant.refresh_token is not None) == ("refresh_token" in sample.body)


@of(named("token", refused=True))
def test_refused_grants(sample: Sample) -> None:
    """Nothing of it is taken for a token."""
    with pytest.raises(InvalidResponse):
        read_grant(sample.body)
    assert read_error(bytes_of(sample)).words


def test_forms_of_a_presigned_url() -> None:
    """All that were seen may be fetched with the settings as they come."""
    (sample,) = named("media-url-forms")
    assert [problem(url) for url in sample.body["urls"]] == [None] * len(sample.body["urls"])


def test_every_sample_has_a_reader() -> None:
    """Or is named as one that nobody reads."""
    read = [
        named("tasks"),
        named("captures"),
        named("search"),
        refusals(),
        named("token"),
        named("token", refused=True),
    ]
    names = {each.name for samples in read for each in samples} | NOT_ANSWERS | {"media-url-forms"}
    rest = {each.name for each in SAMPLES} - names
    assert all(name.startswith("media-s3") for name in rest)
    assert len(SAMPLES) == 72


@pytest.mark.parametrize("sample", named("transcript"), ids=lambda each: each.name)
def test_a_transcript_where_a_recording_was_asked_for_is_none(sample: Sample) -> None:
    """It is JSON, and never becomes audio, whatever type it comes under; its URL may be fetched from."""
    sniffer = Sniffer()
    sniffer.feed(json.dumps(sample.body).encode())
    for content_type in ("application/json", "audio/wav", "binary/octet-stream"):
        with pytest.raises(InvalidMedia) as refused:
            sniffer.check_beginning(content_type)
        assert refused.value.reason == "not_media"
    assert media_url_problem(sample.path, WebexSettings().media_hosts, loopback=False) is None


def test_what_a_webhook_names_is_what_captures_names() -> None:
    """We subscribe to none; task and URL in it are read by the same rules as those of an answer."""
    (sample,) = named("webhook")
    data = sample.body["data"]
    assert as_task_id(data["taskId"]) == data["taskId"]
    assert media_url_problem(data["filePath"], WebexSettings().media_hosts, loopback=False) is None
