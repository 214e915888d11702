"""httpx's failures, and those of our transport, as ours."""

from __future__ import annotations

import httpx

from wxrec_async.errors import (
    ConnectError,
    ConnectionLost,
    InvalidMedia,
    InvalidResponse,
    RemoteError,
    RunStopped,
    TimedOut,
    TLSError,
)

# What a call through httpx can raise that says something about the other side.
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


class CertificateRefused(httpx.ConnectError):
    """The TLS handshake failed for a reason that trying again does not mend.

    ``untrusted`` tells it to those who know httpx and not us.
    """

    untrusted = True


class AddressRefused(httpx.ConnectError):
    """The host resolves to an address that must not be connected to."""


class HeadRefused(httpx.RemoteProtocolError):
    """The head of the answer is not HTTP, as strictly as it is read here.

    ``bad_head`` tells it to those who know httpx and not us.
    """

    bad_head = True


class ProxyRefused(httpx.ProxyError):
    """The proxy did not open the tunnel; ``status`` is its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy answered {status}")
        self.status = status


def remote_error_from(exc: Exception, host: str) -> RemoteError:
    """Translate one of `FOREIGN`; the text is ours, because theirs may carry a signed URL.

    Raise the result outside the ``except`` block, so that the original does not
    travel along as its context.  Raises `RunStopped` when the proxy wants
    credentials: nothing will ever pass it.
    """
    match exc:
        # Ours first, as each is a kind of one of httpx's below; a timeout of connecting before timeouts at large.
        case ProxyRefused(status=407):
            return _stop_at_proxy()
        case HeadRefused():
            return InvalidMedia("bad_head", f"{host} answered with a head that is not HTTP", host=host)
        case AddressRefused():
            return InvalidMedia("bad_url", f"{host} resolves to an address that is not allowed", host=host)
        case CertificateRefused():
            return TLSError(f"the TLS certificate of {host} was refused", host=host)
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return ConnectError(f"no connection to {host}", host=host)
        case httpx.TimeoutException():
            return TimedOut(f"{host} did not answer in time", host=host)
        case httpx.DecodingError():
            return InvalidResponse("the answer cannot be decoded", host=host)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | httpx.InvalidURL():
            return InvalidMedia("bad_url", "the URL cannot be sent as it is", host=host)
        case _:
            return ConnectionLost(f"the connection to {host} broke", host=host)


def _stop_at_proxy() -> RemoteError:
    raise RunStopped("the proxy asks for credentials (407)") from None
