"""What each finding says and advises, and where exactly it turns from good to a warning and to wrong."""

from __future__ import annotations

import pytest

from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    LedgerError,
    LedgerFull,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.rules import diagnosis
from wxrec_async.rules.diagnosis import LOGIN, Answers, Finding, bad, exit_code_of, good, unknown
from wxrec_async.rules.server_time import SKEW_REFUSED_S, SKEW_WARNED_S

DAY = 86_400.0
ORG = "0a1b2c3d-1111-2222-3333-444455556666"
SET_CLOCK = "set the clock of this machine (NTP)"
ROOM = "make room: a year of a large organisation takes some GiB"


def answers(
    organisation: WxrecError | None, tasks: WxrecError | None = None, captures: WxrecError | None = None
) -> Answers:
    return Answers("region us1", "api.test", organisation, tasks, captures)


def nowhere(refusal: WxrecError) -> Answers:
    return answers(refusal, refusal, refusal)


def test_the_figures_are_those_of_the_manual() -> None:
    """Exit codes and their precedence; a minute and a quarter of an hour; a fortnight; a GiB and 100 MiB."""
    assert diagnosis.PRECEDENCE == (2, 4, 7, 8, 3)
    assert (diagnosis.EXIT_USAGE, diagnosis.EXIT_WRONG, diagnosis.EXIT_AUTH, diagnosis.EXIT_LEDGER) == (2, 3, 4, 7)
    assert (SKEW_WARNED_S, SKEW_REFUSED_S, diagnosis.REFRESH_TOKEN_WARNED_S) == (60, 900, 14 * DAY)
    assert (diagnosis.DISK_WARNED, diagnosis.DISK_REFUSED) == (1024**3, 100 * 1024**2)
    assert diagnosis.TASK_SCOPES == "cjp:config or cjp:config_read"
    assert diagnosis.CAPTURE_SCOPES == "cjp:config_read, and an administrator or supervisor"
    assert LOGIN == "run `wxrec-async login`"


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (good("n", "w"), "ok"), (good("n", "w", "t"), "warn"), (bad("n", "w", "t"), "fail"),
        (bad("n", "w", ""), "fail"), (unknown("n", "w"), "unknown"), (unknown("n", "w", "t"), "unknown"),
    ],
)  # fmt: skip
def test_a_finding_has_one_of_four_states(finding: Finding, state: str) -> None:
    """Good with something to do is a warning."""
    assert finding.state == state
    assert (finding.name, finding.words) == ("n", "w")


def test_only_what_is_wrong_has_an_exit_code() -> None:
    """3 unless another is named."""
    assert bad("n", "w", "t") == Finding("n", False, "w", "t", 3)
    assert bad("n", "w", "t", 7) == Finding("n", False, "w", "t", 7)
    assert good("n", "w", "t") == Finding("n", True, "w", "t", 0)
    assert unknown("n", "w", "t") == Finding("n", None, "w", "t", 0)
    assert unknown("n", "w").todo == good("n", "w").todo == Finding("n", True, "w").todo == ""
    assert exit_code_of([]) == 0
    assert exit_code_of([Finding("n", True, "w", exit_code=4), Finding("n", None, "w", exit_code=2)]) == 0


@pytest.mark.parametrize(
    ("error", "words", "todo", "code"),
    [
        (AuthError(f"no token: {LOGIN}"), "no token", LOGIN, 4),
        (AuthError(f"no token; {LOGIN}"), f"no token; {LOGIN}", "", 4),
        (ConfigError("[s3] bucket is missing"), "[s3] bucket is missing", "", 2),
        (LedgerError("odd"), "odd", "", 7),
        (LedgerFull("full"), "full", "", 7),
        (TLSError("odd"), "odd", "name the authority's certificates with ca_bundle", 2),
        (ConnectError("odd"), "odd", "check name, network, firewall and proxy", 8),
        (TimedOut("odd"), "odd", "check name, network, firewall and proxy", 8),
        (ConnectionLost("odd"), "odd", "", 8),
    ],
)
def test_a_failure_says_what_to_do(error: WxrecError, words: str, todo: str, code: int) -> None:
    """At the end of its own message, or by its kind; a remedy that the caller knows comes before the kind's."""
    assert diagnosis.failed("n", error) == Finding("n", False, words, todo, code)
    assert diagnosis.failed("n", error, "mend it") == Finding(
        "n", False, words, todo if LOGIN in todo else "mend it", code
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (119, "119 s"), (-119, "119 s"), (120, "2 minutes"), (-120, "2 minutes"), (7199, "120 minutes"),
        (7200, "2 hours"), (-7200, "2 hours"), (172_799, "48 hours"), (172_800, "2 days"), (-864_000, "10 days"),
        (0.4, "0 s"), (31 * DAY, "31 days"),
    ],
)  # fmt: skip
def test_a_span_is_told_in_the_largest_unit_of_which_there_are_two(seconds: float, words: str) -> None:
    """Whichever way it goes."""
    assert diagnosis.span(seconds) == words


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (None, "it is not known when it ends; it is renewed before it is used"),
        (0, "it ended 0 s ago and has to be renewed"),
        (-7200, "it ended 2 hours ago and has to be renewed"),
        (0.6, "it lives for another 1 s"),
        (7200, "it lives for another 2 hours"),
    ],
)
def test_an_access_token_is_never_wrong(left: float | None, words: str) -> None:
    """It is renewed when it is needed."""
    assert diagnosis.access_token(left) == Finding("access_token", True, words)


