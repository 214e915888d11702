"""Exactly what stands in the place of a secret, and exactly where each pattern begins and ends."""

from __future__ import annotations

import hashlib

import pytest

from wxrec_async.rules import redact
from wxrec_async.rules.redact import MASK, mask_number, one_line, redact_text, redact_url

UUID = "0a1b2c3d-1111-2222-3333-444455556666"


def hashed(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def test_the_mask_is_three_stars() -> None:
    """Programs that read logs look for them; and a text is looked at six times at most."""
    assert (MASK, redact.MAX_PASSES) == ("***", 6)


NAMES = [
    "access_token", "refresh_token", "id_token", "client_secret", "code_verifier", "password", "secret",
    "secretstring", "x-amz-signature", "x-amz-security-token", "x-amz-credential", "x-amz-checksum-crc32",
    "signature", "awsaccesskeyid", "aws_secret_access_key", "aws_session_token", "x-api-token", "token",
]  # fmt: skip


@pytest.mark.fault("X03")
@pytest.mark.parametrize("name", [*NAMES, *(name.upper() for name in NAMES)])
def test_what_has_the_name_of_a_secret_is_masked_and_nothing_around_it(name: str) -> None:
    """As a field, as JSON, as JSON within JSON and in a query within a query."""
    assert redact_text(f"a {name}=Abcd b") == f"a {name}=*** b"
    assert redact_text(f'{{"{name}": "Ab cd", "x": 1}}') == f'{{"{name}": "***", "x": 1}}'
    assert redact_text(f'"{{\\"{name}\\": \\"Ab cd\\", 1}}"') == f'"{{\\"{name}\\": \\"***\\", 1}}"'
    assert redact_text(f"a%26{name}%3DAbcd b") == f"a%26{name}%3D*** b"


@pytest.mark.fault("X07")
@pytest.mark.parametrize(
    "name",
    ["ani", "dnis", "origin", "destination", "phone", "phonenumber", "phone_number", "phone-number", "phone number",
     "caller", "callee", "msisdn", "ANI", "Phone Number"],
)  # fmt: skip
def test_what_has_the_name_of_a_number_is_masked_with_its_signs(name: str) -> None:
    """Six digits at least, without a plus sign too."""
    assert redact_text(f"a {name}=41446681800 b") == f"a {name}=*** b"
    assert redact_text(f'"{name}": "(044) 668-18.00", b') == f'"{name}": "***", b'
    assert redact_text(f"{name}=123456") == f"{name}=***"
    assert redact_text(f"{name}=12345") == f"{name}=12345"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        # a name
        ("'token':'Abcd',1", "'token':'***',1"),
        ("a%3Ftoken%3AAbcd", "a%3Ftoken%3A***"),
        ("a\\u0026token=Abcd", "a\\u0026token=***"),
        ("atoken=Abcd", "atoken=Abcd"),
        ("my_token=Abcd", "my_token=***"),
        ("token =  abc) x", "token =  ***) x"),
        ("token=abc] x", "token=***] x"),
        ("token=abc} x", "token=***} x"),
        ("token=abc;x", "token=***;x"),
        ("token=abc,x", "token=***,x"),
        ("token=abc&x=1", "token=***&x=1"),
        ('token="a\\"b" x', 'token="***" x'),
        ("token 5", "token 5"),
        # a header
        ("Authorization: Bearer abcd x\nnext", "Authorization: ***\nnext"),
        ("proxy-authorization = a b c", "proxy-authorization = ***"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("set-cookie: x", "set-cookie: ***"),
        ('{"Authorization": "a b", "x": 1}', '{"Authorization": "***", "x": 1}'),
        ("xauthorization: a", "xauthorization: a"),
        # a scheme
        ("Bearer abcd x", "Bearer *** x"),
        ("basic  abcd= x", "basic *** x"),
        ("bearer abc x", "bearer abc x"),
        ("xBearer abcd", "xBearer abcd"),
        # a form
        ("code=1 x", "code=*** x"),
        ("STATE=2&x", "STATE=***&x"),
        ("sig=3,x", "sig=***,x"),
        ("xcode=1", "xcode=1"),
        ("code: 1", "code: 1"),
        # an address
        ("to a.b@c.de x", "to *** x"),
        ("A%40C.DE", "***"),
        ("a@c.d-e.f x", "*** x"),
        ("a@c", "a@c"),
        # a number
        ("tel:12 x", "*** x"),
        ("sip:a x", "*** x"),
        ("SIPS:a x", "*** x"),
        ("xtel:12", "xtel:12"),
        ("(555) 010-0123 x", "*** x"),
        ("(555)010 0123", "***"),
        ("555-010-0123", "***"),
        ("555.010.0123", "***"),
        ("555-010.0123", "555-010.0123"),
        ("x555-010-0123", "x555-010-0123"),
        ("555-010-0123x", "555-010-0123x"),
        ("+1234567 x", "*** x"),
        ("+123456 x", "+123456 x"),
        ("%2b1234567", "***"),
        ("+1234567+1234567 x", "*** x"),
        ("+12345678901234567", "***"),
        ("+123456789012345678", "+123456789012345678"),
        ("x+1234567", "x+1234567"),
        # a token
        ("eyJabcdefgh.a.b x", "*** x"),
        ("eyJabcdefgh.a. x", "*** x"),
        ("eyJabcdefg.a.b", "eyJabcdefg.a.b"),
        ("xeyJabcdefgh.a.b", "xeyJabcdefgh.a.b"),
        (f"{'a' * 40}_{UUID} x", "*** x"),
        (f"{'a' * 40}_{UUID.upper()} x", "*** x"),
        (f"{'a' * 39}_{UUID} x", f"{'a' * 39}_{UUID} x"),
        (UUID, UUID),
        # a target
        ("GET /a/b?x=1 HTTP", "GET /*** HTTP"),
        ("h/a?x=1", "h/***"),
        ("/a?b=1?c=2", "/***"),
        ("/a?b?c=2", "/***"),
        ("/a?b=1?c", "/***"),
        ("x<h/a?b=1>", "x<h/***>"),
        ("a?b=c", "a?b=c"),
        ("/a/b?c", "/a/b?c"),
        ("/a=b", "/a=b"),
        ("?x/y=1", "?x/y=1"),
        # a URL
        ("see https://h.test/a?b=1 ok", f"see https://h.test/~{hashed('/a')} ok"),
        ("HTTPS:\\/\\/h.test\\/a?b=1\\u0026c=2 x", f"https://h.test/~{hashed('/a')} x"),
        ("<wss://h.test/a?b>", f"<wss://h.test/~{hashed('/a')}>"),
        ("http://h.test/a/b/c", "http://h.test/a/b/c"),
        ("http://h.test/a/b/c/d", f"http://h.test/~{hashed('/a/b/c/d')}"),
        ("http://h.test/a#b", f"http://h.test/~{hashed('/a')}"),
        ("ws://u@h.test/a", f"ws://h.test/~{hashed('/a')}"),
        ("ftp://h.test/a?b=1", "ftp:/***"),
    ],
)
def test_a_text_is_redacted_like_this(text: str, redacted: str) -> None:
    """To the sign; and once is enough."""
    assert redact_text(text) == redacted
    assert redact_text(redacted) == redacted


