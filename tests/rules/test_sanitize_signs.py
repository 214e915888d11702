"""Each sign that is written out, and its neighbours that are not."""

from __future__ import annotations

import pytest

from wxrec_async.rules.sanitize import spreadsheet_cell, visible

WRITTEN_OUT = {
    *range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF,
}  # fmt: skip


def test_exactly_the_dangerous_signs_are_written_out() -> None:
    """Of all there are: controls, separators of lines, and what turns the direction of text."""
    assert {code for code in range(0x11000) if visible(chr(code)) != chr(code)} == WRITTEN_OUT


def test_with_lines_their_ends_and_tabs_stay() -> None:
    """And only those."""
    assert {code for code in range(0x11000) if visible(chr(code), lines=True) != chr(code)} == WRITTEN_OUT - {9, 10}


@pytest.mark.parametrize(
    ("sign", "written"), [("\x00", "\\x00"), ("\x1b", "\\x1b"), ("\x9f", "\\x9f"), ("\u202e", "\\u202e")]
)
def test_a_sign_is_written_as_python_writes_it(sign: str, written: str) -> None:
    """Two digits or four."""
    assert visible(sign) == written


@pytest.mark.parametrize("sign", list("=+-@＝＋－＠"))
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000", "'", '"', " '\""])
def test_each_beginning_of_a_formula_is_defused(sign: str, before: str) -> None:
    """However it is hidden; the text behind the apostrophe stays."""
    assert spreadsheet_cell(f"{before}{sign}1") == f"'{before}{sign}1"


@pytest.mark.parametrize("text", ["X1", "1=1", "a-b", "X", "XX=1", "X=1", ""])
def test_what_begins_otherwise_stays(text: str) -> None:
    """A letter in front is enough."""
    assert spreadsheet_cell(text) == text


def test_a_blank_beside_a_control_stays_a_blank() -> None:
    """Only what cannot be seen is written out."""
    assert visible("a b\x00 ~\x1f") == "a b\\x00 ~\\x1f"
