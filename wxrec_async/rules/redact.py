"""What never leaves the process: tokens, signatures, signed URLs, phone numbers, e-mail addresses.

Every function is idempotent: redacting twice changes nothing more.  No pattern
begins with a repetition at a place where it could begin again one sign later,
so that a long hostile text costs no more than its length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

MASK = "***"
MAX_PASSES = 6
NAMES = (
    "access_token|refresh_token|id_token|client_secret|code_verifier|password|secret|"
    "secretstring|x-amz-signature|x-amz-security-token|x-amz-credential|x-amz-checksum-[a-z0-9]+|signature|"
    "awsaccesskeyid|aws_secret_access_key|aws_session_token|x-api-token|"
    r"token(?!:\s\d{3}(?![\w.~+/=\-]))"  # "refuses the token: 400" names a status, which support asks for
)
NUMBER_NAMES = "ani|dnis|origin|destination|phone(?:[_ -]?number)?|caller|callee|msisdn"
_END = r"""\\*["']?\s*(?:[:=]|%3D|%3A)\s*"""  # of a name, in JSON, JSON within JSON, a query, a query within a query
_BEGIN = r"(?:(?<![A-Za-z])|(?<=%26)|(?<=%3F)|(?<=u0026))"

# `(?!\*\*\*)` in these: what is masked already does not match again, so that twice is the same as once.
_URL = re.compile(r"""(?:https?|wss?):(?:\\?/){2}(?:[^\s"'<>\\]|\\u00[0-9a-f]{2}|\\/)+""", re.IGNORECASE)
_ESCAPE = re.compile(r"\\u00([0-9a-f]{2})", re.IGNORECASE)
_WORD = re.compile(r"""[^\s"'<>]+""")
_HEADER = re.compile(
    rf"""(?P<name>{_BEGIN}(?:(?:proxy-)?authorization|(?:set-)?cookie){_END}\\*["']?)(?!\*\*\*)[^\s"'\\}}\]][^\n"'\\}}\]]*""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?<![A-Za-z])(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{4,}", re.IGNORECASE)
_NAMED = re.compile(
    rf"""(?P<name>{_BEGIN}(?:{NAMES}){_END})"""
    r"""(?:(?P<escaped>\\+["'])(?!\*\*\*)(?:(?!(?P=escaped))[^\n])+"""
    r"""|(?P<quote>["'])(?!\*\*\*)(?:\\.|(?!(?P=quote))[^\\\n])+"""
    r"""|(?!\*\*\*)[^\s"',;&}\)\]\\]+)""",
    re.IGNORECASE,
)
_FORM = re.compile(r"(?P<name>\b(?:code|state|sig)=)(?!\*\*\*)[^\s\"',;&}\)\]\\]+", re.IGNORECASE)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]+(?:@|%40)[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+", re.IGNORECASE
)
_PLUS = r"\d(?:[ ().\-/]{0,2}\d){6,16}"
_PHONES = (
    re.compile(r"""(?<!\w)(?:tel|sips?):[^\s"'<>]+""", re.IGNORECASE),
    re.compile(r"(?<![\w.\-])(?:\(\d{3}\) ?\d{3}[ .\-]?\d{4}|\d{3}([.\-])\d{3}\1\d{4})+(?![\w\-])"),
    re.compile(rf"(?:(?<!\w)\+|%2B){_PLUS}(?:(?:\+|%2B){_PLUS})*(?!\d)", re.IGNORECASE),
)
_NUMBER = re.compile(
    rf"""(?P<name>{_BEGIN}(?:{NUMBER_NAMES}){_END}\\*["']?)\+?\(?\d[\d ().\-/]{{5,}}(?<=\d)""", re.IGNORECASE
)
_WX_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]{40,}_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE,
)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
# What most fields of a log are: a word of ours, an id, a key, a moment.  No pattern here can match in one of these
# (tests/rules/test_redact.py), and to say so takes a twentieth of the time of trying them all.
_PLAIN = re.compile(rf"[a-z/._-]*(?:(?<!_){_UUID}[a-z/.]*)?|\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_SHORTENED = re.compile(r"/~[0-9a-f]{12}")
_JWT = re.compile(r"(?<![\w\-])eyJ[\w\-]{8,}\.[\w\-]+\.[\w\-]*")


def redact_url(url: str) -> str:
    """Keep scheme, host and a short hash of the path: enough to tell two URLs apart, nothing to fetch with."""
    found = _taken_apart(url)
    if found is None:
        return MASK
    pieces, origin = found
    # A short URL without a query only tells where a request went; `/~` and a hash is what is written below.
    bare = not (pieces.query or pieces.fragment or "@" in pieces.netloc or pieces.path.count("/") > 3)
    if bare and (len(url) < 160 or _SHORTENED.fullmatch(pieces.path)):
        return url
    digest = hashlib.sha256(pieces.path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{origin}/~{digest}"


def _taken_apart(url: str) -> tuple[SplitResult, str] | None:
    """Return a URL's pieces, and its scheme, host and port as text; None when it is none."""
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), url).replace("\\/", "/")
    try:
        pieces = urlsplit(plain)
        host, port = pieces.hostname or "unknown", pieces.port
    except ValueError:
        return None
    return pieces, f"{pieces.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


def redact_text(text: str) -> str:
    """Mask whatever in ``text`` looks like a secret, a signed URL, a phone number or an e-mail address.

    What stood beside something masked may only then stand by itself, so it is
    looked at again until nothing changes.
    """
    if _PLAIN.fullmatch(text):
        return text
    for _ in range(MAX_PASSES):
        before, text = text, _masked(text)
        if text == before:
            break
    return text


def one_line(text: str) -> str:
    """Return ``text`` as one line of signs that can be printed."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())


def _masked(text: str) -> str:
    # Wholes before parts: a URL or a header of which the middle is masked would not be known as one any more.
    return mask_people(mask_secrets(_URL.sub(lambda match: redact_url(match.group()), text)))


def bare_urls(text: str) -> str:
    """Keep of every URL in ``text`` its scheme, host and path: neither user, query nor fragment."""
    return _URL.sub(lambda match: _bare_url(match.group()), text)


def _bare_url(url: str) -> str:
    found = _taken_apart(url)
    return MASK if found is None else f"{found[1]}{found[0].path}"


def mask_secrets(text: str) -> str:
    """Mask what looks like a secret; URLs are looked after before."""
    text = _WORD.sub(lambda match: _without_query(match.group()), text)
    text = _HEADER.sub(rf"\g<name>{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _WX_TOKEN.sub(MASK, text)
    text = _NAMED.sub(lambda match: f"{match['name']}{match['escaped'] or match['quote'] or ''}{MASK}", text)
    return _FORM.sub(rf"\g<name>{MASK}", text)


def mask_people(text: str, mask: Callable[[str], str] = lambda _: MASK) -> str:
    """Have ``mask`` replace every phone number and e-mail address in a text."""
    text = _EMAIL.sub(lambda match: mask(match.group()), text)
    text = _NUMBER.sub(lambda match: match["name"] + mask(match.group()[len(match["name"]) :]), text)
    for phone in _PHONES:
        text = phone.sub(lambda match: mask(match.group()), text)
    return text


def _without_query(word: str) -> str:
    """Cut a request's target, which is a path with a query, down to where the path begins."""
    path, mark, query = word.partition("?")
    if not mark or "=" not in query or "/" not in path:
        return word
    return path[: path.index("/") + 1] + MASK


def mask_number(value: str) -> str:
    """Mask a phone number or address for the ledger, keeping its length's order and the last two signs."""
    if not value or value.startswith(MASK):
        return value
    # Of an extension two digits would be half.
    return MASK + value[-2:] if len(value) > 4 else MASK
