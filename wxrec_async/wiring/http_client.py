"""The one kind of HTTP client: it does what is asked of it, once, and tells nothing of us but the token it is given."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from wxrec_async._version import __version__

USER_AGENT = f"wxrec-async/{__version__}"


def make_http_client(transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None = None) -> httpx.AsyncClient:
    """Return a client over ``transport`` that follows no redirect, keeps no cookie and heeds no environment."""
    return httpx.AsyncClient(
        transport=transport,
        auth=auth,
        headers={"User-Agent": USER_AGENT},
        cookies=_no_cookies(),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - the transport has deadlines, and so has each call
    )


def _no_cookies() -> CookieJar:
    """Return a jar that takes no cookie: nobody who is asked may recognise us by more than our token."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
