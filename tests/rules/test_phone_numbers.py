"""The one form of a phone number, and its hash under a key."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.phone_numbers import key_id, number_hash, one_form

KEY, OTHER = "k" * 43, "o" * 43


@pytest.mark.parametrize(
    ("text", "country", "form"),
    [
        ("+41 44 668 18 00", "", "+41446681800"), ("+1 (555) 010-0123", "", "+15550100123"),
        ("0041446681800", "", "+41446681800"), ("01141446681800", "1", "+41446681800"),
        ("044 668 18 00", "41", "+41446681800"), ("446681800", "41", "+41446681800"),
        ("044 668 18 00", "", "0446681800"), ("5550100123", "1", "+15550100123"),
        ("15550100123", "1", "+15550100123"), ("06 69812345", "39", "+390669812345"), ("4711", "41", "4711"),
        ("112", "", "112"), ("tel:+15550100123", "", "+15550100123"),
        ("sip:+15550100123@pbx.example", "", "+15550100123"),
        ("sip:ann@pbx.example", "", "ann@pbx.example"), ("Ann@Example.org", "41", "ann@example.org"), ("", "41", ""),
        ("anonymous", "41", "anonymous"),
    ],
)  # fmt: skip
def test_a_number_has_one_form(text: str, country: str, form: str) -> None:
    """However it is written; what names no country stays as given unless one is set."""
    assert one_form(text, country) == form


@given(st.text(), st.sampled_from(["", "1", "39", "41"]))
def test_the_form_of_a_form_is_itself(text: str, country: str) -> None:
    """Unless a national number could be read as another one: those that are complete stay."""
    form = one_form(text, country)
    if form.startswith("+"):
        assert one_form(form, country) == form


def test_a_hash_is_that_of_the_form_under_the_key() -> None:
    """And says by which key it was made."""
    digest = hmac.new(KEY.encode(), b"+41446681800", hashlib.sha256).hexdigest()
    assert number_hash("044 668 18 00", KEY, "41") == f"{key_id(KEY)}:{digest}"
    assert number_hash("+41446681800", OTHER) != number_hash("+41446681800", KEY)
    assert (len(key_id(KEY)), key_id(KEY) != key_id(OTHER)) == (8, True)


@pytest.mark.parametrize("text", [None, "", "***78", "+155****0001"])
def test_what_is_no_number_has_no_hash(text: str | None) -> None:
    """A masked one would be found under a hash that many share."""
    assert number_hash(text, KEY) is None
