"""Text from outside, made fit to be looked at: what a terminal, a spreadsheet or an eye would be fooled by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wxrec_async.rules.redact import mask_number, redact_text

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Line separators, and what turns the direction of the text around it.
_TURNING = (0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_CONTROLS |= {code: f"\\u{code:04x}" for code in _TURNING}
_CONTROLS_OF_LINES = {code: shown for code, shown in _CONTROLS.items() if code not in (9, 10)}

# A spreadsheet takes these, and their full-width forms, for the beginning of a formula.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = tuple("=+-@＝＋－＠")


def visible(text: str, *, lines: bool = False) -> str:
    """Write control characters out, so that an id from outside cannot forge a line; ``lines`` keeps line ends."""
    if text.isprintable():  # none of them is; and this is a hundredth of the price
        return text
    return text.translate(_CONTROLS_OF_LINES if lines else _CONTROLS)


def each_text(value: object, change: Callable[[str], str]) -> object:
    """Return a value of JSON with every text in it changed, names of fields as well; what is no JSON as its text."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {change(str(name)): each_text(each, change) for name, each in value.items()}
        case list() | tuple():
            return [each_text(each, change) for each in value]
        case _:
            return change(str(value))


def spreadsheet_cell(text: str) -> str:
    """Return a text no spreadsheet executes: a formula stands behind an apostrophe, controls are written out.

    So it is one line, too.  Leading spaces and quotes do not hide a formula: some programs strip them.
    """
    plain = visible(text)
    return f"'{plain}" if plain.lstrip(" \u00a0\u3000'\"").startswith(_FORMULA) else plain


def number_shown(value: str, *, plain: bool) -> str:
    """Return a phone number or address as the ledger has it when ``plain``, else masked (twice changes nothing)."""
    return value if plain else mask_number(value)


def words_shown(value: str, *, plain: bool) -> str:
    """Return free text; unless ``plain``, a number or address somebody wrote into it is masked."""
    return value if plain else redact_text(value)
