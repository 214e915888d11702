"""What never leaves the process, and what must stay readable."""

from __future__ import annotations

import hashlib
import json
import string
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.rules import redact
from wxrec_async.rules.redact import MASK, mask_number, one_line, redact_text, redact_url

SIGNED = (
    "https://recordings.s3.us-east-1.amazonaws.com/org/2026/01/31/call/part.wav?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260131%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260131T080000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=FQoGZXIvYXdzEPT"
    "&X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)
TOKEN = "NmE0" + "Zk9w" * 14 + "_PF84_1eb65fdf-9643-417f-9974-ad72cae0e10f"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
WRAPPINGS = (
    "{}",
    "GET {} failed",
    'url="{}"',
    "<{}>",
    "({})",
    "[{}]",
    "{{'url': '{}'}}",
    "x={};",
    "{}\nnext line",
    "{}, and more",
    "Cause: {}.",
)
values = st.text(string.ascii_letters + string.digits + "-_.~", min_size=6, max_size=40)


def shared(text: str, secret: str, size: int = 6) -> str | None:
    """The first piece of ``secret`` of ``size`` signs that ``text`` still has."""
    return next(
        (secret[at : at + size] for at in range(len(secret) - size + 1) if secret[at : at + size] in text), None
    )


@pytest.mark.fault("X03")
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("form", ["plain", "amp", "json", "slashes", "upper", "no scheme", "target", "nested"])
def test_no_value_of_a_signed_url_survives(wrapping: str, form: str) -> None:
    """However it was written down: in HTML, in JSON, without its scheme, within another URL."""
    shown = {
        "plain": SIGNED,
        "amp": SIGNED.replace("&", "&amp;"),
        "json": SIGNED.replace("&", "\\u0026"),
        "slashes": SIGNED.replace("/", "\\/"),
        "upper": SIGNED.replace("https", "HTTPS"),
        "no scheme": SIGNED.removeprefix("https://"),
        "target": SIGNED.partition("amazonaws.com")[2],
        "nested": "https://login.test/go?to=" + quote(SIGNED, safe=""),
    }[form]
    redacted = redact_text(wrapping.format(shown))
    for secret in ("AKIAIOSFODNN7EXAMPLE", "FQoGZXIvYXdzEPT", SIGNED.rpartition("=")[2], "20260131T080000Z"):
        assert shared(redacted, secret) is None
    assert redact_text(redacted) == redacted


@pytest.mark.fault("X03")
@settings(max_examples=200)
@given(
    st.sampled_from(["https", "http", "wss"]),
    st.sampled_from(["api.test", "127.0.0.1:8080", "[::1]:9000", "user:passw0rd1@host.test"]),
    st.lists(values, max_size=5),
    st.dictionaries(values, values, min_size=1, max_size=4),
    st.sampled_from(WRAPPINGS),
)
def test_no_query_value_survives(scheme: str, host: str, path: list[str], query: dict[str, str], wrapping: str) -> None:
    """No six signs of any value, nor of a password in the URL; and the host stays, to know whom it was about."""
    text = redact_text(wrapping.format(f"{scheme}://{host}/{'/'.join(path)}?{urlencode(query)}"))
    rest = text.partition("/~")[0] + text.partition("/~")[2][12:]
    for value in query.values():
        assert shared(rest, value) is None
    assert "passw0rd1" not in text
    assert redact_text(text) == text


def test_a_url_with_an_endless_host_is_shortened_once() -> None:
    """What is left of it is as long as before, and stays as it is."""
    once = redact_url(f"https://{'h' * 200}/a/b/c/d/e")
    assert once.startswith(f"https://{'h' * 200}/~")
    assert redact_url(once) == once
    assert redact_url(f"{once}-and-more").endswith(
        "/~" + hashlib.sha256(f"{once[208:]}-and-more".encode()).hexdigest()[:12]
    )


def test_two_urls_can_still_be_told_apart() -> None:
    """Scheme, host, port and a hash of the path: enough to follow one recording through a log."""
    assert redact_url("https://h.test:8443/a/b?x=1") == redact_url("https://h.test:8443/a/b?x=2")
    assert redact_url("https://h.test/a/b?x=1") != redact_url("https://h.test/a/c?x=1")
    assert redact_url("https://h.test:8443/a/b?x=1").startswith("https://h.test:8443/~")
    assert redact_url("http://[::1]:9000/a?x=1").startswith("http://[::1]:9000/~")
    assert redact_url("https://[bad/x?y=1") == MASK
    assert redact_url("https://h.test:99999999/x?y=1") == MASK


@pytest.mark.fault("X07")
@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"authorization={TOKEN}",
        f'{{"Authorization": "Bearer {TOKEN}"}}',
        f"refused {TOKEN} again",
        f'{{"access_token": "{TOKEN}", "expires_in": 5}}',
        f"access_token={TOKEN}&x=1",
        f"{{'refresh_token': '{TOKEN}'}}",
        f'"{{\\"access_token\\": \\"{TOKEN}\\"}}"',
        f"my_client_secret = {TOKEN}",
        f"https://app.test/callback#access_token={TOKEN}",
        f"Cookie: a=1; session={TOKEN}",
        f"id_token: {TOKEN}",
        f"Proxy-Authorization: Basic {TOKEN}",
        f"POST body client_secret={TOKEN}&grant_type=refresh_token",
        f"?access_token%3D{TOKEN}%26x",
        f"set-cookie: sid={TOKEN}; path=/; token2={TOKEN}",
    ],
)
def test_no_token_survives(text: str) -> None:
    """By its shape, or by the name before it."""
    redacted = redact_text(text)
    assert shared(redacted, TOKEN) is None
    assert MASK in redacted or "/~" in redacted
    assert redact_text(redacted) == redacted


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('{"client_secret": "two words and more"}', "words and more"),
        ('{"password": "with \\" a quote"}', " a quote"),
        ("secret='it is \"here\" inside'", "inside"),
        (f"the id token {JWT} expired", JWT),
        ("GET /cb?code=abcdef123456&state=fedcba654321", "abcdef123456"),
        ("code=abcdef123456&state=fedcba654321", "fedcba654321"),
    ],
)
def test_no_secret_survives_its_quoting(text: str, secret: str) -> None:
    """A space or a quote within it does not end a secret."""
    assert shared(redact_text(text), secret) is None


