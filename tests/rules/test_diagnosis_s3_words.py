"""What each finding about the bucket says and advises, for every answer of S3 that makes a difference."""

from __future__ import annotations

import pytest

from wxrec_async.errors import ConfigError, HTTPStatusError, RunStopped, TimedOut, WxrecError
from wxrec_async.rules import diagnosis_s3 as rules
from wxrec_async.rules.diagnosis import Finding, bad, good, unknown

NETWORK = "check name, network, firewall and proxy"
SETTINGS = "correct [s3], or the bucket's settings"
REGION_UNKNOWN = "correct [s3] region or endpoint_url"


@pytest.mark.parametrize(
    ("words", "header", "region"),
    [
        ("", "", ""),
        ("", "eu-west-1", "eu-west-1"),
        ("the region is wrong; expecting 'ap-south-1'", "", "ap-south-1"),
        ("the region is wrong; expecting 'ap-south-1'", "eu-west-1", "eu-west-1"),
        ("expecting 'x'", "", ""),
        ("expecting 'ab'", "", "ab"),
        (f"expecting '{'a' * 30}'", "", "a" * 30),
        (f"expecting '{'a' * 31}'", "", ""),
        ("expecting 'EU'", "", ""),
    ],
)
def test_a_region_is_named_by_a_header_or_a_sentence(words: str, header: str, region: str) -> None:
    """Only what can be one: small letters, digits and dashes, thirty of them at most."""
    assert rules.region_named_by(HTTPStatusError(400, words=words), header) == region
    if not header:
        assert rules.region_named_by(HTTPStatusError(400, words=words)) == region


@pytest.mark.parametrize(
    ("refusal", "header", "expected"),
    [
        (HTTPStatusError(403), "", None),
        (HTTPStatusError(403), "us-east-1", None),
        (HTTPStatusError(400, code="Other"), "", None),
        (HTTPStatusError(302), "", None),
        (
            HTTPStatusError(403),
            "eu-west-1",
            bad("bucket_region", "the bucket is not in us-east-1 but in eu-west-1", 'set [s3] region = "eu-west-1"', 2),
        ),
        *(
            (refusal, "", bad("bucket_region", "the bucket is not in us-east-1", REGION_UNKNOWN, 2))
            for refusal in (
                HTTPStatusError(301),
                HTTPStatusError(307),
                HTTPStatusError(400, code="AuthorizationHeaderMalformed"),
                HTTPStatusError(400, code="PermanentRedirect"),
                HTTPStatusError(400, code="IllegalLocationConstraintException"),
            )
        ),
    ],
)
def test_a_bucket_elsewhere_is_told_with_its_region(
    refusal: HTTPStatusError, header: str, expected: Finding | None
) -> None:
    """Or, when nobody names it, that it is not here."""
    assert rules.bucket_elsewhere(refusal, "us-east-1", header) == expected
    if not header:
        assert rules.bucket_elsewhere(refusal, "us-east-1") == expected


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (HTTPStatusError(404), bad("bucket", "b is not there", "create it or correct [s3] bucket", 2)),
        (HTTPStatusError(403, code="RequestTimeTooSkewed"), unknown("bucket", "not known before the clock is right")),
        *(
            (HTTPStatusError(status, code=code), bad("bucket", f"AWS refuses the credentials: answered {status} {code}",
                                              "renew or correct them", 4))
            for status, code in (
                (403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (400, "ExpiredToken"),
                (400, "InvalidToken"), (400, "TokenRefreshRequired"),
            )
        ),
        (
            HTTPStatusError(403, code="AccessDenied"),
            unknown("bucket", "b may not be looked at (s3:ListBucket); writing is tried below"),
        ),
        (HTTPStatusError(400, code="Odd"), Finding("bucket", False, "answered 400 Odd", "", 3)),
        (TimedOut("slow"), Finding("bucket", False, "slow", NETWORK, 8)),
    ],
)  # fmt: skip
def test_a_bucket_that_cannot_be_looked_at_says_whose_fault_it_is(refusal: WxrecError, expected: Finding) -> None:
    """Its name's, the clock's, the credentials', a permission's or the network's."""
    assert rules.bucket_refused(refusal, "b") == expected


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (None, good("n", "it works")),
        (HTTPStatusError(403), bad("n", "denied: answered 403", "allow s3:X: so that", 4)),
        (
            HTTPStatusError(403, words="the KMS key says no"),
            bad("n", "denied: answered 403 the KMS key says no",
                "allow s3:X (or its KMS key: kms:GenerateDataKey, kms:Decrypt): so that", 4),
        ),
        (HTTPStatusError(400, code="Odd"), bad("n", "S3 answered 400 Odd", SETTINGS, 2)),
        (HTTPStatusError(499), bad("n", "S3 answered 499", SETTINGS, 2)),
        (HTTPStatusError(500), Finding("n", False, "answered 500", "", 3)),
        (RunStopped("stopped"), bad("n", "stopped", SETTINGS, 2)),
        (ConfigError("odd"), bad("n", "odd", SETTINGS, 2)),
        (TimedOut("slow"), Finding("n", False, "slow", NETWORK, 8)),
    ],
)  # fmt: skip
def test_a_denied_call_names_the_permission_and_what_it_is_for(refusal: WxrecError | None, expected: Finding) -> None:
    """A key of KMS may be behind it; what is no denial is about settings, or passes."""
    assert rules.permission("n", "s3:X", refusal, "it works", "so that") == expected


