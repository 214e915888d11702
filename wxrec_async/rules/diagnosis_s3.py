"""What `doctor` makes of what S3 answered: facts in, one line out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from wxrec_async.errors import ConfigError, HTTPStatusError, RunStopped, WxrecError
from wxrec_async.rules.diagnosis import EXIT_AUTH, EXIT_USAGE, Finding, bad, failed, good, unknown

REFUSED_KEYS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)
_ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"})
# "The authorization header is malformed; the region 'a' is wrong; expecting 'b'": told where no header is.
_EXPECTED_REGION = re.compile(r"expecting '([a-z0-9-]{2,30})'")


def region_named_by(refusal: HTTPStatusError, header: str = "") -> str:
    """Return the region a bucket is said to lie in, "" when S3 does not tell."""
    named = _EXPECTED_REGION.search(refusal.words)
    return header or (named[1] if named else "")


def bucket_elsewhere(refusal: HTTPStatusError, asked: str, header: str = "") -> Finding | None:
    """Return the finding when the bucket lies in another region than ``asked``."""
    there = region_named_by(refusal, header)
    if not (there and there != asked) and refusal.code not in _ELSEWHERE and refusal.status not in (301, 307):
        return None
    words = f"the bucket is not in {asked}" + (f" but in {there}" if there else "")
    todo = f'set [s3] region = "{there}"' if there else "correct [s3] region or endpoint_url"
    return bad("bucket_region", words, todo, EXIT_USAGE)


def bucket_refused(refusal: WxrecError, bucket: str) -> Finding:
    """Judge why the bucket could not be looked at; plain 403 may only be missing ``s3:ListBucket``."""
    match refusal:
        case HTTPStatusError(status=404):
            return bad("bucket", f"{bucket} is not there", "create it or correct [s3] bucket", EXIT_USAGE)
        # This and the next come with status 403 and say more than it does, so they stand before it.
        case HTTPStatusError(code="RequestTimeTooSkewed"):
            return unknown("bucket", "not known before the clock is right")
        case HTTPStatusError(code=code) if code in REFUSED_KEYS:
            return bad("bucket", f"AWS refuses the credentials: {refusal}", "renew or correct them", EXIT_AUTH)
        case HTTPStatusError(status=403):
            return unknown("bucket", f"{bucket} may not be looked at (s3:ListBucket); writing is tried below")
        case _:
            return failed("bucket", refusal)


def permission(name: str, action: str, refusal: WxrecError | None, words: str, purpose: str) -> Finding:
    """Judge a call that needs ``action``: allowed, denied, or something else."""
    match refusal:
        case None:
            return good(name, words)
        case HTTPStatusError(status=403):
            key = " (or its KMS key: kms:GenerateDataKey, kms:Decrypt)" if "kms" in refusal.words.lower() else ""
            return bad(name, f"denied: {refusal}", f"allow {action}{key}: {purpose}", EXIT_AUTH)
        case HTTPStatusError(status=status) if status < 500:
            return bad(name, f"S3 {refusal}", "correct [s3], or the bucket's settings", EXIT_USAGE)
        case RunStopped() | ConfigError():
            return bad(name, str(refusal), "correct [s3], or the bucket's settings", EXIT_USAGE)
        case _:
            return failed(name, refusal)


def checksum(refusal: WxrecError | None) -> Finding:
    """Judge what came of a part whose checksum was wrong on purpose."""
    match refusal:
        case None:
            words = "S3 took a part whose CRC-32 is wrong: damage on the way would not be noticed"
            return bad("checksum", words, "use a store that checks x-amz-checksum-crc32")
        case HTTPStatusError(code="BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch"):
            return good("checksum", "a part with a wrong CRC-32 is refused")
        case HTTPStatusError(status=501):
            return bad("checksum", f"S3 {refusal}", "use a store that checks x-amz-checksum-crc32")
        case _:
            return unknown("checksum", f"not known: {refusal}")


def condition(refusal: WxrecError | None) -> Finding:
    """Judge what came of an empty put with If-None-Match, and a wrong checksum for safety, where an object lies."""
    name, todo = "conditional_write", "use a store that knows If-None-Match on PutObject and CompleteMultipartUpload"
    match refusal:
        case None:
            return bad(name, "S3 took a put with If-None-Match: * although the key is taken", todo)
        case HTTPStatusError(status=412):
            return good(name, "an object that is there is not replaced")
        # Compatible stores say so of a header they do not know.
        case HTTPStatusError(status=501):
            return bad(name, f"S3 {refusal}", todo)
        case HTTPStatusError(code="BadDigest" | "InvalidDigest"):
            return unknown(name, "not known: S3 judged the checksum first, and no object is put at risk to find out")
        case _:
            return unknown(name, f"not known: {refusal}")


def lifecycle(rules: Iterable[Mapping[str, object]] | None, refusal: WxrecError | None, prefix: str) -> Finding:
    """Judge the bucket's lifecycle rules: does one abort incomplete uploads below ``prefix``?"""
    todo = "add a lifecycle rule AbortIncompleteMultipartUpload of 7 days: it clears up after a killed process"
    if isinstance(refusal, HTTPStatusError) and refusal.code == "NoSuchLifecycleConfiguration":
        return good("lifecycle", "no rule aborts incomplete uploads", todo)
    if refusal is not None:
        return unknown("lifecycle", f"not known: {refusal}")
    days = [found for rule in rules or () if (found := _aborts_after(rule, prefix)) is not None]
    if not days:
        return good("lifecycle", "no rule aborts incomplete uploads", todo)
    return good("lifecycle", f"incomplete uploads are aborted after {min(days)} days")


def _aborts_after(rule: Mapping[str, object], prefix: str) -> int | None:
    """Return the days after which ``rule`` aborts uploads below ``prefix``; None when it does not."""
    abort, chosen = rule.get("AbortIncompleteMultipartUpload"), rule.get("Filter")
    if rule.get("Status") != "Enabled" or not isinstance(abort, Mapping):
        return None
    chosen = chosen if isinstance(chosen, Mapping) else {}
    # A rule with a further condition may not cover all of our uploads.
    if {"Tag", "And", "ObjectSizeGreaterThan", "ObjectSizeLessThan"} & chosen.keys():
        return None
    below = str(rule.get("Prefix") or chosen.get("Prefix") or "")
    days = abort.get("DaysAfterInitiation")
    return days if isinstance(days, int) and prefix.startswith(below) else None
