"""Failure and history in, decision out.  Waiting and calling again happen elsewhere.

One table for each kind of operation: a call to Webex's API, a download from a
pre-signed URL, a request to S3.  The limits are those of the whole operation:
no layer below retries on its own, so attempts never multiply.

Attempts count only *without progress*: a download that moved on by a byte
starts anew.  A server that names a wait is not an attempt either; everybody
waits.  While no host at all answers, the network is down and nobody's attempts
are counted (see `plumbing.reach`).
"""

from __future__ import annotations

import email.utils
import math
from dataclasses import dataclass, replace
from datetime import UTC

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
from wxrec_async.rules.tokens import refuses_token

MAX_ATTEMPTS = 8
# Without a wait that is named this is about an hour, at half a minute on average.
MAX_WAITS = 120
MAX_RENEWALS = 5
MAX_FRESH_TRIES = 3
MAX_NOT_FOUND = 2  # fresh URLs in a row under which a recording that captures names may be missing
MAX_BAD_HEADS = 2
# A longer wait is nothing to sleep through in silence: the run ends and says until when.
MAX_WAIT_S = 300.0
# For so long no attempt counts while the network is down; then they do, so that a run ends all the same.
MAX_OUTAGE_S = 900.0
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
# Short, so that a network that is back is made full use of within half a minute.
OUTAGE_CAP_S = 15.0

# 425 is Too Early (RFC 8470), 509 what some gateways say of a bandwidth limit.
RETRYABLE_STATUS = frozenset({408, 425, 500, 502, 503, 504, 509})
# By code, because the status misleads: RequestTimeout and BadDigest are 400, OperationAborted is 409.
S3_RETRYABLE_CODES = frozenset(
    {
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "KMS.ThrottlingException",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
        "BadGateway",
    }
)
DIGEST_CODES = frozenset({"BadDigest", "XAmzContentSHA256Mismatch"})
S3_RATE_CODES = frozenset({"SlowDown", "Throttling", "ThrottlingException", "KMS.ThrottlingException"})
S3_SLOW_CODES = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException"})
EXPIRED_WORDS = ("request has expired", "token has expired", "expired")


# Decisions


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Do the same once more after ``after_s`` seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class PauseAll:
    """The server is to be left alone for ``after_s`` seconds, by everybody; then the same once more.

    ``attempt`` when it counts as a failure all the same.
    """

    after_s: float
    attempt: bool = False


@dataclass(frozen=True, slots=True)
class RenewUrl:
    """Ask captures for a fresh pre-signed URL and go on at the same byte."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin this recording again from byte 0, with a fresh URL."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This item has failed; ``reason`` is a stable word for the ledger, ``evidence`` that of `model.Failed`."""

    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class DeletedAtSource:
    """The recording was deleted at its source; ``evidence`` is that of `model.Gone`."""

    evidence: str = ""


@dataclass(frozen=True, slots=True)
class StopRun:
    """The whole run cannot go on; ``auth`` when it is the token or a permission."""

    reason: str
    auth: bool = False


Decision = RetryAfter | PauseAll | RenewUrl | Restart | GiveUp | DeletedAtSource | StopRun


