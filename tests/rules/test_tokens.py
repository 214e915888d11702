"""Freshness, the organisation in a token, and what a token endpoint's reply is worth."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import Secret
from wxrec_async.rules import tokens as rules

ORG = "0a1b2c3d-1111-2222-3333-444455556666"


@dataclass
class Holder:
    access_token: Secret


def org(text: str) -> str | None:
    return rules.token_org(Holder(Secret(text)))


@pytest.mark.parametrize(("left", "fresh"), [(301, True), (300, False), (0, False), (-1, False)])
def test_a_token_is_fresh_until_five_minutes_before_its_end(left: float, fresh: bool) -> None:
    """The margin is 300 s, and its last second is not fresh any more."""
    assert rules.is_fresh(1_000_000.0 + left, 1_000_000.0) is fresh


def test_a_token_that_lives_shorter_than_the_margin_is_used_for_half_its_life() -> None:
    """Otherwise a token of two minutes would be renewed at every request."""
    assert rules.refresh_margin(120) == 60
    assert rules.refresh_margin(3600) == 300
    assert rules.refresh_margin(None) == 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"NjFmYTA1ZTkt_P0A1_{ORG}", ORG),
        (f"x_{ORG.upper()}", ORG),
        (f"eyJhbGciOi.eyJzdWIi.sig_{ORG}", None),
        ("NjFmYTA1ZTkt_P0A1", None),
        (ORG, None),
        ("", None),
    ],
)
def test_the_organisation_is_read_from_a_contact_center_token_only(text: str, expected: str | None) -> None:
    """JWT-shaped and other tokens name none: a wrong guess would report a wrong tenant."""
    assert org(text) == expected


def test_a_reply_is_read_with_its_numbers_as_numbers_or_text() -> None:
    """Lifetimes come as either."""
    grant = rules.read_grant(
        {"access_token": "a1", "refresh_token": "r1", "expires_in": "3600", "refresh_token_expires_in": 7775999}
    )
    assert (grant.lifetime_s, grant.refresh_lifetime_s, grant.warning) == (3600, 7775999, None)
    assert (grant.access_token, grant.refresh_token) == (Secret("a1"), Secret("r1"))


@pytest.mark.fault("T06")
@pytest.mark.parametrize("value", [None, "0", 0, -5, "-1", "soon", True, [], float("nan"), float("inf"), 10**400, 1e12])
def test_an_unusable_lifetime_counts_as_fifteen_minutes_and_says_so(value: object) -> None:
    """The reply is kept, because a rotated refresh token may have come with it."""
    grant = rules.read_grant({"access_token": "a1", "refresh_token": "r2", "expires_in": value})
    assert grant.lifetime_s == 900
    assert grant.refresh_token == Secret("r2")
    assert grant.warning is not None
    assert "15 minutes" in grant.warning


@pytest.mark.fault("T06")
def test_a_reply_without_refresh_token_grants_none() -> None:
    """Whoever holds the old one keeps it."""
    assert rules.read_grant({"access_token": "a1", "expires_in": 60}).refresh_token is None


@pytest.mark.fault("T16")
@pytest.mark.parametrize(
    "reply", [None, [], "text", 7, {}, {"access_token": ""}, {"access_token": 5}, {"access_token": "a\r\nX: b"}]
)
def test_a_reply_without_usable_access_token_makes_no_sense(reply: object) -> None:
    """Nor does one whose token could smuggle a header."""
    with pytest.raises(InvalidResponse):
        rules.read_grant(reply)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="a9 _-.\r\n\x00é", max_size=8),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
KEYS = ["refresh_token", "expires_in", "refresh_token_expires_in", "token_type", "scope"]


@given(st.fixed_dictionaries({"access_token": json_values}, optional=dict.fromkeys(KEYS, json_values)))
def test_any_json_is_either_a_usable_grant_or_nonsense(reply: dict[str, object]) -> None:
    """Nothing else comes out, whatever the server sends."""
    try:
        grant = rules.read_grant(reply)
    except InvalidResponse:
        return
    assert 0 < grant.lifetime_s <= rules.LONGEST_LIFETIME_S
    assert grant.access_token.reveal().isascii()
    assert " " not in grant.access_token.reveal()


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"message":[{"description":"Invalid access token"}]}}',
        '{"message":"The access token expired"}',
        '{"error":"invalid_token"}',
        "The requested token is not valid for this service app: token has been revoked",
        "Your session has expired",
    ],
)
def test_bodies_that_speak_of_the_token_are_recognised(body: str) -> None:
    """400 and 403 mean 401 then."""
    assert rules.refuses_token(body)


@pytest.mark.parametrize(
    "body", ["", "Forbidden", '{"message":"Insufficient scope: cjp:config"}', "Invalid taskIds", "Invalid from"]
)
def test_other_refusals_are_not_taken_for_the_tokens(body: str) -> None:
    """A missing permission is not cured by a new token."""
    assert not rules.refuses_token(body)


def test_the_servers_words_come_without_secrets_in_one_short_line() -> None:
    """Known secrets and what looks like one are masked, ids of support cases are not."""
    known = Secret("short-rt")
    said = rules.server_words(f"bad\n\ttoken short-rt and {'Ab3' * 20} in {ORG} {'x ' * 400}", [known])
    assert "short-rt" not in said
    assert "Ab3Ab3" not in said
    assert ORG in said
    assert "\n" not in said
    assert len(said) <= 300


@given(
    st.text(alphabet="abcdefABCDEF0123456789-_", min_size=24, max_size=80), st.text(alphabet='ab \n"\\é', max_size=30)
)
def test_a_known_secret_never_survives_in_the_servers_words(secret: str, around: str) -> None:
    """Wherever it stands."""
    assert secret not in rules.server_words(json.dumps({"m": f"{around}{secret}{around}"}), [Secret(secret)])


@pytest.mark.fault("X03")
def test_a_secret_with_something_unseen_in_it_is_masked_all_the_same() -> None:
    """Found by fuzzing: what cannot be printed goes first, or it would join the halves it had kept apart."""
    secret = Secret("CANARY-RT-1234")
    for joint in ("\x00", "\u200b", "\x1b"):
        words = rules.server_words(f"CANARY-RT{joint}-1234 is dead", [secret])
        assert words == "*** is dead"
