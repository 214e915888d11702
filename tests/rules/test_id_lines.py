"""Ids as spreadsheets, editors and mail leave them: asked for under their own name, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.id_lines import Unreadable, read_line

UUID = "550e8400-e29b-41d4-a716-44665544000a"


@pytest.mark.parametrize(
    "line",
    [
        UUID, UUID.upper(), f"\ufeff{UUID}\r\n", f'"{UUID}"', f"'{UUID}'", f"\u201c{UUID}\u201d", f"{UUID}\u200b",
        f"\u200e{UUID}\u00a0", f"{UUID},", f"{UUID};;;", f"\t{UUID}\t", f'\ufeff"{UUID}",', f'" {UUID} "',
        f"{{{UUID}}}", f"urn:uuid:{UUID}", UUID.replace("-", "\u2011"), UUID.replace("-", "\u2013"),
        f"{UUID[:9]}\u00ad{UUID[9:]}",
    ],
)  # fmt: skip
def test_what_is_around_an_id_is_no_part_of_it(line: str) -> None:
    """Marks, quotes, invisible signs, separators, and the spelling of a UUID."""
    assert read_line(line) == UUID


@pytest.mark.parametrize(
    "line", ["", "  \r\n", "# a comment", "\ufeff", "taskId", '"Task ID"', "\ufeffContact_ID", "id,", '""']
)
def test_lines_without_an_id_are_passed_over(line: str) -> None:
    """Blank, a comment, or a heading, also that of a second file put behind the first."""
    assert read_line(line) == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{UUID},2026-01-01", "more than one column"), (f"{UUID}\t5", "more than one column"),
        (f"{UUID} {UUID}", "blanks"), (f"{UUID}\r{UUID}", "blanks"), (f'{UUID}"x', "quote"), ("a\x07b", "printed"),
        ("a\x00b", "printed"), ("a\ufffdb", "printed"), ("x" * 1025, "longer"), (";;", "no id"),
    ],
)  # fmt: skip
def test_what_could_mean_something_else_is_refused(line: str, words: str) -> None:
    """Never asked for under another name."""
    with pytest.raises(Unreadable, match=words):
        read_line(line)


@pytest.mark.parametrize("line", ["load-bulk-api-Contact-1", "ABC-def", "a/b+c=", "call@host"])
def test_other_ids_are_opaque(line: str) -> None:
    """Not even their case is touched."""
    assert read_line(line) == line


@given(st.text(max_size=30))
def test_reading_twice_changes_nothing(line: str) -> None:
    """What came out clean is clean."""
    try:
        once = read_line(line)
    except Unreadable:
        return
    assert read_line(once) == once