# What was tried, and how long to wait


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one operation went through so far, the failure to be judged included.

    ``attempts`` counts failures since the last progress, ``waits`` the pauses a
    server asked for, ``renewals`` fresh URLs in a row without a byte, ``digests``
    how often other bytes arrived than were sent, ``outage_s`` how long (seconds)
    nothing anywhere has answered, 0 while the network works.
    """

    attempts: int = 0
    waits: int = 0
    renewals: int = 0
    digests: int = 0
    outage_s: float = 0.0

    def seeing(self, trouble: RemoteError, outage_s: float) -> Attempts:
        """Return the history with the failure that is to be judged now."""
        mangled = isinstance(trouble, HTTPStatusError) and trouble.code in DIGEST_CODES
        return replace(self, digests=self.digests + mangled, outage_s=outage_s)

    def counted(self, decision: Decision) -> Attempts:
        """Return the history after ``decision`` was taken."""
        match decision:
            case PauseAll(attempt=attempt):
                return replace(self, waits=self.waits + 1, attempts=self.attempts + attempt)
            case RenewUrl():
                return replace(self, renewals=self.renewals + 1)
            case RetryAfter() if 0 < self.outage_s < MAX_OUTAGE_S:
                return self
            case _:
                return replace(self, attempts=self.attempts + 1)


def backoff_s(attempt: int, chance: float, cap_s: float = BACKOFF_CAP_S) -> float:
    """Full jitter: a random share (``chance`` in 0..1) of 1, 2, 4 … seconds, at most ``cap_s``."""
    # The cap is reached long before 16; a power without a bound would overflow at last.
    return min(cap_s, BACKOFF_BASE_S * 2.0 ** min(attempt, 16)) * chance


def retry_after_s(value: str | None, *, server_date: str | None, now_s: float) -> float | None:
    """Read ``Retry-After``: seconds, or an HTTP date measured against the server's own ``Date``.

    Returns seconds >= 0, or None when the header is missing or not understood
    (RFC 9110 section 10.2.3 allows both forms; RFC 850 and asctime dates are
    accepted too).
    """
    text = (value or "").strip()
    if not text:
        return None
    # isascii: `²` is a digit to Python, and no number to `float`.
    if text.isascii() and text.replace(".", "", 1).isdigit():
        seconds = float(text)
        # A few hundred digits in a row are infinite.
        return seconds if math.isfinite(seconds) else None
    until = _http_date(text)
    if until is None:
        return None
    return max(0.0, until - (_http_date(server_date or "") or now_s))


def _http_date(text: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


# The tables, first match wins


def for_api(trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
    """Judge a failed call to Webex's API.  A token refused in any shape was refused after a forced refresh by now."""
    match trouble:
        case HTTPStatusError(status=429):
            return _wait(trouble, tries, chance)
        case HTTPStatusError(status=status) if status == 401 or (status == 400 and _names_token(trouble)):
            return StopRun(f"Webex refuses the token: {trouble}", auth=True)
        case HTTPStatusError(status=403) if _names_token(trouble) or tries.attempts:
            return StopRun(f"Webex refuses permission: {trouble}", auth=True)
        case HTTPStatusError(status=403):  # one refusal may be a gateway's slip; a permission is missing twice
            # Half a second at least: full jitter may draw almost none, and meet the same slip again.
            return RetryAfter(max(0.5, backoff_s(tries.attempts, chance)))
        case HTTPStatusError(status=status) if status in RETRYABLE_STATUS:
            return _named_wait(trouble, tries, chance) or _again(tries, chance)
        case HTTPStatusError(status=status):
            return GiveUp(f"http_{status}")
        case _:
            return _transport(trouble, tries, chance)


def _names_token(trouble: HTTPStatusError) -> bool:
    """Webex has a 400 that means 401."""
    return refuses_token(f"{trouble.code} {trouble.words}")


