"""Failure and history in, decision out: the tables of faults.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import (
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    InvalidMedia,
    InvalidResponse,
    RemoteError,
    SourceChanged,
    TimedOut,
    TLSError,
)
from wxrec_async.rules.retry import (
    BACKOFF_CAP_S,
    MAX_ATTEMPTS,
    MAX_BAD_HEADS,
    MAX_FRESH_TRIES,
    MAX_NOT_FOUND,
    MAX_OUTAGE_S,
    MAX_RENEWALS,
    MAX_WAIT_S,
    MAX_WAITS,
    Attempts,
    Decision,
    DeletedAtSource,
    GiveUp,
    PauseAll,
    RenewUrl,
    Restart,
    RetryAfter,
    StopRun,
    backoff_s,
    evidence_of,
    for_api,
    for_download,
    for_s3,
    retry_after_s,
    without_url,
)

Judge = Callable[[RemoteError, Attempts, float], Decision]
JUDGES: tuple[Judge, ...] = (for_api, for_download, for_s3)
FRESH = Attempts()
NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
HTTP_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LAST = Attempts(attempts=MAX_ATTEMPTS - 1)


def kind(decision: Decision) -> str:
    """The decision in a word, with its reason where it ends something."""
    match decision:
        case GiveUp(reason=reason):
            return f"give up: {reason}"
        case StopRun(auth=True):
            return "stop auth"
        case _:
            return type(decision).__name__


@pytest.mark.fault("W01", "W06", "W07", "W08", "W09", "W10", "W11", "W25", "W26", "W33")
@pytest.mark.parametrize(
    ("trouble", "tries", "expected"),
    [
        (HTTPStatusError(429), FRESH, "PauseAll"),
        (HTTPStatusError(429, retry_after_s=4), FRESH, "PauseAll"),
        (HTTPStatusError(429, retry_after_s=MAX_WAIT_S), FRESH, "PauseAll"),
        (HTTPStatusError(429, retry_after_s=MAX_WAIT_S + 1), FRESH, "StopRun"),
        (HTTPStatusError(429), Attempts(waits=MAX_WAITS), "give up: rate_limited"),
        (HTTPStatusError(401), FRESH, "stop auth"),
        (HTTPStatusError(403), FRESH, "RetryAfter"),
        (HTTPStatusError(403), Attempts(attempts=1), "stop auth"),
        (HTTPStatusError(403, words="Access token is expired"), FRESH, "stop auth"),
        (HTTPStatusError(500), FRESH, "RetryAfter"),
        (HTTPStatusError(502), FRESH, "RetryAfter"),
        (HTTPStatusError(503), FRESH, "RetryAfter"),
        (HTTPStatusError(504), FRESH, "RetryAfter"),
        (HTTPStatusError(408), FRESH, "RetryAfter"),
        (HTTPStatusError(503, retry_after_s=7), FRESH, "PauseAll"),
        (HTTPStatusError(503, retry_after_s=7), LAST, "give up: retries_exhausted"),
        (HTTPStatusError(500), LAST, "give up: retries_exhausted"),
        (HTTPStatusError(400), FRESH, "give up: http_400"),
        (HTTPStatusError(400, words="Invalid access token"), FRESH, "stop auth"),
        (HTTPStatusError(400, code="invalid_token"), FRESH, "stop auth"),
        (HTTPStatusError(400, words="Invalid taskIds"), FRESH, "give up: http_400"),
        (HTTPStatusError(404), FRESH, "give up: http_404"),
        (HTTPStatusError(413), FRESH, "give up: http_413"),
        (HTTPStatusError(422), FRESH, "give up: http_422"),
        (HTTPStatusError(302), FRESH, "give up: http_302"),
        (InvalidResponse(), FRESH, "RetryAfter"),
        (TimedOut(), FRESH, "RetryAfter"),
        (ConnectionLost(), FRESH, "RetryAfter"),
        (ConnectError(), FRESH, "RetryAfter"),
        (ConnectError(), LAST, "give up: retries_exhausted"),
        (TLSError(), FRESH, "give up: tls_untrusted"),
        (InvalidMedia("bad_head"), Attempts(attempts=MAX_BAD_HEADS), "give up: bad_head"),
        (RemoteError(), FRESH, "give up: error"),
    ],
)
def test_calls_to_the_api(trouble: RemoteError, tries: Attempts, expected: str) -> None:
    """Section 3.1 of the catalogue."""
    assert kind(for_api(trouble, tries, 0.5)) == expected


EXPIRED = HTTPStatusError(403, code="AccessDenied", words="Request has expired")
DENIED = HTTPStatusError(403, code="AccessDenied", words="Access Denied")
SIGNATURE = HTTPStatusError(403, code="SignatureDoesNotMatch")


@pytest.mark.fault("D01", "D02", "D03", "D04", "D07", "D11", "D13", "D15", "D16", "D19", "D20", "D22", "D24", "D25")
@pytest.mark.parametrize(
    ("trouble", "tries", "expected"),
    [
        (EXPIRED, FRESH, "RenewUrl"),
        (EXPIRED, Attempts(attempts=7, renewals=4), "RenewUrl"),
        (EXPIRED, Attempts(renewals=MAX_RENEWALS), "give up: url_keeps_expiring"),
        (HTTPStatusError(400, code="ExpiredToken"), FRESH, "RenewUrl"),
        (HTTPStatusError(400, code="ExpiredToken"), Attempts(renewals=MAX_RENEWALS), "give up: url_keeps_expiring"),
        (DENIED, FRESH, "RenewUrl"),
        (DENIED, Attempts(renewals=1), "give up: access_denied"),
        (HTTPStatusError(403), FRESH, "RenewUrl"),
        (HTTPStatusError(403), Attempts(renewals=1), "give up: access_denied"),
        (SIGNATURE, FRESH, "RenewUrl"),
        (SIGNATURE, Attempts(renewals=MAX_FRESH_TRIES), "StopRun"),
        (HTTPStatusError(403, code="RequestTimeTooSkewed"), Attempts(renewals=MAX_FRESH_TRIES), "StopRun"),
        (HTTPStatusError(404, code="NoSuchKey"), FRESH, "RenewUrl"),
        (HTTPStatusError(404, code="NoSuchKey"), Attempts(renewals=MAX_NOT_FOUND - 1), "RenewUrl"),
        (HTTPStatusError(404, code="NoSuchKey"), Attempts(renewals=MAX_NOT_FOUND), "give up: not_found"),
        (HTTPStatusError(404), Attempts(renewals=MAX_NOT_FOUND), "give up: not_found"),
        (HTTPStatusError(410), FRESH, "RenewUrl"),
        (HTTPStatusError(410), Attempts(renewals=MAX_NOT_FOUND), "give up: not_found"),
        (InvalidMedia("bad_head"), FRESH, "RetryAfter"),
        (InvalidMedia("bad_head"), Attempts(attempts=MAX_BAD_HEADS - 1), "RetryAfter"),
        (InvalidMedia("bad_head"), Attempts(attempts=MAX_BAD_HEADS), "give up: bad_head"),
        (HTTPStatusError(412), FRESH, "Restart"),
        (SourceChanged(), FRESH, "Restart"),
        (InvalidMedia("empty"), FRESH, "Restart"),
        (HTTPStatusError(503, code="SlowDown"), FRESH, "PauseAll"),
        (HTTPStatusError(429), FRESH, "PauseAll"),
        (HTTPStatusError(500), FRESH, "RetryAfter"),
        (HTTPStatusError(400, code="RequestTimeout"), FRESH, "RetryAfter"),
        (HTTPStatusError(503, retry_after_s=9), LAST, "give up: retries_exhausted"),
        (HTTPStatusError(500), LAST, "give up: retries_exhausted"),
        (HTTPStatusError(400), FRESH, "give up: http_400"),
        (ConnectionLost(), FRESH, "RetryAfter"),
        (TimedOut(), FRESH, "RetryAfter"),
        (ConnectionLost(), LAST, "give up: retries_exhausted"),
        (ConnectError(), FRESH, "RetryAfter"),
        (ConnectError(), Attempts(outage_s=10), "RenewUrl"),
        (ConnectError(), Attempts(outage_s=10, renewals=MAX_RENEWALS), "give up: unreachable"),
        (TLSError(), FRESH, "give up: tls_untrusted"),
    ],
)
def test_downloads(trouble: RemoteError, tries: Attempts, expected: str) -> None:
    """Section 3.3 of the catalogue, as its head has it: expired URLs are no failures, with a limit of their own."""
    assert kind(for_download(trouble, tries, 0.5)) == expected


@pytest.mark.fault("D03")
@pytest.mark.parametrize(
    ("trouble", "evidence"),
    [
        (HTTPStatusError(404, code="NoSuchKey"), "no_such_key"),
        (HTTPStatusError(410), "http_410"),
        (HTTPStatusError(410, code="NoSuchKey"), "http_410"),
        (HTTPStatusError(404), ""),
        (HTTPStatusError(404, code="NoSuchBucket"), ""),
        (HTTPStatusError(403, code="NoSuchKey"), ""),
        (HTTPStatusError(400, code="NoSuchKey"), ""),
        (ConnectionLost(), ""),
        (InvalidMedia("not_media"), ""),
    ],
)
def test_a_deletion_rests_on_what_s3_says_and_on_what_captures_names(trouble: RemoteError, evidence: str) -> None:
    """Only a sound answer of captures that no longer names it completes what S3 itself said."""
    assert evidence_of(trouble) == evidence
    assert without_url("missing", trouble) == (DeletedAtSource(evidence) if evidence else GiveUp("missing"))
    assert without_url("missing", None) == GiveUp("missing")
    assert without_url("captures_unsettled", trouble) == GiveUp("captures_unsettled", evidence)
    used_up = for_download(trouble, Attempts(renewals=MAX_NOT_FOUND, attempts=MAX_ATTEMPTS - 1), 0.5)
    if evidence:
        assert used_up == GiveUp("not_found", evidence)
    elif isinstance(used_up, GiveUp):
        assert used_up.evidence == ""


@pytest.mark.fault("S01", "S02", "S09", "S11", "S12", "S13", "S17", "S18", "S26", "S27")
@pytest.mark.parametrize(
    ("trouble", "tries", "expected"),
    [
        (HTTPStatusError(503, code="SlowDown"), FRESH, "PauseAll"),
        (HTTPStatusError(429), FRESH, "PauseAll"),
        (HTTPStatusError(400, code="KMS.ThrottlingException"), FRESH, "PauseAll"),
        (HTTPStatusError(400, code="ThrottlingException"), FRESH, "PauseAll"),
        (HTTPStatusError(503, code="SlowDown"), Attempts(waits=MAX_WAITS), "give up: slow_down"),
        (HTTPStatusError(503, code="SlowDown", retry_after_s=MAX_WAIT_S + 1), FRESH, "StopRun"),
        (HTTPStatusError(500, code="InternalError"), FRESH, "RetryAfter"),
        (HTTPStatusError(503), FRESH, "RetryAfter"),
        (HTTPStatusError(400, code="RequestTimeout"), FRESH, "RetryAfter"),
        (HTTPStatusError(400, code="IncompleteBody"), FRESH, "RetryAfter"),
        (HTTPStatusError(500, code="InternalError"), LAST, "give up: retries_exhausted"),
        (HTTPStatusError(400, code="BadDigest"), FRESH, "RetryAfter"),
        (HTTPStatusError(400, code="BadDigest"), Attempts(attempts=3, digests=1), "RetryAfter"),
        (HTTPStatusError(400, code="BadDigest"), Attempts(attempts=1, digests=2), "give up: corrupting_path"),
        (
            HTTPStatusError(400, code="XAmzContentSHA256Mismatch"),
            Attempts(attempts=1, digests=2),
            "give up: corrupting_path",
        ),
        (HTTPStatusError(403, code="AccessDenied"), FRESH, "give up: s3_AccessDenied"),
        (HTTPStatusError(400, code="EntityTooSmall"), FRESH, "give up: s3_EntityTooSmall"),
        (HTTPStatusError(404, code="NoSuchUpload"), FRESH, "give up: s3_NoSuchUpload"),
        (HTTPStatusError(418), FRESH, "give up: s3_418"),
        (HTTPStatusError(404, code="NoSuchBucket"), FRESH, "StopRun"),
        (HTTPStatusError(301, code="PermanentRedirect"), FRESH, "StopRun"),
        (HTTPStatusError(403, code="InvalidAccessKeyId"), FRESH, "stop auth"),
        (HTTPStatusError(403, code="SignatureDoesNotMatch"), FRESH, "stop auth"),
        (HTTPStatusError(403, code="RequestTimeTooSkewed"), FRESH, "RetryAfter"),
        (HTTPStatusError(403, code="RequestTimeTooSkewed"), Attempts(attempts=1), "StopRun"),
        (HTTPStatusError(400, code="ExpiredToken"), FRESH, "stop auth"),
        (TimedOut(), FRESH, "RetryAfter"),
        (ConnectionLost(), FRESH, "RetryAfter"),
        (ConnectError(), FRESH, "RetryAfter"),
        (ConnectError(), Attempts(attempts=MAX_ATTEMPTS, outage_s=10), "RetryAfter"),
        (ConnectError(), Attempts(attempts=MAX_ATTEMPTS, outage_s=MAX_OUTAGE_S), "give up: retries_exhausted"),
        (InvalidResponse(), FRESH, "RetryAfter"),
        (TLSError(), FRESH, "give up: tls_untrusted"),
    ],
)
def test_requests_to_s3(trouble: RemoteError, tries: Attempts, expected: str) -> None:
    """Section 3.4 of the catalogue."""
    assert kind(for_s3(trouble, tries, 0.5)) == expected


@pytest.mark.fault("W01")
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_named_wait_is_kept_and_overstayed_by_a_tenth_at_most(chance: float) -> None:
    """Never early: coming back early earns another 429."""
    decision = for_api(HTTPStatusError(429, retry_after_s=4), FRESH, chance)
    assert isinstance(decision, PauseAll)
    assert 4 <= decision.after_s <= 4.4
    assert not decision.attempt


@pytest.mark.fault("W03")
def test_a_very_long_wait_is_told_and_not_slept() -> None:
    """The operator learns how long, and runs again then."""
    decision = for_api(HTTPStatusError(429, retry_after_s=10_800, host="api.test"), FRESH, 0.5)
    assert decision == StopRun("api.test asks to wait 3 h; run again then")
    short = for_api(HTTPStatusError(429, retry_after_s=600), FRESH, 0.5)
    assert short == StopRun("the server asks to wait 10 min; run again then")


@pytest.mark.fault("W02", "W03")
@pytest.mark.parametrize(
    ("value", "server_date", "seconds"),
    [
        ("4", None, 4),
        (" 4 ", None, 4),
        ("0", None, 0),
        ("1.5", None, 1.5),
        ("100000000000", None, 1e11),
        ("-5", None, None),
        ("abc", None, None),
        ("", None, None),
        (None, None, None),
        (".", None, None),
        ("1e3", None, None),
        ("4, 5", None, None),
        ("٤", None, None),
        ("9" * 400, None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("1.2.3", None, None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", None, 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", None, 10),
        ("Sun Nov  6 08:49:47 1994", None, 10),
        ("Sun, 06 Nov 1994 08:49:27 GMT", None, 0),
        ("Sun, 06 Nov 1994 09:49:47 +0100", None, 10),
        ("Sun, 06 Nov 1994 12:00:10 GMT", "Sun, 06 Nov 1994 12:00:00 GMT", 10),  # our clock is hours behind theirs
        ("Sun, 06 Nov 1994 12:00:10 GMT", "nonsense", 11_433),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    value: str | None, server_date: str | None, seconds: float | None
) -> None:
    """Seconds or one of three dates; what is not understood is as if it were missing."""
    assert retry_after_s(value, server_date=server_date, now_s=NOW) == seconds


@pytest.mark.fault("W03")
def test_a_date_at_the_end_of_time_is_a_long_wait() -> None:
    """Year 9999 is a number like any other, for the limit to judge."""
    seconds = retry_after_s("Fri, 31 Dec 9999 23:59:59 GMT", server_date=HTTP_DATE, now_s=0)
    assert seconds is not None
    assert seconds > 250_000_000_000 - NOW
    assert kind(for_api(HTTPStatusError(429, retry_after_s=seconds), FRESH, 0.5)) == "StopRun"


odd_headers = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d{1,3}:\d{1,3}(:\d{1,3})? ?[A-Z+\-0-9]{0,6}"),
    st.from_regex(r"[A-Za-z]{3,9}[ ,\-]+\d{0,3}[ \-][A-Z][a-z]{2}[ \-]\d{0,4} [\d:.]{0,14}( GMT)?"),
)


@pytest.mark.fault("W03")
@given(odd_headers, odd_headers, st.floats(0, 4e9))
def test_any_header_is_a_wait_of_nothing_or_more(value: str | None, date: str | None, now_s: float) -> None:
    """Never negative, never not-a-number, never an exception."""
    seconds = retry_after_s(value, server_date=date, now_s=now_s)
    assert seconds is None or 0 <= seconds < float("inf")


troubles = st.one_of(
    st.builds(
        HTTPStatusError,
        st.sampled_from([301, 400, 401, 403, 404, 408, 409, 412, 413, 429, 500, 503, 509]),
        code=st.sampled_from(
            [
                "",
                "SlowDown",
                "InternalError",
                "BadDigest",
                "ExpiredToken",
                "AccessDenied",
                "ServiceUnavailable",
                "KMS.ThrottlingException",
                "SignatureDoesNotMatch",
            ]
        ),
        words=st.sampled_from(["", "Request has expired"]),
        retry_after_s=st.one_of(st.none(), st.floats(-10, 1e12), st.just(0.0)),
    ),
    st.sampled_from(
        [
            ConnectError(),
            TLSError(),
            ConnectionLost(),
            TimedOut(),
            InvalidResponse(),
            SourceChanged(),
            InvalidMedia("empty"),
        ]
    ),
)
chances = st.floats(0, 1)


@pytest.mark.fault("W03", "L10")
@given(
    st.sampled_from(JUDGES),
    troubles,
    st.builds(
        Attempts, st.integers(0, 20), st.integers(0, 200), st.integers(0, 10), st.sampled_from([0.0, 1.0, 899.0, 1e6])
    ),
    chances,
)
def test_no_wait_is_negative_or_longer_than_its_cap(
    judge: Judge, trouble: RemoteError, tries: Attempts, chance: float
) -> None:
    """Whatever failed, after whatever: a decision comes out, and its wait is one that may be slept."""
    match judge(trouble, tries, chance):
        case RetryAfter(after_s=after_s):
            assert 0 <= after_s <= BACKOFF_CAP_S
        case PauseAll(after_s=after_s):
            assert 0 < after_s <= MAX_WAIT_S * 1.1
        case other:
            assert other is not None


@pytest.mark.fault("R08")
@given(st.sampled_from(JUDGES), st.lists(troubles, min_size=1, max_size=5), chances, st.data())
def test_every_operation_comes_to_an_end(
    judge: Judge, kinds: list[RemoteError], chance: float, draw: st.DataObject
) -> None:
    """Attempts, waits and renewals are each limited, so any mixture of failures without progress ends."""
    tries, limit = FRESH, MAX_ATTEMPTS + MAX_WAITS + MAX_RENEWALS + 3
    for step in range(limit + 1):
        trouble = kinds[step % len(kinds)]
        decision = judge(trouble, tries, chance)
        if not isinstance(decision, RetryAfter | PauseAll | RenewUrl):
            return
        tries = tries.counted(decision)
    pytest.fail(f"after {limit} failures it still goes on: {tries}")


@pytest.mark.fault("D25", "L11")
@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("outage_s", [10.0, MAX_OUTAGE_S - 1, MAX_OUTAGE_S, 1e6])
def test_an_outage_is_waited_out_but_not_for_ever(judge: Judge, outage_s: float) -> None:
    """While the network is down attempts are not counted; beyond a quarter of an hour they are."""
    tries = Attempts(outage_s=outage_s)
    for _ in range(50):
        decision = judge(ConnectError(), tries, 1.0)
        if isinstance(decision, GiveUp):
            break
        tries = tries.counted(decision)
    if judge is for_download:
        assert decision == GiveUp("unreachable")
    else:
        assert (decision == GiveUp("retries_exhausted")) is (outage_s >= MAX_OUTAGE_S)


@given(st.integers(0, 10_000), chances, st.floats(0.1, 100))
def test_backoff_doubles_up_to_its_cap(attempt: int, chance: float, cap_s: float) -> None:
    """Full jitter: anything from nothing to the current step."""
    assert 0 <= backoff_s(attempt, chance, cap_s) <= min(cap_s, 2.0 ** min(attempt, 16))
    assert backoff_s(attempt, 1.0, cap_s) <= backoff_s(attempt + 1, 1.0, cap_s)


@pytest.mark.parametrize(
    ("decision", "after"),
    [
        (RetryAfter(1), Attempts(attempts=3, waits=1, renewals=1)),
        (PauseAll(1), Attempts(attempts=2, waits=2, renewals=1)),
        (PauseAll(1, attempt=True), Attempts(attempts=3, waits=2, renewals=1)),
        (RenewUrl(), Attempts(attempts=2, waits=1, renewals=2)),
        (Restart(), Attempts(attempts=3, waits=1, renewals=1)),
        (DeletedAtSource(), Attempts(attempts=3, waits=1, renewals=1)),
    ],
)
def test_each_decision_is_counted_where_it_belongs(decision: Decision, after: Attempts) -> None:
    """A named wait and a fresh URL are no attempts."""
    assert Attempts(attempts=2, waits=1, renewals=1).counted(decision) == after


def test_in_an_outage_another_try_is_not_counted() -> None:
    """Nobody's attempts are used up by a network that is down."""
    assert Attempts(attempts=2, outage_s=5).counted(RetryAfter(1)).attempts == 2
    assert Attempts(attempts=2, outage_s=MAX_OUTAGE_S).counted(RetryAfter(1)).attempts == 3
