"""What Webex said in fields that no column of ours has: kept whole, within bounds, without secrets.

Numbers and addresses in it go through the same ``mask`` as those in columns of
their own; of a URL only host and path stay, whatever the setting.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from wxrec_async.rules.ids import is_uuid
from wxrec_async.rules.redact import MAX_PASSES, bare_urls, mask_people, mask_secrets

Mask = Callable[[str], str]

# A page of tasks has a thousand of these, and what is kept of each waits in memory for its turn.
MOST_CHARS = 16_384
MOST_DEPTH = 16
CUT = "(cut)"
# The signed URL of a recording, under whatever it may lie.
NEVER_KEPT = "filePath"
# What these name is a number or an address even where it does not look like one, as an extension does not.
_OF_PEOPLE = frozenset(
    ("ani", "dnis", "origin", "destination", "phone", "caller", "callee", "msisdn", "number", "address", "email",
     "mail", "sip", "mobile", "tel")
)  # fmt: skip
# And what these name is none, even where it looks like one.
_OF_THINGS = frozenset(
    ("time", "ms", "date", "created", "updated", "ended", "bytes", "size", "duration", "count", "total", "length")
)
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
# What most such texts are: a word, the name of a file.  Nothing that is masked can look like this.
_QUIET = re.compile(r"[A-Za-z]{1,40}(?:\.[a-z0-9]{2,4})?", re.ASCII)
_NUMBER = re.compile(r"\+?\(?\d[\d ().\-/]{5,40}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d|1\d{12}$", re.ASCII)  # a date, or milliseconds until 2033
_FEWEST_DIGITS, _SURE_DIGITS = 7, 10


def kept(fields: Mapping[str, object]) -> str:
    """Return the fields as one JSON object of at most `MOST_CHARS` ASCII characters, "" when there are none.

    A field that is too long, or nested too deep, is there with the word that it
    was cut; how many did not even find room for that is said under ``(cut)``.
    """
    if not fields:
        return ""
    written = sorted((_written(name, value) for name, value in fields.items() if name != NEVER_KEPT), key=_length)
    room, found = MOST_CHARS - 40, {}  # the end below needs its place, too
    for name, whole, cut in written:
        piece = whole if len(_json(name)) + len(whole) + 2 <= room else cut
        if (length := len(_json(name)) + len(piece) + 2) <= room:
            room -= length
            found[name] = piece
    if left_out := len(written) - len(found):
        found[CUT] = _json(f"{left_out} fields")
    return "{" + ",".join(f"{_json(name)}:{found[name]}" for name in sorted(found)) + "}" if found else ""


def kept_texts(texts: Sequence[str], mask: Mask) -> str | None:
    """Return texts as one JSON list within the same bounds, None when there are none."""
    if not texts:
        return None
    found: list[str] = []
    room = MOST_CHARS - 40
    for text in texts:
        room -= 6 * len(text) + 3  # as long as JSON may make it
        if room < 0:
            found.append(f"{CUT} {len(texts) - len(found)} more")
            break
        found.append(harmless(text, mask))
    return json.dumps(found, separators=(",", ":"))


def masked(said: str, mask: Mask) -> str:
    """Return what `kept` wrote with its numbers and addresses as ``mask`` has them."""
    return _json(_cleaned("", json.loads(said), mask, MOST_DEPTH + 1)) if said else said


def read(said: str | None) -> dict[str, object]:
    """Return the fields of what was kept; none of what is no JSON object."""
    try:
        found = json.loads(said or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def harmless(text: str, mask: Mask, name: str = "") -> str:
    """Return a text of Webex's without secrets, numbers and addresses in it as ``mask`` has them.

    ``name`` is that of the field, which may tell that it is a number.
    """
    if _QUIET.fullmatch(text) or is_uuid(text):
        return text
    for _ in range(MAX_PASSES):
        before, text = text, mask_secrets(bare_urls(text))
        if text == before:
            break
    return mask(text) if _is_number(text, name) else mask_people(text, mask)


def _is_number(text: str, name: str) -> bool:
    """Say whether a whole text is a phone number or, by the name of its field, whatever reaches somebody."""
    pieces = _pieces(name)
    if pieces & _OF_THINGS or _MOMENT.match(text):
        return False
    if pieces & _OF_PEOPLE and re.search(r"[\d@]", text):
        return True
    return bool(_NUMBER.fullmatch(text.strip())) and sum(map(str.isdigit, text)) >= _FEWEST_DIGITS


def _pieces(name: str) -> set[str]:
    return {piece.lower() for piece in _PIECE.findall(name[:100])}


def _written(name: str, value: object) -> tuple[str, str, str]:
    """Return a field's name, its value as JSON, and what stands for the value when there is no room for it."""
    try:
        length = len(json.dumps(value))
    except RecursionError:
        length = MOST_CHARS + 1
    cut = _json(f"{CUT} {length} characters" if length > MOST_CHARS else CUT)
    # Looked at only when it may be kept: what is megabytes long would take its time.
    whole = cut if length > MOST_CHARS else _json(_cleaned(name, value, str, MOST_DEPTH))
    key = name if len(name) <= MOST_CHARS else f"{CUT} {len(name)} characters"
    return harmless(key, str), whole, cut


def _length(written: tuple[str, str, str]) -> tuple[int, str]:
    return len(_json(written[0])) + len(written[1]), written[0]


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _cleaned(name: str, value: object, mask: Mask, depth: int) -> object:
    """Return a value of JSON without secrets, numbers and addresses in it masked."""
    match value:
        case str():
            return harmless(value, mask, name)
        case dict() | list() if not depth:
            return f"{CUT} nested deeper than {MOST_DEPTH}"
        case dict():
            return _fields(value, mask, depth - 1)
        case list():
            return [_cleaned(name, item, mask, depth - 1) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case int() if not isinstance(value, bool):
            return _whole_number(name, value, mask)
        case _:
            return value


def _fields(value: dict[str, object], mask: Mask, depth: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, inner in value.items():
        if name == NEVER_KEPT:
            continue
        shown = harmless(name, mask)
        # Two names may be alike once they are masked: both are kept.
        while shown in found:
            shown += "'"
        found[shown] = _cleaned(name, inner, mask, depth)
    return found


def _whole_number(name: str, value: int, mask: Mask) -> int | str:
    """A phone number may come as a number; one that measures something is none."""
    text, pieces = str(value), _pieces(name)
    fewest = _FEWEST_DIGITS if pieces & _OF_PEOPLE else _SURE_DIGITS
    if len(text) < fewest or pieces & _OF_THINGS or _MOMENT.match(text):
        return value
    shown = mask(text)
    return value if shown == text else shown
