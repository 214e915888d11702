"""Which pre-signed URLs may be fetched, and which addresses a connection for them may go to.

The URL comes from the other side, so it is treated as hostile: https, the
default port, a name on the allow-list, and nothing that two programs could read
in two ways.  The name alone proves little (whoever owns it chooses what it
resolves to), so the address that is really connected to is judged as well.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARS = 16_384
PRINTABLE = re.compile(r"[!-~]+")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# What RFC 3986 does not allow, and browsers and libraries read in different ways; `#` would cut off the signature.
AMBIGUOUS = frozenset('\\#<>"')
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
UNICAST = ipaddress.IPv6Network("2000::/3")
DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")  # RFC 9637, which the standard library does not know yet
ISATAP, ISATAP_MASK = 0x00005EFE, 0xFDFFFFFF  # RFC 5214 section 6.1; one bit says whether the inner one is global

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def media_url_problem(url: str, hosts: Sequence[str], *, loopback: bool = False) -> str | None:
    """Say in one phrase why a pre-signed URL must not be fetched, or return None when it may.

    ``hosts`` are names, or ``*.name`` for everything below a name.  With
    ``loopback`` (the API itself is on loopback) any port and plain http are
    accepted too, but only towards loopback.  The phrase names at most the host.
    """
    if len(url) > MAX_URL_CHARS or not PRINTABLE.fullmatch(url) or not AMBIGUOUS.isdisjoint(url):
        return "it is empty, too long or has characters a URL cannot have"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it cannot be read as a URL"
    # `urlsplit` takes `HTTPS:host` as well; what is sent is the text itself, so that is looked at.
    if parts.scheme not in ("https", "http") or not url.startswith(f"{parts.scheme}://"):
        return "it is not an https URL"
    if "@" in parts.netloc:
        return "it carries a user name"
    if loopback and is_loopback_host(parts.hostname or ""):
        return None
    return _public_problem(parts, port, hosts)


def _public_problem(parts: SplitResult, port: int | None, hosts: Sequence[str]) -> str | None:
    if parts.scheme != "https":
        return "it is not an https URL"
    # `host:` has no port for `urlsplit`, and need not be without one for others.
    if port not in (None, 443) or parts.netloc.endswith(":"):
        return "it names a port other than 443"
    host = parts.hostname or ""
    if (problem := _host_problem(host)) is not None:
        return problem
    if not any(_matches(host, pattern.lower()) for pattern in hosts):
        return f"{host} is not in media_hosts"
    return None


def _host_problem(host: str) -> str | None:
    labels = host.split(".")
    # Every notation of an IPv4 address, 0x7f.1 and 2130706433 included, ends in a label that is a number.
    if ":" in host or labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        return "it names an address instead of a host"
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        return "its host is not a plain DNS name"
    if any(label.startswith("xn--") for label in labels):
        return "its host is written in punycode"
    return None


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return "*" not in pattern[1:] and len(host) > len(pattern) - 1 and host.endswith(pattern[1:])
    return host == pattern


def is_loopback_host(host: str) -> bool:
    """Tell whether a host name or address literal means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Tell whether a URL points at this machine; a URL that cannot be read does not."""
    return is_loopback_host(host_of(url))


def host_of(url: str) -> str:
    """Return a URL's host name, the part of it that may be told; empty when it cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def address_allowed(ip: str, *, loopback: bool = False) -> bool:
    """Tell whether a connection for media may go to this address: global ones only, and loopback when asked for.

    An address that carries another inside (IPv4-mapped, NAT64, 6to4, Teredo, ISATAP)
    is judged by the inner one as well.
    """
    try:
        # fe80::1%eth0: the zone is no part of the address.
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    if loopback and address.is_loopback:
        return True
    return all(_is_public(inner) for inner in _with_inner(address))


def _is_public(address: _Address) -> bool:
    """Say whether everybody may reach it; of IPv6 only what is assigned as such (RFC 4291 section 2.4 and IANA).

    That leaves out site-local addresses, those that are only an IPv4 address with
    zeros before it, and what a site translates to its own (``64:ff9b:1::/48``).
    """
    if isinstance(address, ipaddress.IPv6Address) and (address not in UNICAST or address in DOCUMENTATION):
        return False
    return address.is_global and not address.is_multicast


def _with_inner(address: _Address) -> list[_Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    # Of these two the inner address alone counts: the outer one is no global unicast, only a way to write it.
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in NAT64:
        return [inner]
    found: list[_Address] = [address]
    found += [address.sixtofour] if address.sixtofour else []
    # Teredo names two: its server, and the client behind it.
    found += list(address.teredo) if address.teredo else []
    found += [inner] if int(address) >> 32 & ISATAP_MASK == ISATAP else []
    return found
