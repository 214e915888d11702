"""Text from outside: nothing in it is executed, and it shows what it is."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.sanitize import each_text, number_shown, spreadsheet_cell, visible, words_shown

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1', "＝1", "＋1", "－1", "＠a")


@pytest.mark.fault("X17")
@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_defused(text: str) -> None:
    """It stands behind an apostrophe, or behind a control character that is written out."""
    cell = spreadsheet_cell(text)
    assert cell[0] in "'\\"
    assert cell.endswith(text.strip())


@pytest.mark.fault("X17")
@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    """Whatever comes in; and it stays one line, whole, when it is read back as CSV."""
    cell = spreadsheet_cell(text)
    assert not cell.lstrip(" \u00a0\u3000").startswith(tuple("=+-@\t\r\n\0＝＋－＠"))
    assert not any(unicodedata.category(sign) == "Cc" for sign in cell)
    stream = io.StringIO(newline="")
    csv.writer(stream, dialect="excel").writerow(["", cell])
    assert [*csv.reader(io.StringIO(stream.getvalue(), newline=""), strict=True)] == [["", cell]]


@given(st.text())
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """Letters, digits and words in any language are not touched."""
    plain = f"x{''.join(sign for sign in text if sign.isalnum())}"
    assert spreadsheet_cell(plain) == plain


@pytest.mark.parametrize("code", [0, 10, 27, 0x85, 0x200F, 0x202E, 0x2028, 0x2066, 0x2069, 0xFEFF])
def test_what_would_fool_an_eye_is_written_out(code: int) -> None:
    """Controls, separators and what turns the direction of text around it."""
    assert chr(code) not in visible(f"a{chr(code)}b")
    assert visible(f"a{chr(code)}b").startswith("a\\")


@pytest.mark.fault("X07")
def test_numbers_are_masked_unless_asked_for() -> None:
    """Of callers, and of what somebody wrote into a name; masking twice changes nothing."""
    assert number_shown("+442071838750", plain=False) == "***50" == number_shown("***50", plain=False)
    assert number_shown("+442071838750", plain=True) == "+442071838750"
    assert "7183" not in words_shown("Support +44 20 7183 8750", plain=False)
    assert words_shown("Support", plain=False) == "Support"


def test_every_text_of_a_record_is_changed_and_nothing_else() -> None:
    """At any depth, names of fields too; numbers stay numbers, and what is no JSON goes by what it prints as."""
    told = {"a": ["b", 1, None, True, {"c": 2.5}], "p": PurePath("d"), "t": ("e",)}
    changed = {"A": ["B", 1, None, True, {"C": 2.5}], "P": "D", "T": ["E"]}
    assert each_text(told, str.upper) == changed