@pytest.mark.fault("X07")
@pytest.mark.parametrize(
    "shown",
    [
        "+15550100123",
        "+1 555 010 0123",
        "+1 (555) 010-0123",
        "+1-555-010-0123",
        "+1.555.010.0123",
        "(555) 010-0123",
        "555-010-0123",
        "tel:+15550100123",
        "tel:15550100123",
        "sip:15550100123@example.com",
        "%2B15550100123",
        "+49 (0) 30 901820",
        "a.person@example.com",
        "A.Person+x@mail.example.co.uk",
        "a.person%40example.com",
        "sips:a.person@example.com",
    ],
)
@pytest.mark.parametrize(
    "wrapping", ["{}", "origin:{}", '"origin": "{}"', "from {} to x", "({})", "x={},", "origin:{};", "<{}>", "{}."]
)
def test_no_number_and_no_address_survives(shown: str, wrapping: str) -> None:
    """E.164 and the ways people write it, e-mail, SIP."""
    redacted = redact_text(wrapping.format(shown))
    assert shared(redacted, shown) is None
    assert redact_text(redacted) == redacted


@pytest.mark.fault("X07")
@given(
    st.integers(10**7, 10**15 - 1).map(str), st.sampled_from(["ani", "DNIS", "origin", "destination", "phone_number"])
)
def test_bare_digits_are_masked_where_their_name_says_what_they_are(number: str, name: str) -> None:
    """Without a plus sign a number looks like a size or a time; after such a name it does not."""
    for text in (f"{name}={number}", f'{{"{name}": "{number}"}}', f"{name}: +{number} x"):
        assert shared(redact_text(text), number) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00:00+01:00 window 2026-01-31T00:00:00Z/2026-02-01T00:00:00Z listed, 12345 rows",
        "call-detail/0a1b2c3d-1111-2222-3333-444455556666/recording.wav",
        "call-detail/0a1b2c3d-1111-2222-3333-444455556666/recording-11112222-3333-4444-5555-666677778888.wav",
        "0a1b2c3d-1111-2222-3333-444455556666",
        "11111111-2222-3333-4444-555555555555",
        "listening on 127.0.0.1:8080 and [::1]:9000",
        "https://api.wxcc-us1.cisco.com/v1/tasks answered 429 (trackingid ROUTER_64F1D1B2-01BB-007A-03CE-7A2D01BB007A)",
        "recordings.s3.ap-southeast-1.amazonaws.com did not answer in time",
        "1767225600000 ms, 1,234,567,890 bytes, 104857600 bytes, 3.5 MiB/s, 12:34:56, 99.9 %",
        "s3://your-bucket-name/call-detail/x/recording.wav",
        "state: stored, exit code 3, status_code=503, reason=url_keeps_expiring",
        '{"event": "summary", "schema": 1, "stored": 500, "bytes": 123456789012, "exit_code": 0}',
        "etag 5d41402abc4b2a76b9719d911017c592-12 crc32 AAAAAA== size 10485760",
        "wxrec-async 0.1.0 on Python 3.11.7 (aiohttp 3.13.2)",
        "the token expires in 299 s; refreshed; tokens.json saved",
        "/home/user/wxrec.db is in use by pid 12345",
        "[backfill] concurrency (from WXREC_BACKFILL__CONCURRENCY): Input should be less than or equal to 1024",
        "answered 503 SlowDown Please reduce your request rate.",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    """A log that says *** everywhere helps nobody."""
    assert redact_text(text) == text


