"""What S3's answers are worth: judgements without a socket."""

from __future__ import annotations

import pytest

from wxrec_async.errors import HTTPStatusError, WxrecError
from wxrec_async.rules import diagnosis_s3


@pytest.mark.parametrize(
    ("refusal", "header", "region"),
    [
        (HTTPStatusError(301), "eu-west-1", "eu-west-1"),
        (HTTPStatusError(400), "eu-west-1", "eu-west-1"),
        (
            HTTPStatusError(400, code="AuthorizationHeaderMalformed", words="…; expecting 'ap-southeast-1'"),
            "",
            "ap-southeast-1",
        ),
        (HTTPStatusError(301, code="PermanentRedirect"), "", "correct"),
        (HTTPStatusError(403), "us-east-1", None),
        (HTTPStatusError(404), "", None),
    ],
)
def test_the_region_of_a_bucket_is_read_from_whatever_names_it(
    refusal: HTTPStatusError, header: str, region: str | None
) -> None:
    """Header, error text, or just the redirect; a 403 in the right region is none of these."""
    found = diagnosis_s3.bucket_elsewhere(refusal, "us-east-1", header)
    assert (found is None) == (region is None)
    assert found is None or (found.exit_code == 2 and region is not None and region in found.todo)


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (None, "fail"),
        (HTTPStatusError(412), "ok"),
        (HTTPStatusError(501), "fail"),
        (HTTPStatusError(400, code="BadDigest"), "unknown"),
    ],
)
def test_only_412_shows_that_objects_are_not_replaced(refusal: WxrecError | None, state: str) -> None:
    """501 and a success show the opposite; anything else shows nothing."""
    assert diagnosis_s3.condition(refusal).state == state


RULE = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}


@pytest.mark.parametrize(
    ("rule", "covered"),
    [
        (RULE, True),
        (RULE | {"Filter": {}}, True),
        (RULE | {"Prefix": "call-"}, True),
        (RULE | {"Filter": {"Prefix": "call-detail/"}}, True),
        (RULE | {"Filter": {"Prefix": "other/"}}, False),
        (RULE | {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}, False),
        (RULE | {"Status": "Disabled"}, False),
        ({"Status": "Enabled", "Expiration": {"Days": 1}}, False),
    ],
)
def test_a_lifecycle_rule_counts_when_it_covers_our_prefix(rule: dict[str, object], covered: bool) -> None:
    """Enabled, about incomplete uploads, and for our keys."""
    found = diagnosis_s3.lifecycle([rule], None, "call-detail/")
    assert (found.state, found.ok) == ("ok" if covered else "warn", True)