OTHER_STORE = "use a store that checks x-amz-checksum-crc32"
ACCEPTED = "S3 took a part whose CRC-32 is wrong: damage on the way would not be noticed"
CHECKS = good("checksum", "a part with a wrong CRC-32 is refused")


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (None, bad("checksum", ACCEPTED, OTHER_STORE)),
        (HTTPStatusError(400, code="BadDigest"), CHECKS),
        (HTTPStatusError(400, code="InvalidDigest"), CHECKS),
        (HTTPStatusError(400, code="XAmzContentChecksumMismatch"), CHECKS),
        (HTTPStatusError(501), bad("checksum", "S3 answered 501", OTHER_STORE)),
        (HTTPStatusError(500), unknown("checksum", "not known: answered 500")),
        (TimedOut("slow"), unknown("checksum", "not known: slow")),
    ],
)
def test_a_store_has_to_refuse_a_wrong_checksum(refusal: WxrecError | None, expected: Finding) -> None:
    """And to do it for that reason."""
    assert rules.checksum(refusal) == expected


CONDITIONS = "use a store that knows If-None-Match on PutObject and CompleteMultipartUpload"


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (None, bad("conditional_write", "S3 took a put with If-None-Match: * although the key is taken", CONDITIONS)),
        (HTTPStatusError(412), good("conditional_write", "an object that is there is not replaced")),
        (HTTPStatusError(501), bad("conditional_write", "S3 answered 501", CONDITIONS)),
        *(
            (
                HTTPStatusError(400, code=code),
                unknown(
                    "conditional_write",
                    "not known: S3 judged the checksum first, and no object is put at risk to find out",
                ),
            )
            for code in ("BadDigest", "InvalidDigest")
        ),
        (HTTPStatusError(500), unknown("conditional_write", "not known: answered 500")),
        (TimedOut("slow"), unknown("conditional_write", "not known: slow")),
    ],
)
def test_a_store_has_to_keep_what_is_there(refusal: WxrecError | None, expected: Finding) -> None:
    """412 is the only proof."""
    assert rules.condition(refusal) == expected


ADD_RULE = "add a lifecycle rule AbortIncompleteMultipartUpload of 7 days: it clears up after a killed process"
NO_RULE = good("lifecycle", "no rule aborts incomplete uploads", ADD_RULE)


def rule(days: object, **more: object) -> dict[str, object]:
    return {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}, **more}


def aborted_after(days: int) -> Finding:
    return good("lifecycle", f"incomplete uploads are aborted after {days} days")


@pytest.mark.parametrize(
    ("rules_found", "refusal", "expected"),
    [
        (None, HTTPStatusError(404, code="NoSuchLifecycleConfiguration"), NO_RULE),
        (None, None, NO_RULE),
        ([], None, NO_RULE),
        (None, HTTPStatusError(403), unknown("lifecycle", "not known: answered 403")),
        (None, TimedOut("slow"), unknown("lifecycle", "not known: slow")),
        ([rule(9), rule(3), rule(5)], None, aborted_after(3)),
        ([rule("7")], None, NO_RULE),
        ([rule(7, Status="Disabled")], None, NO_RULE),
        ([rule(7, Status="Disabled"), rule(9)], None, aborted_after(9)),
        ([rule(7, AbortIncompleteMultipartUpload=7)], None, NO_RULE),
        ([rule(7, Filter="odd")], None, aborted_after(7)),
        ([rule(7, Filter={"Tag": {}})], None, NO_RULE),
        ([rule(7, Filter={"And": {}})], None, NO_RULE),
        ([rule(7, Filter={"ObjectSizeGreaterThan": 1})], None, NO_RULE),
        ([rule(7, Filter={"ObjectSizeLessThan": 1})], None, NO_RULE),
        ([rule(7, Filter={"Prefix": "calls/x"})], None, NO_RULE),
        ([rule(7, Filter={"Prefix": "call"})], None, aborted_after(7)),
        ([rule(7, Prefix="calls/x")], None, NO_RULE),
        ([rule(7, Prefix="calls")], None, aborted_after(7)),
        ([rule(7, Prefix="s/")], None, NO_RULE),
        ([rule(7, Prefix="calls/", Filter={"Prefix": "other/"})], None, aborted_after(7)),
    ],
)
def test_the_soonest_rule_that_covers_our_keys_is_told(
    rules_found: list[dict[str, object]] | None, refusal: WxrecError | None, expected: Finding
) -> None:
    """Enabled, with days, for every object below the prefix; without one there is something to do."""
    assert rules.lifecycle(rules_found, refusal, "calls/") == expected