def for_download(trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
    """Judge a failed download from a pre-signed URL."""
    match trouble:
        case HTTPStatusError(status=404 | 410):
            return RenewUrl() if tries.renewals < MAX_NOT_FOUND else GiveUp("not_found", evidence_of(trouble))
        case HTTPStatusError(status=403) | HTTPStatusError(status=400, code="ExpiredToken"):
            return _refused_url(trouble, tries)
        # 412 is the answer to our If-Match: the bytes we hold the beginning of are not there any more.
        case HTTPStatusError(status=412) | SourceChanged():
            return Restart()
        case HTTPStatusError(status=429) | HTTPStatusError(code="SlowDown"):
            return _wait(trouble, tries, chance)
        case HTTPStatusError(status=status) if status in RETRYABLE_STATUS or trouble.code in S3_RETRYABLE_CODES:
            return _named_wait(trouble, tries, chance) or _again(tries, chance)
        case HTTPStatusError(status=status):
            return GiveUp(f"http_{status}")
        case InvalidMedia(reason=reason) if reason != "bad_head":
            return Restart()
        case ConnectError() if tries.outage_s:
            # Asking captures shows whether it is this host or the network; fresh URLs again and again: this host.
            return RenewUrl() if tries.renewals < MAX_RENEWALS else GiveUp("unreachable")
        case _:
            return _transport(trouble, tries, chance)


def evidence_of(trouble: RemoteError) -> str:
    """Name what an answer from a pre-signed URL says of a deletion, "" when it says nothing.

    Of a 404 only S3's own `NoSuchKey` counts: a proxy, a page and a missing bucket
    answer 404 as well.  It proves nothing while captures names the recording.
    """
    match trouble:
        case HTTPStatusError(status=404, code="NoSuchKey"):
            return "no_such_key"
        case HTTPStatusError(status=410):
            return "http_410"
        case _:
            return ""


def without_url(reason: str, trouble: RemoteError | None) -> GiveUp | DeletedAtSource:
    """Judge that captures gave no fresh URL, for ``reason``; ``trouble`` is that with the last one, None if it was old.

    Only that captures answers soundly and names the recording no longer (``missing``)
    makes a deletion of what S3 itself said of it.
    """
    evidence = evidence_of(trouble) if trouble is not None else ""
    return DeletedAtSource(evidence) if reason == "missing" and evidence else GiveUp(reason, evidence)


def for_s3(trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
    """Judge a failed request to S3."""
    match trouble:
        # Codes before statuses, here and below: a 400, 403 or 409 of S3 alone leaves open what to do.  First come
        # those that would be the same for every object, and end the run.
        # Signed before this machine slept and sent after it: signed anew it passes, unless the clock is wrong.
        case HTTPStatusError(code="RequestTimeTooSkewed") if not tries.attempts:
            return _again(tries, chance)
        case HTTPStatusError(code="RequestTimeTooSkewed"):
            return StopRun(f"this machine's clock is wrong: {trouble}")
        case HTTPStatusError(code="ExpiredToken" | "InvalidToken" | "TokenRefreshRequired"):
            return StopRun(f"the AWS credentials have expired: {trouble}", auth=True)
        case HTTPStatusError(
            code="NoSuchBucket" | "PermanentRedirect" | "InvalidAccessKeyId" | "SignatureDoesNotMatch"
        ):
            return StopRun(f"S3 {trouble}", auth=trouble.status == 403)
        # A flipped bit happens once; a path that does it twice to one object would do it again.
        case HTTPStatusError(code=code) if code in DIGEST_CODES and tries.digests > 1:
            return GiveUp("corrupting_path")
        case HTTPStatusError(status=status, code=code) if status == 429 or code in S3_RATE_CODES:
            return _slow(trouble, tries, chance)
        case HTTPStatusError(status=status) if status in RETRYABLE_STATUS or trouble.code in S3_RETRYABLE_CODES:
            return _again(tries, chance)
        case HTTPStatusError(code=code, status=status):
            return GiveUp(f"s3_{code or status}")
        case _:
            return _transport(trouble, tries, chance)


# What the tables share


def _transport(trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
    match trouble:
        case TLSError():
            return GiveUp("tls_untrusted")
        case InvalidMedia(reason="bad_head"):  # it is the same the next time, unless it was the connection's fault
            return (
                RetryAfter(backoff_s(tries.attempts, chance)) if tries.attempts < MAX_BAD_HEADS else GiveUp("bad_head")
            )
        case ConnectError() if 0 < tries.outage_s < MAX_OUTAGE_S:
            # `or`: a chance of exactly 0 would spin, as attempts do not count here.
            return RetryAfter(backoff_s(min(tries.attempts, 4), chance, OUTAGE_CAP_S) or 1.0)
        case ConnectError() | ConnectionLost() | TimedOut() | InvalidResponse():
            return _again(tries, chance)
        case _:
            return GiveUp("error")


def _again(tries: Attempts, chance: float) -> Decision:
    # + 1: the failure that is judged has not been counted yet.
    if tries.attempts + 1 >= MAX_ATTEMPTS:
        return GiveUp("retries_exhausted")
    return RetryAfter(backoff_s(tries.attempts, chance))


def _wait(trouble: HTTPStatusError, tries: Attempts, chance: float) -> Decision:
    """Leave the server alone for as long as it says, plus up to a tenth; without a word from it, back off."""
    if tries.waits >= MAX_WAITS:
        return GiveUp("rate_limited")
    asked = trouble.retry_after_s
    if asked is not None and asked > MAX_WAIT_S:
        return StopRun(f"{trouble.host or 'the server'} asks to wait {_long(asked)}; run again then")
    # `Retry-After: 0` beside a 429 is no leave to come back at once.
    if not asked or asked < 0:
        return PauseAll(max(0.5, backoff_s(tries.waits + 1, chance)))
    return PauseAll(asked * (1 + chance / 10))


def _named_wait(trouble: HTTPStatusError, tries: Attempts, chance: float) -> Decision | None:
    """Honour a wait that came with a 503, but count the attempt: the server is in trouble, not we."""
    if not trouble.retry_after_s or trouble.retry_after_s < 0:
        return None
    if tries.attempts + 1 >= MAX_ATTEMPTS:
        return GiveUp("retries_exhausted")
    wait = _wait(trouble, tries, chance)
    return replace(wait, attempt=True) if isinstance(wait, PauseAll) else wait


def _slow(trouble: HTTPStatusError, tries: Attempts, chance: float) -> Decision:
    if tries.waits >= MAX_WAITS:
        return GiveUp("slow_down")
    if trouble.retry_after_s and trouble.retry_after_s > 0:
        return _wait(trouble, tries, chance)
    return PauseAll(max(0.2, backoff_s(min(tries.waits, 4), chance)))


def _refused_url(trouble: HTTPStatusError, tries: Attempts) -> Decision:
    """Tell an expired lease from a wrong clock, a broken signature and a plain refusal."""
    words = trouble.words.lower()
    expired = trouble.code == "ExpiredToken" or any(hint in words for hint in EXPIRED_WORDS)
    if expired:
        return RenewUrl() if tries.renewals < MAX_RENEWALS else GiveUp("url_keeps_expiring")
    # A wrong clock, or a URL that we damage: the same for every recording, so it ends the run.
    if trouble.code in ("SignatureDoesNotMatch", "RequestTimeTooSkewed"):
        return RenewUrl() if tries.renewals < MAX_FRESH_TRIES else StopRun(f"pre-signed URLs are refused: {trouble}")
    # Nothing says why: one fresh URL, then it is this recording that is refused.
    return RenewUrl() if tries.renewals < 1 else GiveUp("access_denied")


def _long(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min"