@pytest.mark.fault("T14")
@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (None, good("refresh_token", "it is there; Webex did not say when it ends")),
        (0, bad("refresh_token", "it died 0 s ago", LOGIN, 4)),
        (-3 * DAY, bad("refresh_token", "it died 3 days ago", LOGIN, 4)),
        (1, good("refresh_token", "it lives for another 1 s", f"{LOGIN} before that")),
        (14 * DAY - 1, good("refresh_token", "it lives for another 14 days", f"{LOGIN} before that")),
        (14 * DAY, good("refresh_token", "it lives for another 14 days")),
    ],
)
def test_a_refresh_token_warns_a_fortnight_ahead(left: float | None, expected: Finding) -> None:
    """To the second, and with what to do."""
    assert diagnosis.refresh_token(left) == expected


@pytest.mark.parametrize(
    ("skews", "refused_by", "expected"),
    [
        ({}, "", unknown("clock", "no server said what time it is")),
        ({}, "S3", bad("clock", "S3 refuses requests because of the time", SET_CLOCK)),
        ({"a": 0.0}, "", good("clock", "it agrees with a")),
        ({"a": 1.9, "b": -1.9}, "", good("clock", "it agrees with a, b")),
        ({"a": 2.0}, "", good("clock", "it is 2 s ahead of a's")),
        ({"a": -2.0, "b": 0.0}, "", good("clock", "it is 2 s behind a's, 0 s behind b's")),
        ({"a": -60.0}, "", good("clock", "it is 60 s behind a's")),
        ({"a": 61.0}, "", good("clock", "it is 61 s ahead of a's", SET_CLOCK)),
        ({"a": 900.0}, "", good("clock", "it is 15 minutes ahead of a's", SET_CLOCK)),
        ({"a": 0.0, "b": -901.0}, "", bad("clock", "it is 0 s behind a's, 15 minutes behind b's", SET_CLOCK)),
        ({"a": 1.0}, "S3", bad("clock", "S3 refuses requests because of the time; it is 1 s ahead of a's", SET_CLOCK)),
    ],
)  # fmt: skip
def test_a_clock_is_told_by_how_much_it_is_wrong_and_against_whom(
    skews: dict[str, float], refused_by: str, expected: Finding
) -> None:
    """Two seconds are agreement; a refusal is wrong however small the difference looks."""
    assert diagnosis.clock(skews, refused_by) == expected


REFUSED = "api.test (region us1) refuses organisation 0a1b2c3d-1111-2222-3333-444455556666 although the token lives: {}"
ELSEWHERE = "set [webex] region (or base_url) to where the tenant lives"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            answers(None, HTTPStatusError(403), HTTPStatusError(403)),
            good("region", "api.test knows the organisation and the token"),
        ),
        (
            answers(HTTPStatusError(404), None, HTTPStatusError(403)),
            good("region", "api.test knows the organisation and the token"),
        ),
        (
            answers(HTTPStatusError(404), HTTPStatusError(403), None),
            good("region", "api.test knows the organisation and the token"),
        ),
        (nowhere(HTTPStatusError(401)), bad("region", REFUSED.format("answered 401"), ELSEWHERE, 2)),
        (nowhere(HTTPStatusError(403)), bad("region", REFUSED.format("answered 403"), ELSEWHERE, 2)),
        (nowhere(HTTPStatusError(404)), bad("region", REFUSED.format("answered 404"), ELSEWHERE, 2)),
        (nowhere(HTTPStatusError(400)), Finding("region", False, "answered 400", "", 3)),
        (nowhere(HTTPStatusError(402)), Finding("region", False, "answered 402", "", 3)),
        (nowhere(HTTPStatusError(405)), Finding("region", False, "answered 405", "", 3)),
        (nowhere(TimedOut("slow")), Finding("region", False, "slow", "check name, network, firewall and proxy", 8)),
        (
            answers(HTTPStatusError(403), HTTPStatusError(403), HTTPStatusError(403, words="No SCOPE")),
            unknown("region", "api.test answers nothing before the scopes are right"),
        ),
        (
            answers(HTTPStatusError(401), TimedOut("scope"), HTTPStatusError(403)),
            bad("region", REFUSED.format("answered 401"), ELSEWHERE, 2),
        ),
    ],
)
def test_a_region_is_right_when_anything_was_answered(found: Answers, expected: Finding) -> None:
    """A refusal may also be about scopes, when the server says so; what is no refusal speaks for itself."""
    assert diagnosis.region(found, ORG) == expected