@settings(max_examples=500)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(
                [
                    SIGNED,
                    TOKEN,
                    JWT,
                    MASK,
                    "+15550100123",
                    "a@b.test",
                    "Bearer ",
                    "token=",
                    "cookie: ",
                    '"',
                    "'",
                    "\\",
                    "https://",
                    "http://[::1]:8",
                    "?",
                    "/",
                    "=",
                    "&",
                    "tel:",
                    " ",
                    "\n",
                    "origin:",
                    "@",
                    "%40",
                    "%2B",
                    "u0026",
                    "code=",
                    '\\"',
                    "#",
                    "(555) 010-0123",
                    "secret: '",
                    ":99",
                    ".",
                ]
            ),
        ),
        max_size=10,
    ).map("".join)
)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    """The last step of a pipeline may meet what an earlier one has redacted."""
    once = redact_text(text)
    assert redact_text(once) == once


@given(st.text(max_size=30))
def test_json_stays_json(text: str) -> None:
    """A redacted line is still a line of its kind."""
    line = json.dumps({"a": text.replace('"', ""), "url": SIGNED, "access_token": TOKEN, "b": 1})
    if "\\" not in line:
        assert json.loads(redact_text(line))["b"] == 1


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("+15550100123", "***23"),
        ("1234", "***"),
        ("12345", "***45"),
        ("", ""),
        ("***23", "***23"),
        ("sip:x@y.z", "***.z"),
    ],
)
def test_a_number_in_the_ledger_keeps_two_signs(value: str, masked: str) -> None:
    """Enough to recognise one's own call, too little to call anybody."""
    assert mask_number(value) == masked
    assert mask_number(masked) == masked


@given(st.from_regex(redact._PLAIN, fullmatch=True))
@settings(max_examples=500)
def test_what_is_passed_at_a_glance_would_have_stayed_as_it_is(text: str) -> None:
    """The short cut for ids, keys and moments leaves nothing through that the patterns would mask."""
    assert redact._masked(text) == text


@given(st.text(max_size=80))
def test_one_line_is_one_line_of_printable_signs(text: str) -> None:
    """Nothing of it a terminal obeys, and what could be printed stays in its order."""
    line = one_line(text)
    assert line.isprintable()
    assert line.replace(" ", "") == "".join(sign for sign in text if sign.isprintable() and not sign.isspace())


def test_words_are_parted_by_one_space() -> None:
    """Line breaks and tabs are spaces, others vanish."""
    assert one_line(" a\t\nb \x00c\u200b d ") == "a b c d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("refuses to renew the token: 400 invalid_client (trackingid T-1)", None),
        ("token: 503", None),
        ("token: 4001234", "token: ***"),
        ("token: 400abc", "token: ***"),
        ("access_token: 400", "access_token: ***"),
        ("token=400", "token=***"),
    ],
)
def test_a_status_behind_the_word_token_is_what_support_needs(text: str, shown: str | None) -> None:
    """Three digits and no more, in prose: that is no token."""
    assert redact_text(text) == (shown or text)