def test_what_is_uncovered_by_a_mask_is_masked_as_well() -> None:
    """A token that stuck to a number is none before the number is gone."""
    assert redact_text("+1234567eyJabcdefgh.a.b") == "******"
    assert redact_text("Cookie: tel:1\n+1234567 555-010-0123") == "Cookie: ***\n*** ***"


@pytest.mark.parametrize(
    "text",
    ["", "answered", f"call-detail/{UUID}/recording.wav", UUID, "2026-01-31T08:00:00Z", "2026-01-31T08:00:00.123Z"],
)
def test_what_most_fields_of_a_log_are_is_passed_at_a_glance(text: str) -> None:
    """Words of ours, ids, keys and moments: to try every pattern on them would cost twenty times as much."""
    assert redact._PLAIN.fullmatch(text)
    assert redact_text(text) == text


@pytest.mark.parametrize("text", [f"a_{UUID}", "Abc", "a b", "2026-01-31", f"{UUID}1", "１２３４-01-31T08:00:00Z"])
def test_everything_else_is_looked_at(text: str) -> None:
    """An id behind a low line may be the end of a token."""
    assert not redact._PLAIN.fullmatch(text)


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://h.test/" + "a" * 144, "https://h.test/" + "a" * 144),
        ("https://h.test/" + "a" * 145, f"https://h.test/~{hashed('/' + 'a' * 145)}"),
        ("https:///a?b=1", f"https://unknown/~{hashed('/a')}"),
        ("https://h.test:80/a?b", f"https://h.test:80/~{hashed('/a')}"),
        ("https://[::1]/a?b", f"https://[::1]/~{hashed('/a')}"),
        ("https://[::1]:9/a?b", f"https://[::1]:9/~{hashed('/a')}"),
        ("https://h.test/\ud800?b=1", f"https://h.test/~{hashed('/' + chr(0xD800))}"),
        ("https://h\\u002etest/a\\u002Fb?x", f"https://h.test/~{hashed('/a/b')}"),
        ("https:\\/\\/h.test\\/a?b", f"https://h.test/~{hashed('/a')}"),
        ("https:\\/\\/h.test\\/a", "https:\\/\\/h.test\\/a"),
        ("https://me@h.test/a", f"https://h.test/~{hashed('/a')}"),
        ("https://h.test:port/a?b", MASK),
    ],
)
def test_a_url_keeps_its_host_and_a_hash_of_its_path(url: str, redacted: str) -> None:
    """Twelve signs of it; short ones without a query stay as they were written."""
    assert redact_url(url) == redacted


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), (" a  b ", "a b"), ("a\x00\n\tb\u200b", "a b"), ("XX", "XX"), ("a\u00a0b", "a b")]
)
def test_a_line_is_made_of_words_and_single_blanks(text: str, line: str) -> None:
    """Without anything at its ends."""
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("value", "masked"),
    [("", ""), ("1", "***"), ("1234", "***"), ("12345", "***45"), ("+41446681800", "***00"), ("12***", "*****")],
)
def test_a_number_keeps_its_last_two_signs(value: str, masked: str) -> None:
    """From five on."""
    assert mask_number(value) == masked
