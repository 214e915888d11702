"""What never leaves the process: tokens, signatures, signed URLs, phone numbers, e-mail addresses.

Every function is idempotent: redacting twice changes nothing more.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

MASK = "***"
NAMES = (
    "access_token|refresh_token|client_secret|code_verifier|authorization|set-cookie|cookie|password|secret|"
    "secretstring|x-amz-signature|x-amz-security-token|x-amz-credential|x-amz-checksum-[a-z0-9]+|signature|sig|"
    "awsaccesskeyid|aws_secret_access_key|aws_session_token|x-api-token|code|state|token"
)

_URL = re.compile(r"\b(?:https?|wss?)://[^\s\"'<>\\]+", re.IGNORECASE)
_QUERY = re.compile(r"(?<![\w%])/[^\s\"'<>?]*\?[^\s\"'<>]+=[^\s\"'<>]*")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{4,}", re.IGNORECASE)
_NAMED = re.compile(
    rf"""(?P<name>["']?\b(?:{NAMES})\b["']?\s*[:=]\s*)(?P<quote>["']?)(?!\*\*\*)(?P<value>[^\s"',;&}})\]]+)""",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"\b[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+\b")
_PHONE = re.compile(r"(?<![\w.:\-])\+\d(?:[ ().\-]?\d){6,14}(?!\w)|(?<![\w.:\-+])(?:tel|sip|sips):\S+", re.IGNORECASE)
_WX_TOKEN = re.compile(
    r"\b[A-Za-z0-9_\-]{40,}_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_JWT = re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]+\.[\w\-]*")


def redact_url(url: str) -> str:
    """Keep scheme, host and a short hash of the path: enough to tell two URLs apart, nothing to fetch with."""
    try:
        pieces = urlsplit(url)
        host, port = pieces.hostname or "?", pieces.port
    except ValueError:
        return MASK
    if not pieces.query and not pieces.username and pieces.path.count("/") <= 3 and len(pieces.path) < 80:
        return url
    digest = hashlib.sha256(pieces.path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{pieces.scheme}://{host}{f':{port}' if port else ''}/~{digest}"


def redact_text(text: str) -> str:
    """Mask whatever in ``text`` looks like a secret, a signed URL, a phone number or an e-mail address."""
    text = _URL.sub(lambda match: redact_url(match.group()), text)
    text = _QUERY.sub("/" + MASK, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _WX_TOKEN.sub(MASK, text)
    text = _NAMED.sub(rf"\g<name>\g<quote>{MASK}", text)
    text = _EMAIL.sub(MASK, text)
    return _PHONE.sub(MASK, text)


def mask_number(value: str) -> str:
    """Mask a phone number or address for the ledger, keeping its length's order and the last two signs."""
    if not value or value.startswith(MASK):
        return value
    return MASK + value[-2:] if len(value) > 4 else MASK
