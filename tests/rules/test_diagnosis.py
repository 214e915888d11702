"""What the facts are worth: judgements without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    HTTPStatusError,
    LedgerFull,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.rules import diagnosis
from wxrec_async.rules.diagnosis import Answers, Finding, bad, good, unknown

DAY = 86_400.0
ORG = "0a1b2c3d-1111-2222-3333-444455556666"
NOT_FOUND, FORBIDDEN, NOT_KNOWN = HTTPStatusError(404), HTTPStatusError(403), HTTPStatusError(401)
NO_SCOPE = HTTPStatusError(403, words="the token lacks a scope")


def answers(
    organisation: WxrecError | None, tasks: WxrecError | None = FORBIDDEN, captures: WxrecError | None = FORBIDDEN
) -> Answers:
    return Answers("region us1", "api.test", organisation, tasks, captures)


codes = st.sampled_from([2, 3, 4, 7])
findings = st.lists(
    st.one_of(codes.map(lambda code: bad("x", "y", "z", code)), st.just(good("x", "y")), st.just(unknown("x", "y")))
)


@given(findings)
def test_the_exit_code_is_the_first_that_applies_of_2_4_7_3(found: list[Finding]) -> None:
    """Only what is wrong counts, and in the order of cli.md."""
    wrong = {finding.exit_code for finding in found if finding.ok is False}
    expected = min(wrong, key=[2, 4, 7, 3].index) if wrong else 0
    assert diagnosis.exit_code_of(found) == expected


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(-1e7, 1e7)))
def test_the_worst_clock_decides(skews: dict[str, float]) -> None:
    """Over 60 s is a warning, over 15 minutes wrong, no date at all unknown."""
    worst = max(map(abs, skews.values()), default=None)
    expected = "unknown" if worst is None else "fail" if worst > 900 else "warn" if worst > 60 else "ok"
    assert diagnosis.clock(skews).state == expected


@pytest.mark.fault("T14")
@pytest.mark.parametrize(
    ("left", "state"), [(None, "ok"), (-1.0, "fail"), (13.9 * DAY, "warn"), (14.1 * DAY, "ok"), (60.0, "warn")]
)
def test_a_refresh_token_that_dies_within_14_days_is_a_warning(left: float | None, state: str) -> None:
    """T14: and a dead one is wrong."""
    assert diagnosis.refresh_token(left).state == state


@pytest.mark.parametrize(
    ("found", "region", "captures"),
    [
        (answers(None, None, None), "ok", "ok"),
        (answers(None, None, FORBIDDEN), "ok", "fail"),
        (answers(FORBIDDEN, None, FORBIDDEN), "ok", "fail"),
        (answers(NOT_KNOWN, NOT_KNOWN, NOT_KNOWN), "fail", "unknown"),
        (answers(NOT_FOUND, NOT_FOUND, NOT_FOUND), "fail", "unknown"),
        (answers(FORBIDDEN, FORBIDDEN, FORBIDDEN), "fail", "unknown"),
        (answers(FORBIDDEN, NO_SCOPE, NO_SCOPE), "unknown", "fail"),
        (answers(ConnectError(), ConnectError(), ConnectError()), "fail", "unknown"),
        (answers(TimedOut(), None, None), "ok", "ok"),
    ],
)
def test_a_wrong_region_and_a_missing_scope_are_told_apart(found: Answers, region: str, captures: str) -> None:
    """One answer proves the region; without any, the server's words decide."""
    assert diagnosis.region(found, ORG).state == region
    assert diagnosis.scope("captures", found.captures, diagnosis.CAPTURE_SCOPES, found).state == captures


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError(), 2), (TLSError(), 2), (AuthError(), 4), (LedgerFull(), 7), (TimedOut(), 8)]
)
def test_each_failure_has_its_exit_code(error: WxrecError, code: int) -> None:
    """By cli.md's table."""
    assert diagnosis.failed("x", error).exit_code == code


@pytest.mark.parametrize(
    ("free", "network", "state"), [(1, None, "fail"), (1 << 29, None, "warn"), (1 << 40, "nfs", "warn")]
)
def test_the_place_of_the_ledger_needs_room(free: int, network: str | None, state: str) -> None:
    """Less than 100 MiB is wrong; less than 1 GiB, or a network, could be better."""
    found = diagnosis.disk("wxrec.db", free, network)
    assert found.state == state
    assert found.exit_code == (7 if state == "fail" else 0)
