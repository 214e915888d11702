"""The figures and words of the retry tables: each limit, each code and each wait as the tables' own text has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wxrec_async.errors import (
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    RemoteError,
    TimedOut,
)
from wxrec_async.rules import retry
from wxrec_async.rules.retry import (
    Attempts,
    GiveUp,
    PauseAll,
    RenewUrl,
    RetryAfter,
    StopRun,
    backoff_s,
    for_api,
    for_download,
    for_s3,
    retry_after_s,
)

FRESH = Attempts()


def test_the_limits_are_those_that_operators_are_told() -> None:
    """A limit changes on purpose, here and in the README, or not at all."""
    assert (retry.MAX_ATTEMPTS, retry.MAX_WAITS, retry.MAX_RENEWALS, retry.MAX_FRESH_TRIES) == (8, 120, 5, 3)
    assert (retry.MAX_WAIT_S, retry.MAX_OUTAGE_S) == (300.0, 900.0)
    assert (retry.BACKOFF_BASE_S, retry.BACKOFF_CAP_S, retry.OUTAGE_CAP_S) == (1.0, 60.0, 15.0)


def test_what_makes_s3_slow_is_listed() -> None:
    """The pacer asks for these, whatever came of the request itself."""
    assert {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException"} == retry.S3_SLOW_CODES


def test_nothing_has_happened_to_an_operation_that_begins() -> None:
    """A history starts with nothing in it, and a stop is about the run, not about permissions, unless said."""
    assert Attempts(attempts=0, waits=0, renewals=0, digests=0, outage_s=0.0) == FRESH
    assert StopRun("x").auth is False
    assert PauseAll(1).attempt is False


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 509])
@pytest.mark.parametrize("judge", [for_api, for_download, for_s3])
def test_each_passing_status_is_tried_again(
    judge: Callable[[RemoteError, Attempts, float], object], status: int
) -> None:
    """Whoever is asked."""
    assert judge(HTTPStatusError(status), FRESH, 0.5) == RetryAfter(0.5)


@pytest.mark.parametrize(
    "code",
    [
        "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
        "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "BadGateway",
    ],
)  # fmt: skip
def test_each_passing_code_of_s3_is_tried_again(code: str) -> None:
    """Its status may be a 400 or a 409: the code decides, for downloads as well as for uploads."""
    assert for_s3(HTTPStatusError(409, code=code), FRESH, 0.5) == RetryAfter(0.5)
    assert for_download(HTTPStatusError(400, code=code), FRESH, 0.5) == RetryAfter(0.5)


@pytest.mark.parametrize("code", ["SlowDown", "Throttling", "ThrottlingException", "KMS.ThrottlingException"])
def test_each_code_for_too_fast_has_everybody_wait(code: str) -> None:
    """Also with a status that says nothing; a download is slowed down by the one, and tried again after the others."""
    assert for_s3(HTTPStatusError(400, code=code), FRESH, 1.0) == PauseAll(1.0)
    assert isinstance(
        for_download(HTTPStatusError(400, code=code), FRESH, 1.0), PauseAll if code == "SlowDown" else RetryAfter
    )
    assert code in retry.S3_RETRYABLE_CODES


@pytest.mark.parametrize("words", ["Request has expired", "The provided token has expired.", "EXPIRED", "URL expired"])
def test_each_way_of_saying_expired_is_a_new_url(words: str) -> None:
    """However it is written: such a refusal is good for more renewals than a plain one."""
    assert for_download(HTTPStatusError(403, words=words), Attempts(renewals=4), 0.5) == RenewUrl()


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch"])
def test_other_bytes_than_were_sent_are_counted(code: str) -> None:
    """And so is how long the network has been down; anything else leaves the count."""
    seen = Attempts(attempts=2, digests=1).seeing(HTTPStatusError(400, code=code), 7.0)
    assert seen == Attempts(attempts=2, digests=2, outage_s=7.0)
    assert Attempts(digests=1).seeing(HTTPStatusError(400, code="InternalError"), 0.0) == Attempts(digests=1)
    assert Attempts(digests=1).seeing(ConnectionLost(), 3.0) == Attempts(digests=1, outage_s=3.0)


def test_a_network_that_is_back_counts_attempts_again() -> None:
    """Half a second of outage is one already; at its limit and without any, attempts count."""
    assert Attempts(outage_s=0.5).counted(RetryAfter(1)).attempts == 0
    assert Attempts(outage_s=0.0).counted(RetryAfter(1)).attempts == 1


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (16, 60), (1000, 60)]
)
def test_backoff_is_one_two_four_seconds(attempt: int, seconds: float) -> None:
    """Doubled each time, up to the cap, times the share that chance takes."""
    assert backoff_s(attempt, 1.0) == seconds
    assert backoff_s(attempt, 0.25) == seconds / 4
    assert backoff_s(16, 1.0, 1e9) == backoff_s(17, 1.0, 1e9) == 65_536


def test_dates_without_a_zone_are_utc() -> None:
    """RFC 9110 section 5.6.7; and a date alone is measured against our own clock."""
    assert retry_after_s("Sun, 06 Nov 1994 08:49:47 -0000", server_date=None, now_s=784_111_777.0) == 10
    assert retry_after_s("Sun, 06 Nov 1994 08:49:47 GMT", server_date="", now_s=784_111_770.0) == 17
    assert retry_after_s("   ", server_date=None, now_s=0.0) is None


@pytest.mark.usefixtures("far_east")
def test_dates_are_utc_wherever_this_machine_is() -> None:
    """A zone that is not known is not ours."""
    assert retry_after_s("Sun, 06 Nov 1994 08:49:47 -0000", server_date=None, now_s=784_111_777.0) == 10


@pytest.mark.parametrize(
    ("judge", "refusal", "words"),
    [
        (for_api, HTTPStatusError(401), "Webex refuses the token"),
        (for_api, HTTPStatusError(403), "Webex refuses permission"),
        (for_s3, HTTPStatusError(403, code="RequestTimeTooSkewed"), "this machine's clock is wrong"),
        (for_s3, HTTPStatusError(400, code="ExpiredToken"), "the AWS credentials have expired"),
        (for_s3, HTTPStatusError(400, code="InvalidToken"), "the AWS credentials have expired"),
        (for_s3, HTTPStatusError(400, code="TokenRefreshRequired"), "the AWS credentials have expired"),
        (for_download, HTTPStatusError(403, code="SignatureDoesNotMatch"), "pre-signed URLs are refused"),
    ],
)
def test_a_stop_says_what_was_refused(
    judge: Callable[[RemoteError, Attempts, float], object], refusal: HTTPStatusError, words: str
) -> None:
    """The operator reads why at the end of the run, with the refusal itself."""
    found = judge(refusal, Attempts(attempts=1, renewals=3), 0.5)
    assert isinstance(found, StopRun)
    assert found.reason == f"{words}: {refusal}"


def test_only_a_403_of_s3_is_about_permissions() -> None:
    """A bucket that is not there is a setting."""
    assert for_s3(HTTPStatusError(404, code="NoSuchBucket"), FRESH, 0.5) == StopRun(
        f"S3 {HTTPStatusError(404, code='NoSuchBucket')}"
    )


@pytest.mark.parametrize(
    ("attempts", "chance", "after_s"),
    [(0, 1.0, 1), (3, 1.0, 8), (4, 1.0, 15), (3, 0.5, 4), (40, 0.5, 7.5), (1, 0.0, 1)],
)
def test_an_outage_is_asked_about_every_quarter_of_a_minute(attempts: int, chance: float, after_s: float) -> None:
    """However long it lasts; and never at once."""
    assert for_api(ConnectError(), Attempts(attempts=attempts, outage_s=0.5), chance) == RetryAfter(after_s)


def test_an_outage_grows_to_its_cap_and_no_further() -> None:
    """A sixteenth of the fifth step is a second: the step does not grow with the attempts."""
    assert for_api(ConnectError(), Attempts(attempts=4, outage_s=5), 1 / 16) == RetryAfter(15 / 16)
    assert for_api(ConnectError(), Attempts(attempts=9, outage_s=5), 1 / 16) == RetryAfter(15 / 16)


@pytest.mark.parametrize("judge", [for_api, for_download, for_s3])
def test_the_eighth_failure_is_the_last(judge: Callable[[RemoteError, Attempts, float], object]) -> None:
    """Seven times it is tried again."""
    assert judge(TimedOut(), Attempts(attempts=6), 1.0) == RetryAfter(60.0)
    assert judge(TimedOut(), Attempts(attempts=7), 1.0) == GiveUp("retries_exhausted")


@pytest.mark.parametrize(
    ("asked", "waits", "chance", "after_s"),
    [
        (None, 0, 1.0, 2.0), (None, 2, 1.0, 8.0), (None, 2, 0.5, 4.0), (None, 0, 0.0, 0.5), (0.0, 0, 1.0, 2.0),
        (-1.0, 0, 1.0, 2.0), (0.5, 0, 0.0, 0.5), (10.0, 0, 1.0, 11.0), (10.0, 7, 0.5, 10.5), (300.0, 0, 0.0, 300.0),
        (0.5, 0, 1.0, 0.55),
    ],
)  # fmt: skip
def test_a_429_waits_as_it_says_or_backs_off(asked: float | None, waits: int, chance: float, after_s: float) -> None:
    """Plus up to a tenth of what was named; without a name half a second at least."""
    decision = for_api(HTTPStatusError(429, retry_after_s=asked), Attempts(waits=waits), chance)
    assert decision == PauseAll(pytest.approx(after_s))  # type: ignore[arg-type]
    assert for_download(HTTPStatusError(429, retry_after_s=asked), Attempts(waits=waits), chance) == decision


@pytest.mark.parametrize("judge", [for_api, for_download])
def test_a_named_wait_of_a_503_is_a_failure_as_well(judge: Callable[[RemoteError, Attempts, float], object]) -> None:
    """It is honoured down to half a second, and the eighth time is the last all the same."""
    assert judge(HTTPStatusError(503, retry_after_s=0.5), Attempts(attempts=6), 0.0) == PauseAll(0.5, attempt=True)
    assert judge(HTTPStatusError(503, retry_after_s=0.5), Attempts(attempts=7), 0.0) == GiveUp("retries_exhausted")
    assert judge(HTTPStatusError(503, retry_after_s=10), FRESH, 1.0) == PauseAll(11.0, attempt=True)
    assert judge(HTTPStatusError(503, retry_after_s=301), FRESH, 1.0) == StopRun(
        "the server asks to wait 5 min; run again then"
    )
    assert judge(HTTPStatusError(503, retry_after_s=0), FRESH, 1.0) == RetryAfter(1.0)


@pytest.mark.parametrize(
    ("asked", "waits", "chance", "after_s"),
    [
        (None, 0, 1.0, 1.0), (None, 3, 1.0, 8.0), (None, 4, 1.0, 16.0), (None, 90, 0.5, 8.0), (None, 0, 0.0, 0.2),
        (0.5, 0, 0.0, 0.5), (0.0, 0, 1.0, 1.0), (-3.0, 0, 1.0, 1.0), (10.0, 0, 1.0, 11.0),
    ],
)  # fmt: skip
def test_s3_is_slowed_down_for_with_a_short_cap(asked: float | None, waits: int, chance: float, after_s: float) -> None:
    """16 s at most, since the pacer slows everybody down besides; a fifth of a second at least."""
    decision = for_s3(HTTPStatusError(503, code="SlowDown", retry_after_s=asked), Attempts(waits=waits), chance)
    assert decision == PauseAll(pytest.approx(after_s))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(301, "5 min"), (5399, "90 min"), (5400, "2 h"), (5401, "2 h"), (36_000, "10 h"), (360_000, "100 h")],
)
def test_a_long_wait_is_told_in_minutes_or_hours(seconds: float, words: str) -> None:
    """From an hour and a half on in hours; to the digit."""
    assert for_api(HTTPStatusError(429, retry_after_s=seconds), FRESH, 0.0) == StopRun(
        f"the server asks to wait {words}; run again then"
    )
