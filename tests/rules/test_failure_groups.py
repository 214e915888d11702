"""Failures by their reason, and what to do about each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wxrec_async
from wxrec_async.ledger import Failure
from wxrec_async.rules.failure_groups import EXAMPLES, grouped, one_cause, remedy

REASONS = st.sampled_from(["conflict", "http_500", "s3_AccessDenied", "missing", "odd"])


@given(st.lists(REASONS))
def test_every_failure_is_in_the_group_of_its_reason(reasons: list[str]) -> None:
    """Nothing is lost or counted twice; the most frequent reason comes first, the first failures are its examples."""
    failures = [Failure(f"t-{number}", "r", reason) for number, reason in enumerate(reasons)]
    groups = grouped(failures)
    assert {group.reason: group.count for group in groups} == {reason: reasons.count(reason) for reason in reasons}
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    for group in groups:
        same = [each for each in failures if each.reason == group.reason]
        assert list(group.examples) == same[:EXAMPLES]


def test_one_cause_is_said_with_its_remedy() -> None:
    """A person at 3 a.m. reads what to do first, when that mends all of it."""
    groups = grouped([Failure("t", "r", "s3_AuthorizationHeaderMalformed")] * 56)
    assert one_cause(groups, 56) == (
        "all 56 failures are one cause, s3_AuthorizationHeaderMalformed: correct [s3] region or endpoint_url "
        "(`wxrec-async doctor` names the region)"
    )
    assert one_cause(groups[:1], 1) == ""
    assert one_cause(grouped([Failure("t", "r", "a"), Failure("t", "r", "b")]), 2) == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("conflict", "--overwrite"),
        ("http_404", "ask Cisco"),
        ("http_503", "`wxrec-async retry` later"),
        ("s3_SomethingNew", "`wxrec-async doctor`"),
        ("never_heard_of", "`wxrec-async retry` later"),
        ("no_audio", "ask Cisco"),
    ],
)
def test_every_reason_has_something_to_do(reason: str, words: str) -> None:
    """Those nobody foresaw, too."""
    assert words in remedy(reason)


def test_a_group_for_machines_holds_ids_and_no_words_of_a_server() -> None:
    """Details stay where they are masked."""
    [group] = grouped([Failure("t-1", "r-1", "conflict", "call +15550100123")])
    assert group.as_json() == {
        "reason": "conflict",
        "count": 1,
        "examples": [{"task_id": "t-1", "recording_id": "r-1"}],
        "remedy": remedy("conflict"),
    }


def test_remedies_name_settings_that_exist() -> None:
    """A remedy that sends somebody to a setting there is none of would be worse than none."""
    text = (Path(wxrec_async.__file__).parent / "rules" / "failure_groups.py").read_text("utf-8")
    from wxrec_async.config import known_keys  # noqa: PLC0415 - pydantic, for this test alone

    named = re.findall(r"\[(s3|webex|backfill)\] (\w+)", text)
    assert named
    assert {f"{section}.{key}" for section, key in named} <= set(known_keys())
