"""A secret that was sent does not come back in the words of an answer, however it is written there."""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.redact import MASK
from wxrec_async.rules.sent_secrets import secret_of_header, secrets_of_url, without_secrets

SIGNATURE = "3f9a0c5e7b1d2486" * 4
TOKEN = "IQoJb3JpZ2luX2VjEJ//////////wEaCXVz+LWVhc3Qt/MSJHMEUCIQ=="
URL = (
    f"https://m.example/rec/a.wav?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAPLANTED00001%2F20260131"
    f"%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260131T000000Z&X-Amz-Security-Token={quote(TOKEN, safe='')}"
    f"&X-Amz-Signature={SIGNATURE}"
)
SECRETS = secrets_of_url(URL)


def every(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form % ord(sign) for sign in text)


WRITINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "all in percent": every("%%%02x"),
    "all in percent, capitals": every("%%%02X"),
    "entities": every("&#%d;"),
    "entities, hexadecimal": every("&#x%X;"),
    "html": html.escape,
    "json": json.dumps,
    "slashes escaped": lambda text: text.replace("/", "\\/"),
    "slashes reversed": lambda text: text.replace("/", "\\"),
    "escapes": every("\\u%04x"),
    "escapes, short": every("\\x%02x"),
    "octal": every("\\%03o"),
    "quoted-printable": every("=%02X"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, wrapped": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64, of a url, shifted": lambda text: base64.urlsafe_b64encode(b"xy" + text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, capitals": lambda text: text.encode().hex().upper(),
    "dump": lambda text: text.encode().hex(" "),
    "capitals": str.upper,
    "wrapped": lambda text: "\n  ".join(text[at : at + 20] for at in range(0, len(text), 20)),
    "plus for space": lambda text: text.replace("+", " "),
}
ENCODINGS = [WRITINGS[name] for name in ("percent", "entities", "html", "json", "escapes", "base64", "hexadecimal")]


def test_of_a_url_only_what_lets_somebody_fetch_is_secret() -> None:
    """Signature, token and key, undone; not the day, the region and the algorithm, of which refusals speak."""
    assert SECRETS == ["AKIAPLANTED00001", TOKEN, SIGNATURE]
    assert secrets_of_url("https://[") == ["https://["]
    words = "Credential should be scoped to us-east-1/s3/aws4_request of 20260131, AWS4-HMAC-SHA256"
    assert without_secrets(words, SECRETS) == words


@pytest.mark.fault("X14")
@pytest.mark.parametrize("writing", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize("secret", [SIGNATURE, TOKEN, URL], ids=["signature", "token", "url"])
def test_every_writing_of_a_secret_is_masked(writing: Callable[[str], str], secret: str) -> None:
    """Also in the middle of a sentence; what is left of the sentence has no run of the secret in any writing."""
    masked = without_secrets(f"Blocked by policy: {writing(secret)}", SECRETS)
    assert MASK in masked
    assert without_secrets(masked, SECRETS) == masked


@given(st.lists(st.sampled_from(ENCODINGS[:5]), max_size=4), st.sampled_from([*ENCODINGS, str]))
def test_writings_within_writings_are_undone(outer: list[Callable[[str], str]], inner: Callable[[str], str]) -> None:
    """Any of them, up to five deep."""
    written = inner(SIGNATURE)
    for writing in outer:
        written = writing(written) if len(written) < 1500 else quote(written, safe="")
    assert without_secrets(f"Blocked: {written}", SECRETS) != f"Blocked: {written}"


def test_a_part_of_a_secret_is_one() -> None:
    """Sixteen signs in a row give it away; the words of a server may be cut."""
    assert without_secrets(f"was {SIGNATURE[9:25]}", SECRETS) == MASK
    assert without_secrets(f"was {SIGNATURE[9:24]}.", SECRETS) == f"was {SIGNATURE[9:24]}."


def test_a_secret_as_it_is_goes_alone() -> None:
    """The words around it stay: they are why the answer is shown."""
    assert without_secrets(f"key {SIGNATURE} is bad", SECRETS) == f"key {MASK} is bad"


@pytest.mark.parametrize("words", ["", "Request has expired", "Access Denied", "The specified key does not exist."])
def test_other_words_stay(words: str) -> None:
    """And so do all words where nothing secret was sent, or something too short to be one."""
    assert without_secrets(words, SECRETS) == words
    assert without_secrets(words, ["", "expired"]) == words


def test_a_webex_token_is_secret_without_its_organisation() -> None:
    """Its last part is the organisation's id, which refusals name."""
    organisation = "0f3c1b2a-0000-4000-8000-123456789abc"
    secret = secret_of_header(f"Bearer NjA0ZmI5Yjct_PF84_{organisation}")
    assert secret == "NjA0ZmI5Yjct_PF84"
    assert without_secrets(f"no access to {organisation}", [secret]) == f"no access to {organisation}"
    assert secret_of_header("") == ""


@pytest.mark.parametrize(
    "text", ["%25" * 6000, "&amp;" * 4000, "\\u0041" * 3000, "A" * 20_000, "\\" * 20_000, "f" * 20_000, "&" * 20_000]
)
def test_hostile_words_cost_little(text: str) -> None:
    """A few hundred milliseconds for 16 KiB of anything, and what is behind them is left out."""
    begun = time.process_time()
    assert len(without_secrets(text, SECRETS)) <= 16_384
    assert time.process_time() - begun < 2.0
