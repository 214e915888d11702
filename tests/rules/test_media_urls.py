"""Which URLs and addresses media may come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.media_urls import address_allowed, is_loopback_url, media_url_problem

HOSTS = ("*.amazonaws.com", "media.example.org", "*", "*.*.evil")
GOOD = [
    "https://bucket.s3.us-east-1.amazonaws.com/a/b.wav?X-Amz-Signature=abc%2F&X-Amz-Date=20260101T000000Z",
    "https://s3.amazonaws.com/bucket/a.wav",
    "https://media.example.org/x",
    "https://MEDIA.example.org/x",
    "https://bucket.s3.amazonaws.com:443/x",
    "https://my_bucket.s3.amazonaws.com/x?a=b@c",
]
NASTY = [
    "",
    " ",
    "/relative/path",
    "//s3.amazonaws.com/x",
    "s3.amazonaws.com/x",
    "https:/s3.amazonaws.com/x",
    "https:s3.amazonaws.com",
    "https:///x",
    "https://",
    "http://bucket.s3.amazonaws.com/x",
    "ftp://bucket.s3.amazonaws.com/x",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "HTTPS://bucket.s3.amazonaws.com/x",
    "https://user@bucket.s3.amazonaws.com/x",
    "https://user:pass@bucket.s3.amazonaws.com/x",
    "https://bucket.s3.amazonaws.com@evil.example/x",
    "https://evil.example\\@bucket.s3.amazonaws.com/x",
    "https://evil.example#@bucket.s3.amazonaws.com/x",
    "https://evil.example?.s3.amazonaws.com/x",
    "https://evil.example/bucket.s3.amazonaws.com",
    "https://bucket.s3.amazonaws.com:8443/x",
    "https://bucket.s3.amazonaws.com:80/x",
    "https://bucket.s3.amazonaws.com:0/x",
    "https://bucket.s3.amazonaws.com:/x",
    "https://bucket.s3.amazonaws.com:99999/x",
    "https://bucket.s3.amazonaws.com:443x/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://0x7f000001/x",
    "https://0x7f.1/x",
    "https://0177.0.0.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[fe80::1%25eth0]/x",
    "https://[::1/x",
    "https://1.2.3.4.amazonaws.com.0x7f/x",
    "https://localhost/x",
    "http://localhost/x",
    "http://127.0.0.1:8000/x",
    "https://intranet/x",
    "https://amazonaws.com/x",
    "https://.amazonaws.com/x",
    "https://evilamazonaws.com/x",
    "https://bucket.amazonaws.com.evil.example/x",
    "https://bucket.amazonaws.com./x",
    "https://a..amazonaws.com/x",
    "https://-a.amazonaws.com/x",
    "https://a-.amazonaws.com/x",
    "https://xn--80ak6aa92e.amazonaws.com/x",
    "https://аmazonaws.com/x",
    "https://bucket.s3.amazonaws.com/ä",
    "https://bucket。s3.amazonaws.com/x",
    "https://bucket%2es3.amazonaws.com/x",
    "https://bucket.s3.amazonaws.com\t/x",
    "https://bucket.s3.amazonaws.com/x\r\nHost: evil",
    "https://bucket.s3.amazonaws.com/x y",
    "https://bucket.s3.amazonaws.com/x\x00",
    "\thttps://bucket.s3.amazonaws.com/x",
    "https://bucket.s3.amazonaws.com/x#fragment",
    "https://" + "a" * 64 + ".amazonaws.com/x",
    "https://" + "a." * 130 + "amazonaws.com/x",
    "https://bucket.s3.amazonaws.com/" + "a" * 17_000,
    "https://a.b.evil/x",
    "https://anything.example/x",
]


@pytest.mark.parametrize("url", GOOD)
def test_plain_signed_urls_are_fine(url: str) -> None:
    """URLs as Webex hands them out pass."""
    assert media_url_problem(url, HOSTS) is None


@pytest.mark.fault("D29", "W15", "X12")
@pytest.mark.parametrize("url", NASTY)
def test_nasty_urls_are_refused(url: str) -> None:
    """Whatever is not plain https to an allowed name is refused, with words that have nothing of path or query."""
    problem = media_url_problem(url, HOSTS)
    assert problem
    assert "meta-data" not in problem
    assert "pass@" not in problem


@pytest.mark.fault("D29", "X12", "X29")
@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("http://127.0.0.1:8000/x?sig=1", True),
        ("http://localhost:1/x", True),
        ("https://[::1]:9/x", True),
        ("http://127.9.9.9/x", True),
        ("http://10.0.0.1/x", False),
        ("http://example.org/x", False),
        ("http://user@127.0.0.1/x", False),
        ("http://127.0.0.1.evil.example/x", False),
        ("ftp://127.0.0.1/x", False),
        ("https://s3.amazonaws.com/x", True),
    ],
)
def test_loopback_is_open_only_when_the_api_is_there_too(url: str, fine: bool) -> None:
    """A simulated organisation may hand out loopback URLs, and with it no other host becomes reachable."""
    assert (media_url_problem(url, HOSTS, loopback=True) is None) is fine


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_judged_without_an_error(text: str, loopback: bool) -> None:
    """The rule answers for every text, and passes none that does not begin with a scheme we speak."""
    problem = media_url_problem(text, HOSTS, loopback=loopback)
    assert problem is not None or text.startswith(("https://", "http://"))
    media_url_problem("https://" + text, HOSTS, loopback=loopback)


@pytest.mark.fault("D29", "X12")
@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3",  # noqa: S104 - an address to refuse
        "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "not an address", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_global_are_refused(ip: str) -> None:
    """Private, local, reserved and embedded addresses are no place for media."""
    assert not address_allowed(ip)


@pytest.mark.parametrize(
    "ip",
    [
        "64:ff9b:1::a00:1", "64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::7f00:1", "64:ff9b:1:a00:1:0:808:808",
        "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "fec0::1", "feff::1", "fec0:0:0:ffff::1", "fe80::1%eth0", "fd00::1",
        "::7f00:1", "::10.0.0.1", "::8.8.8.8", "::2", "::ffff:0:8.8.8.8", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "2002:a00:1::", "2002:7f00:1::1", "2001:0:a00:1::", "2001:0:808:808:0:0:f5ff:fffe",
        "2600:1f18::5efe:a00:1", "2600:1f18::200:5efe:c0a8:1", "2001:db8::1", "3fff::1", "5f00::1", "100::1", "ff0e::1",
        "4000::1", "1::1", "8000::1", "::", "0.1.2.3", "100.64.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_every_way_around_the_address_check_is_closed(ip: str) -> None:
    """What a site translates, keeps for itself, or carries inside another address; only what is public is left."""
    assert not address_allowed(ip)
    assert not address_allowed(ip, loopback=True)


@pytest.mark.parametrize("ip", ["2002:808:808::1", "2600:1f18::5efe:808:808", "2a00::1", "64:ff9b::808:808"])
def test_public_addresses_within_public_ones_are_allowed(ip: str) -> None:
    """Both are judged, and both are public."""
    assert address_allowed(ip)


@pytest.mark.parametrize("ip", ["52.216.1.1", "2600:1f18::1", "::ffff:52.216.1.1", "64:ff9b::34d8:101"])
def test_global_addresses_are_allowed(ip: str) -> None:
    """Public addresses, plain or carried inside IPv6, are allowed."""
    assert address_allowed(ip)


def test_loopback_addresses_are_allowed_only_on_request() -> None:
    """The sandbox's addresses are, and nothing beside them."""
    assert address_allowed("127.0.0.1", loopback=True)
    assert address_allowed("::1", loopback=True)
    assert not address_allowed("10.0.0.1", loopback=True)


@pytest.mark.parametrize(
    ("url", "answer"),
    [("http://127.0.0.1:1/v1", True), ("http://localhost", True), ("https://api.wxcc-us1.cisco.com/v1", False),
     ("https://[::1", False), ("", False)],
)  # fmt: skip
def test_loopback_urls_are_recognised(url: str, answer: bool) -> None:
    """The API's own address decides whether media may be local."""
    assert is_loopback_url(url) is answer
