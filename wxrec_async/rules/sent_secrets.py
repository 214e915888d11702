"""Secrets by their exact value: whoever sent a secret knows it, and it does not come back in the words of an answer.

`redact` masks what looks like a secret; a proxy may write one so that nothing
looks like it any more: percent-encoded twice, in JSON within HTML, in base64,
cut off.  Here the words are undone step by step, and what is looked for is any
sixteen signs in a row of the secret.  Lengths are bounded, so is the time.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, unquote_plus, urlsplit

from wxrec_async.rules.redact import MASK

SHORTEST = 8
ENOUGH = 16  # signs of a secret that give it away
MAX_TEXT = 16_384
MAX_ROUNDS = 12
NO_SECRETS = ("x-amz-algorithm", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-id", "versionid")

_BACKSLASH = re.compile(r"\\(?:u\{?([0-9a-fA-F]{2,6})\}?|x([0-9a-fA-F]{2})|([0-7]{3}))")
_QUOTED = re.compile(r"=([0-9A-F]{2})")  # quoted-printable
_NOT_ALNUM = re.compile(r"[^0-9A-Za-z]+")
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{11,}")
_HEX = re.compile(r"[0-9a-f]{16,}")
_ORGANISATION = re.compile(r"_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


def secrets_of_url(url: str) -> list[str]:
    """Return what of a pre-signed URL must not be seen: the values of its query but those that everybody knows."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return [url]
    pairs = [piece.partition("=") for piece in query.split("&")]
    return [_of_parameter(name.lower(), value) for name, _, value in pairs if name.lower() not in NO_SECRETS]


def _of_parameter(name: str, value: str) -> str:
    """Return the value; of a credential the key alone: the rest names day, region and service."""
    clear = unquote(value)
    return clear.partition("/")[0] if name == "x-amz-credential" else clear


def secret_of_header(authorization: str) -> str:
    """Return the secret in an Authorization header; a Webex token ends with the organisation's id, which is none."""
    return _ORGANISATION.sub("", authorization.rpartition(" ")[2])


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """Mask ``secrets`` in ``text``, however they are written there.

    Where one shows only after something was undone, its place cannot be told:
    then all of the text is masked.  What is shorter than eight signs is no secret.
    """
    known = [secret for secret in secrets if len(secret) >= SHORTEST]
    if not text or not known:
        return text
    text = text[:MAX_TEXT]
    # The longest first: a secret within another would leave the rest of that one standing.
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    marks = {mark for secret in known for mark in _marks(secret)}
    lengths = {len(mark) for mark in marks}
    return MASK if any(_shows(form, marks, lengths) for form in _forms(text)) else text


def _marks(secret: str) -> Iterator[str]:
    """Yield every run of the secret that gives it away, as `_squeezed` writes it."""
    plain = _squeezed(secret)
    if len(plain) >= SHORTEST:
        length = min(len(plain), ENOUGH)
        yield from (plain[at : at + length] for at in range(len(plain) - length + 1))


def _shows(text: str, marks: set[str], lengths: set[int]) -> bool:
    plain = _squeezed(text)
    return any(plain[at : at + length] in marks for length in lengths for at in range(len(plain) - length + 1))


def _squeezed(text: str) -> str:
    """Keep letters and digits in lower case: signs between them are what escaping and wrapping play with."""
    return _NOT_ALNUM.sub("", text).lower()


def _forms(text: str) -> Iterator[str]:
    """Yield the text and whatever it becomes as one writing after the other is undone."""
    for _ in range(MAX_ROUNDS):
        yield text
        yield from _packed(text)
        before, text = text, _undone(text)
        if text == before:
            return
    yield text


def _undone(text: str) -> str:
    text = _BACKSLASH.sub(_sign, html.unescape(unquote_plus(text, errors="replace")))
    return _QUOTED.sub(lambda match: chr(int(match[1], 16)), text)


def _sign(match: re.Match[str]) -> str:
    code = int(match[1] or match[2], 16) if match[1] or match[2] else int(match[3], 8)
    return chr(code) if code < 0x110000 else ""


def _packed(text: str) -> Iterator[str]:
    """Yield what lies in base64 and in hexadecimal digits, wherever it begins."""
    unwrapped = "".join(text.split())
    for run in _BASE64.findall(unwrapped):
        alike = run.replace("-", "+").replace("_", "/")
        yield from (_of_base64(alike[at:]) for at in range(4))
    for run in _HEX.findall(_squeezed(text)):
        yield from (bytes.fromhex(run[at : at + (len(run) - at) // 2 * 2]).decode("latin-1") for at in range(2))


def _of_base64(run: str) -> str:
    try:
        clear = base64.b64decode(run[: len(run) // 4 * 4])
    except (binascii.Error, ValueError):  # pragma: no cover - the signs are those of base64, the length fits
        return ""
    return _undone(clear.decode("latin-1"))
