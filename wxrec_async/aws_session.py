"""The HTTP session under botocore, for both worlds that speak to AWS, as careful as botocore's own would be.

aiobotocore 2.25 hands aiohttp a TLS context in which botocore has switched host
names off, because urllib3 compares them itself; aiohttp does not, so any
certificate of a trusted authority would pass for S3's or Secrets Manager's.  It
also lets aiohttp follow redirects, with signed headers and unseen by anybody, and
reads an answer in XML or JSON whole, however long it is.  All three are put right
in methods that aiobotocore does not promise to keep; tests/s3/test_client.py,
tests/auth/test_secrets_manager.py and tests/security show on the wire that they
work.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

MAX_ANSWER = 16 << 20  # bytes; a thousand keys of 1 KiB, the longest listing there is, take under 3 MiB


class CarefulSession(AIOHTTPSession):
    """Checks host names, and takes a redirect for the answer it is."""

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()  # type: ignore[misc]  # the stubs show no private names
        context.check_hostname = True
        return context

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _Direct(await super()._get_session(proxy_url))  # type: ignore[misc]


class _Bounded(aiohttp.ClientResponse):
    """An answer whose body, where the SDK wants it whole, may be so long and no longer; objects are read in pieces."""

    async def read(self) -> bytes:
        if self._body is None:
            try:
                self._body = await self._whole()
            except BaseException:  # as aiohttp's own does: a connection that is not read to its end is not used again
                self.close()
                raise
        return await super().read()

    async def _whole(self) -> bytes:
        body = bytearray()
        async for piece in self.content.iter_any():
            body += piece
            if len(body) > MAX_ANSWER:
                raise aiohttp.ClientPayloadError(f"the answer is larger than {MAX_ANSWER} bytes")
        return bytes(body)


class _Direct:
    """A session that goes nowhere but where it is sent, and takes in no answer without end."""

    __slots__ = ("_session",)

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        session._response_class = _Bounded

    def request(self, method: str, **options: Any) -> Awaitable[aiohttp.ClientResponse]:
        return self._session.request(method, allow_redirects=False, **options)