AS_ADMIN = f"add the scope to the integration and {LOGIN} as an administrator"
LATER, NO_NETWORK = "not known before the region is right", "not known before Webex can be reached"
NO_SCOPE = HTTPStatusError(403, words="no SCOPE for this")


@pytest.mark.parametrize(
    ("failure", "home", "granted", "expected"),
    [
        (None, True, "x", good("tasks", "the token may ask for them")),
        (ConnectError(), False, "", unknown("tasks", NO_NETWORK)),
        (TLSError(), False, "", unknown("tasks", NO_NETWORK)),
        (TimedOut("slow"), True, "", Finding("tasks", False, "slow", "check name, network, firewall and proxy", 8)),
        (
            HTTPStatusError(403),
            True,
            "",
            bad("tasks", "the token may not ask for them: answered 403; needed: N", AS_ADMIN, 4),
        ),
        (
            HTTPStatusError(403),
            True,
            "a b",
            bad("tasks", "the token may not ask for them: answered 403; needed: N; granted: a b", AS_ADMIN, 4),
        ),
        (NO_SCOPE, False, "", bad("tasks", f"the token may not ask for them: {NO_SCOPE}; needed: N", AS_ADMIN, 4)),
        (HTTPStatusError(403), False, "", unknown("tasks", LATER)),
        (HTTPStatusError(401), True, "", unknown("tasks", LATER)),
        (HTTPStatusError(401, words="scope"), False, "", unknown("tasks", LATER)),
        (HTTPStatusError(404), True, "", unknown("tasks", LATER)),
        (HTTPStatusError(400), True, "", Finding("tasks", False, "answered 400", "", 3)),
        (HTTPStatusError(402), True, "", Finding("tasks", False, "answered 402", "", 3)),
        (HTTPStatusError(405), True, "", Finding("tasks", False, "answered 405", "", 3)),
    ],
)
def test_a_missing_scope_is_named_with_what_was_granted(
    failure: WxrecError | None, home: bool, granted: str, expected: Finding
) -> None:
    """When the region is right, or the server speaks of scopes; before that nothing can be said."""
    found = answers(None if home else HTTPStatusError(403), failure, HTTPStatusError(403))
    assert diagnosis.scope("tasks", failure, "N", found, granted) == expected


def test_without_grants_nothing_is_said_of_them() -> None:
    """Not every token says what it may."""
    found = diagnosis.scope("tasks", HTTPStatusError(403), "N", answers(None))
    assert found.words == "the token may not ask for them: answered 403; needed: N"


GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "network", "expected"),
    [
        (100 * (1 << 20) - 1, None, bad("ledger", "l.db: 0.1 GiB free", ROOM, 7)),
        (100 * (1 << 20), None, good("ledger", "l.db: 0.1 GiB free", ROOM)),
        (GIB - 1, None, good("ledger", "l.db: 1.0 GiB free", ROOM)),
        (GIB, None, good("ledger", "l.db: 1.0 GiB free")),
        (5 * GIB // 2, "nfs", good("ledger", "l.db: 2.5 GiB free, on nfs",
                                   "a local disk is faster, and safe without the network's locks")),
        (0, "nfs", bad("ledger", "l.db: 0.0 GiB free, on nfs", ROOM, 7)),
    ],
)  # fmt: skip
def test_the_room_of_the_ledger_is_told_in_gibibytes(free: int, network: str | None, expected: Finding) -> None:
    """And judged to the byte."""
    assert diagnosis.disk("l.db", free, network) == expected
