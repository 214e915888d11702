"""What a token endpoint's reply is read as, field by field, and the sentences about it."""

from __future__ import annotations

import pytest

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import Secret
from wxrec_async.rules import tokens as rules


def test_the_figures_are_those_operators_are_told() -> None:
    """Five minutes of margin, a quarter of an hour when nobody said, ten years at most, 300 signs of words."""
    assert (rules.REFRESH_MARGIN_S, rules.UNKNOWN_LIFETIME_S) == (300.0, 900.0)
    assert (rules.LONGEST_LIFETIME_S, rules.WORDS_LIMIT) == (10 * 366 * 86_400.0, 300)


def test_every_field_of_a_reply_is_kept() -> None:
    """Trimmed."""
    grant = rules.read_grant(
        {"access_token": "a", "refresh_token": " r ", "expires_in": 60, "token_type": " MAC ", "scope": " x y "}
    )
    assert grant == rules.TokenGrant(Secret("a"), Secret("r"), 60.0, None, "MAC", "x y", None)


def test_what_a_reply_does_not_say_is_empty() -> None:
    """A kind is Bearer unless another is named; a scope of a wrong type is none."""
    grant = rules.read_grant({"access_token": "a", "expires_in": 60, "scope": 7, "token_type": None})
    assert grant == rules.TokenGrant(access_token=Secret("a"), refresh_token=None, lifetime_s=60.0)
    assert (grant.token_type, grant.scope, grant.warning) == ("Bearer", "", None)
    assert rules.read_text(None) == ""
    assert rules.read_text(" a ") == "a"


@pytest.mark.parametrize(("value", "what"), [(None, "no expires_in"), ("soon", "an unusable expires_in")])
def test_an_unknown_lifetime_is_told_in_a_sentence(value: object, what: str) -> None:
    """Missing is not the same as odd."""
    told = rules.read_grant({"access_token": "a", "expires_in": value}).warning
    assert told == f"the token endpoint gave {what}; the token is taken to live for 15 minutes"


@pytest.mark.parametrize(
    ("reply", "words"),
    [([], "reply is not a JSON object"), ({}, "reply has no usable access_token")],
)
def test_nonsense_is_told_in_a_sentence(reply: object, words: str) -> None:
    """What was expected and is not there."""
    with pytest.raises(InvalidResponse) as refused:
        rules.read_grant(reply)
    assert str(refused.value) == f"the token endpoint's {words}"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0.5, 0.5), (0, None), (rules.LONGEST_LIFETIME_S, rules.LONGEST_LIFETIME_S), (rules.LONGEST_LIFETIME_S + 1, None)],
)
def test_a_lifetime_is_above_nothing_and_at_most_ten_years(value: float, seconds: float | None) -> None:
    """Both ends to the second."""
    assert rules.read_lifetime(value) == seconds
