"""Loose values of a JSON answer, made into ours or into None; never an exception.

Older and newer replies disagree on types (numbers as text, times as ISO 8601,
flags as words), and fields come and go without notice.
"""

from __future__ import annotations

from datetime import UTC, datetime

from wxrec_async.rules.ids import canonical

MAX_ID_CHARS = 1024
MAX_TEXT_CHARS = 4096
FIRST_MS = 100_000_000_000  # 1973: anything smaller is a time in seconds, or not a time
LAST_MS = 253_402_300_799_999  # the end of year 9999
# Integers of the ledger have 64 bits; eighteen digits always fit.
HUGE = 1 << 63
WORDS = {"true": True, "false": False}


def as_dict(value: object) -> dict[str, object]:
    """Return the object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str | None:
    """Return text without lone surrogates, at most `MAX_TEXT_CHARS` of it; numbers become their digits."""
    if isinstance(value, str):
        if value.isascii() and len(value) <= MAX_TEXT_CHARS:
            return value
        return value[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None if _is_huge(value) else str(value)
    return None


def as_id(value: object) -> str | None:
    """Return an id as opaque text, or None when it is missing, empty, too long or cannot be written as UTF-8."""
    if isinstance(value, int) and not isinstance(value, bool) and not _is_huge(value):
        # An id as a number is one spelling of the same id as text.
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return None
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
    return value


def as_task_id(value: object) -> str | None:
    """Return the id of a task as it is kept: a UUID in lower case."""
    found = as_id(value)
    return None if found is None else canonical(found)


def as_ms(value: object) -> int | None:
    """Return a moment in milliseconds since the epoch, or None when it is not one.

    Takes integers, floats and digits as text (all in milliseconds) and ISO 8601;
    an ISO time without a zone is UTC.
    """
    number = as_count(value)
    if number is None and isinstance(value, str):
        number = _iso_ms(value)
    return number if number is not None and FIRST_MS <= number <= LAST_MS else None


def as_count(value: object) -> int | None:
    """Return a whole number >= 0 given as number or digits, or None."""
    if isinstance(value, str):
        text = value.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            return None
        return int(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_huge(value):
        return None
    return int(value) if value >= 0 else None


def as_flag(value: object) -> bool | None:
    """Return a truth value given as such or as the word, or None."""
    if isinstance(value, str):
        return WORDS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def as_texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list, or none."""
    if not isinstance(value, list):
        return ()
    return tuple(text for item in value if (text := as_text(item)))


def _is_huge(value: float) -> bool:
    return not -HUGE < value < HUGE  # true for not-a-number as well


def _iso_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
