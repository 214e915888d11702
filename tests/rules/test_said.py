"""What is kept of fields nobody foresaw: whole, within bounds, and without what may not be kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.redact import mask_number
from wxrec_async.rules.said import CUT, MOST_CHARS, MOST_DEPTH, harmless, kept, kept_texts, masked, read

UUID = "b8f0245c-aebd-5a8e-2af7-ad085f2180f4"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_nothing_costs_nothing() -> None:
    """No field, no text, and not even an empty object."""
    assert kept({}) == ""
    assert kept({"filePath": "https://h/p?X-Amz-Signature=0"}) == ""
    assert (masked("", str), read(None), read("[]"), read("{")) == ("", {}, {}, {})
    assert kept_texts((), str) is None


@given(st.dictionaries(st.text(st.characters(categories=["Lu", "Ll"]), min_size=1, max_size=6), json_values))
def test_what_is_small_is_kept_whole(fields: dict[str, object]) -> None:
    """Under its own name, with its own value, whatever the numbers' setting does to numbers."""
    shown = read(kept(fields))
    assert set(shown) == set(fields) - {"filePath"}
    assert masked(kept(fields), str) == kept(fields)
    once = masked(kept(fields), mask_number)
    assert masked(once, mask_number) == once


@pytest.mark.parametrize(
    ("text", "plain", "as_masked"),
    [
        ("Caller", "Caller", "Caller"), ("combinedRecordings.wav", "combinedRecordings.wav", "combinedRecordings.wav"),
        (UUID, UUID, UUID), ("11111111-1111-1111-1111-111111111111",) * 3, ("1780000060000",) * 3,
        ("2026-01-31",) * 3, ("2026-01-31T10:00:00Z",) * 3, ("12345",) * 3,
        ("+15550100001", "+15550100001", "***01"), ("004915112345678", "004915112345678", "***78"),
        ("ann@example.org", "ann@example.org", "***rg"), ("call +15550100001 now", "call +15550100001 now",
                                                          "call ***01 now"),
        ("https://u:p@h.example:8443/a/b?X-Amz-Signature=ab#c", "https://h.example:8443/a/b",
         "https://h.example:8443/a/b"),
        ("see https://h/very/long/path/of/many/pieces?x=1 there", "see https://h/very/long/path/of/many/pieces there",
         "see https://h/very/long/path/of/many/pieces there"),
        ("https://crm/+15550100001", "https://crm/+15550100001", "https://crm/***01"),
        ("https://[::1]:99999/x?y", "***", "***"),
        ("Bearer abcdefgh.ijkl", "Bearer ***", "Bearer ***"), ("client_secret=abcdef", "client_secret=***",
                                                               "client_secret=***"),
    ],
)  # fmt: skip
def test_a_text_by_its_looks(text: str, plain: str, as_masked: str) -> None:
    """Secrets go whatever the setting; numbers and addresses as it says; moments, dates and ids are neither."""
    assert (harmless(text, str), harmless(text, mask_number)) == (plain, as_masked)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("callerExtension", "4711", "***"), ("ANI", "471100", "***00"), ("callerType", "external", "external"),
        ("callerId", UUID, UUID), ("organization", "4711", "4711"), ("numberOfCallsTotal", "12", "12"),
        ("originTime", "1780000060", "1780000060"), ("phoneNumber", 5550100001, "***01"),
        ("phoneNumber", 471100, 471100), ("something", 4915112345678, "***78"), ("something", 55501000, 55501000),
        ("recordingFileSize", 4915112345678, 4915112345678), ("createdTime", 1780000060000, 1780000060000),
        ("when", 1780000060000, 1780000060000), ("flag", True, True), ("ratio", 0.5, 0.5), ("none", None, None),
    ],
)  # fmt: skip
def test_a_value_by_its_name(name: str, value: object, expected: object) -> None:
    """An extension is a number because of where it stands, a size is none because of what it is called."""
    assert read(masked(kept({name: value}), mask_number)) == {name: expected}
    assert read(masked(kept({"a": [{name: value}]}), mask_number)) == {"a": [{name: expected}]}
    assert read(masked(kept({name: value}), str)) == {name: value}


def test_signed_urls_are_kept_nowhere() -> None:
    """Neither under their own name, however deep, nor under another."""
    signed = "https://h/p/x.wav?X-Amz-Signature=CANARY&X-Amz-Credential=CANARY"
    fields: dict[str, object] = {"a": {"filePath": signed, "b": [{"filePath": signed}, signed]}, "filePath": signed}
    assert read(kept(fields)) == {"a": {"b": [{}, "https://h/p/x.wav"]}}


def test_names_are_looked_at_too_and_none_gets_lost_by_it() -> None:
    """Two that look alike once they are masked are both kept."""
    fields: dict[str, object] = {"by": {"+15550100001": 1, "+15550100101": 2}}
    assert read(masked(kept(fields), mask_number)) == {"by": {"***01": 1, "***01'": 2}}


def test_one_huge_field_is_cut_and_says_so_and_the_others_stay() -> None:
    """The memory promised does not depend on what Webex thinks of."""
    written = kept({"huge": "x" * 10_000_000, "small": 1, "z" * 20_000: 2})
    assert len(written) <= MOST_CHARS
    shown = read(written)
    assert shown == {"huge": f"{CUT} 10000002 characters", "small": 1, f"{CUT} 20000 characters": 2}
    half = read(kept({"a": "x" * 10_000, "b": "y" * 10_000}))
    assert half == {"a": "x" * 10_000, "b": CUT}


@pytest.mark.parametrize("count", [5_000, 50_000])
def test_so_many_fields_that_they_find_no_room_are_counted(count: int) -> None:
    """The word that something was left out has its own place."""
    written = kept({f"field{number}": number for number in range(count)})
    shown = read(written)
    assert len(written) <= MOST_CHARS
    assert shown.pop(CUT) == f"{count - len(shown)} fields"
    assert len(shown) > 500


def test_what_is_nested_without_end_is_cut() -> None:
    """Wherever it is cut, it is said; and reading it again cuts no more."""
    value: object = "bottom"
    for _ in range(900):
        value = [value]
    text = kept({"deep": value})
    assert f"nested deeper than {MOST_DEPTH}" in text
    assert masked(text, mask_number) == text
    deeper: object = "bottom"
    for _ in range(100_000):
        deeper = [deeper]
    assert read(kept({"deep": deeper})) == {"deep": f"{CUT} {MOST_CHARS + 1} characters"}


def test_what_is_no_number_of_json_is_a_word() -> None:
    """What is written must be JSON for everybody."""
    assert json.loads(kept({"a": float("inf")}), parse_constant=pytest.fail) == {"a": "inf"}


def test_participants_are_kept_within_the_same_bounds() -> None:
    """Ids as they are, numbers as the setting says, and how many did not find room."""
    assert json.loads(kept_texts((UUID, "+15550100001"), mask_number) or "") == [UUID, "***01"]
    found = json.loads(kept_texts(("\u00e9" * 400,) * 100, str) or "")
    assert found[-1] == f"{CUT} {100 - len(found) + 1} more"
    assert len(kept_texts(("\u00e9" * 400,) * 100, str) or "") <= MOST_CHARS
