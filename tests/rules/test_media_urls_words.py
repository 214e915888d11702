"""Why a URL is refused, in the words that a log shows, and where exactly the limits are."""

from __future__ import annotations

import pytest

from wxrec_async.rules.media_urls import MAX_URL_CHARS, address_allowed, host_of, media_url_problem

HOSTS = ("*.amazonaws.com", "media.example.org", "*.test", "*", "*.*.evil")
TOO_ODD = "it is empty, too long or has characters a URL cannot have"
AN_ADDRESS = "it names an address instead of a host"
NO_NAME = "its host is not a plain DNS name"


@pytest.mark.fault("X12")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", TOO_ODD),
        ("https://a.test/x y", TOO_ODD),
        ("https://[::1/x", "it cannot be read as a URL"),
        ("https://a.test:99999/x", "it cannot be read as a URL"),
        ("ftp://a.test/x", "it is not an https URL"),
        ("http://a.test/x", "it is not an https URL"),
        ("https://me@a.test/x", "it carries a user name"),
        ("https://a.test:8443/x", "it names a port other than 443"),
        ("https://a.test:/x", "it names a port other than 443"),
        ("https://other.example/x", "other.example is not in media_hosts"),
        ("https://test/x", "test is not in media_hosts"),
        ("https://127.0.0.1/x", AN_ADDRESS),
        ("https://[::1]/x", AN_ADDRESS),
        ("https://1.2.3.4.0x7f/x", AN_ADDRESS),
        ("https://0x/x", AN_ADDRESS),
        ("https://a..test/x", NO_NAME),
        ("https:///x", NO_NAME),
        ("https://xn--a.test/x", "its host is written in punycode"),
    ],
)
def test_each_refusal_says_why(url: str, words: str) -> None:
    """In one phrase that names the host at most."""
    assert media_url_problem(url, HOSTS) == words


def test_a_name_that_only_begins_like_a_number_is_a_name() -> None:
    """Only a last label that is a number as a whole makes an address."""
    assert media_url_problem("https://a.0x7g/x", ("a.0x7g",)) is None
    assert media_url_problem("https://1.2.3.test/x", HOSTS) is None


def test_the_limits_are_counted_to_the_sign() -> None:
    """16 KiB of URL, 253 signs of host."""
    assert MAX_URL_CHARS == 16_384
    head = "https://a.test/"
    assert media_url_problem(head + "x" * (MAX_URL_CHARS - len(head)), HOSTS) is None
    assert media_url_problem(head + "x" * (MAX_URL_CHARS - len(head) + 1), HOSTS) == TOO_ODD
    host = "a." * 123 + "aa.test"
    assert len(host) == 253
    assert media_url_problem(f"https://{host}/x", HOSTS) is None
    assert media_url_problem(f"https://a{host}/x", HOSTS) == NO_NAME


def test_a_star_stands_for_one_name_at_least_and_only_in_front() -> None:
    """And for any depth below a name."""
    assert media_url_problem("https://a.test/x", HOSTS) is None
    assert media_url_problem("https://a.b.test/x", HOSTS) is None
    assert media_url_problem("https://a.b.evil/x", HOSTS) == "a.b.evil is not in media_hosts"


def test_a_host_is_told_or_nothing_is() -> None:
    """A URL that cannot be read, or has none, gives an empty text."""
    assert host_of("https://A.test:443/x") == "a.test"
    assert host_of("https://[::1") == host_of("no url") == ""


@pytest.mark.fault("D29", "X12")
@pytest.mark.parametrize(
    ("ip", "allowed"),
    [
        ("2600:1f18::1%eth0", True), ("not an address", False), ("2002:34d8:101::1", True),
        ("2002:a00:1::1", False), ("64:ff9b::a00:1", False),
        ("::ffff:52.216.1.1", True), ("52.216.1.1%eth0", True), ("2001:0:34d8:101::f5ff:fffe", False),
    ],
)  # fmt: skip
def test_an_address_is_judged_by_what_it_carries(ip: str, allowed: bool) -> None:
    """True or false, never nothing; a zone behind it does not matter."""
    assert address_allowed(ip) is allowed
