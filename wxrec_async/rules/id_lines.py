"""One line of a list of ids, as spreadsheets, editors and mail leave it: cleaned, or refused in words.

Taken off is what cannot be part of an id: byte order marks, zero-width and other
invisible signs, blanks, quotes and separators around it.  What could be read in
two ways is refused, for an id that is asked for under another name is answered
with nothing at all.
"""

from __future__ import annotations

import unicodedata

from wxrec_async.rules.ids import canonical, is_uuid

SEPARATORS = ",;\t|"
QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019", "\u00ab": "\u00bb"}
INVISIBLE = frozenset({"Cf", "Co", "Cn"})  # formats such as U+FEFF and U+200B, private and unassigned signs
HEADINGS = frozenset(
    {"id", "ids", "taskid", "taskids", "task", "tasks", "contactid", "contactids", "interactionid", "sessionid"}
    | {"contactsessionid", "uniqueid", "callid", "uuid", "guid"}
)
# As `webex.lenient.MAX_ID_CHARS`: an answer could not name a longer one.
MAX_CHARS = 1024


class Unreadable(ValueError):
    """Why a line is no id; the message is one clause."""


def read_line(line: str) -> str:
    """Return the id of a line as it is kept; "" when it has none (blank, a comment, or a heading).

    Raises `Unreadable`.
    """
    text = _trimmed(line)
    if not text or text.startswith("#"):
        return ""
    fields = [field for field in map(_trimmed, _split(text)) if field]
    # `all` of nothing is true: a line of separators alone is no heading, and is refused below.
    if all(map(_is_heading, fields)) and fields:
        return ""
    if not fields:
        raise Unreadable("holds separators and no id")
    if len(fields) > 1:
        raise Unreadable("holds more than one column: leave the one with the ids")
    return canonical(_plain_uuid(_checked(fields[0])))


def _trimmed(text: str) -> str:
    """Take off what nobody sees, then blanks, then one pair of quotes around the whole."""
    seen = text if text.isascii() else "".join(each for each in text if unicodedata.category(each) not in INVISIBLE)
    seen = seen.strip()
    if len(seen) > 1 and QUOTES.get(seen[0]) == seen[-1]:
        seen = seen[1:-1].strip()
    return seen


def _split(text: str) -> list[str]:
    for separator in SEPARATORS[1:]:
        text = text.replace(separator, SEPARATORS[0])
    return text.split(SEPARATORS[0])


def _is_heading(text: str) -> bool:
    return "".join(sign for sign in text.lower() if sign.isalnum()) in HEADINGS


def _checked(text: str) -> str:
    if len(text) > MAX_CHARS:
        raise Unreadable(f"is longer than {MAX_CHARS} signs")
    if any(sign.isspace() for sign in text):
        raise Unreadable("has blanks within the id: one id a line")
    # U+FFFD: the file was read in another encoding than it was written in.
    if not text.isprintable() or "\ufffd" in text:
        raise Unreadable("has signs that cannot be printed within the id")
    # Only behind a quote or separator can it come this far; written back into a list it would be a comment.
    if text.startswith("#"):
        raise Unreadable("begins with #, which makes it a comment")
    if any(sign in pair for pair in QUOTES.items() for sign in text):
        raise Unreadable("has a quote within the id")
    return text


def _plain_uuid(text: str) -> str:
    """Return a UUID that a word processor has beautified, or that is written as a URN or in braces, as it is."""
    bare = "".join("-" if unicodedata.category(sign) == "Pd" else sign for sign in text)
    bare = bare.strip("{}").removeprefix("urn:uuid:")
    return bare if is_uuid(bare) else text
