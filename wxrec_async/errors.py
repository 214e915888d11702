"""What can go wrong, as one small tree.  The first docstring line is the default message.

::

    WxrecError
    ├── ConfigError             the user can mend it before anything starts       exit 2
    ├── AuthError               log in again, or ask for permission               exit 4
    ├── LedgerError             the ledger cannot be used                         exit 7
    │   ├── LedgerInUse
    │   ├── LedgerFull
    │   └── LedgerDamaged
    ├── RunStopped              the run ends itself, its exit code says why
    ├── ObjectExists            the key is taken (S3 answered 412)
    └── RemoteError             one operation went wrong; `rules.retry` judges it
        ├── ConnectError        no connection (refused, DNS, no route)
        ├── TLSError            the TLS certificate was refused
        ├── ConnectionLost      cut, or broken framing, before the answer was whole
        ├── TimedOut            a deadline of ours passed
        ├── HTTPStatusError     an answer with an error status
        ├── InvalidResponse     a success status with an unusable body
        ├── SourceChanged       the bytes at the source are not those we began with
        └── InvalidMedia        the body is not the recording it should be

Every failure carries its facts as attributes.  No message ever contains a URL
with its query, a header value, a token or a body: the facts here are what may
be logged.  Worlds translate their SDK's exceptions with ``raise … from None``,
because the originals do carry such things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wxrec_async.model import StoredObject


class WxrecError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0])


# What ends a command or a run


class ConfigError(WxrecError):
    """The configuration cannot be used."""


class AuthError(WxrecError):
    """Webex refuses the token."""

    def __init__(self, message: str | None = None, *, tracking_id: str | None = None) -> None:
        super().__init__(message)
        # Webex's own id of the request: the first thing its support asks for.
        self.tracking_id = tracking_id


class LedgerError(WxrecError):
    """The ledger cannot be used."""


class LedgerInUse(LedgerError):
    """Another process holds the ledger."""


class LedgerFull(LedgerError):
    """The ledger's disk is full."""


class LedgerDamaged(LedgerError):
    """The ledger file is damaged."""


class RunStopped(WxrecError):
    """The run cannot go on."""

    def __init__(self, message: str | None = None, *, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ObjectExists(WxrecError):
    """The key is taken.

    ``found`` is what lies there; None only where S3 does not let us look.
    """

    def __init__(self, message: str | None = None, *, found: StoredObject | None = None) -> None:
        super().__init__(message)
        # HEAD needs s3:GetObject, which a role that may only write does not have.
        self.found = found


# What a single operation can meet: it may be worth another try


class RemoteError(WxrecError):
    """One operation went wrong.

    ``host`` is the name of the other side, without path or query.
    """

    def __init__(self, message: str | None = None, *, host: str = "") -> None:
        super().__init__(message)
        self.host = host


class ConnectError(RemoteError):
    """No connection could be made."""


class TLSError(RemoteError):
    """The TLS certificate is not trusted."""


class ConnectionLost(RemoteError):
    """The connection broke before the answer was whole."""


class TimedOut(RemoteError):
    """No progress within the time allowed."""


class HTTPStatusError(RemoteError):
    """The server answered with an error.

    ``status`` is the HTTP status, ``code`` the server's own short code (S3's
    ``<Code>``, OAuth's ``error``), ``words`` its message, cut to 300 characters
    and redacted.  ``retry_after_s`` is the wait the server asked for in seconds,
    already measured against the server's own ``Date``; None when it asked for none
    or was not understood.
    """

    def __init__(
        self,
        status: int,
        *,
        code: str = "",
        words: str = "",
        retry_after_s: float | None = None,
        tracking_id: str | None = None,
        host: str = "",
    ) -> None:
        shown = " ".join(filter(None, [str(status), code, words]))
        super().__init__(f"answered {shown}" + (f" (trackingid {tracking_id})" if tracking_id else ""), host=host)
        self.status = status
        self.code = code
        self.words = words
        self.retry_after_s = retry_after_s
        self.tracking_id = tracking_id


class InvalidResponse(RemoteError):
    """The answer says success and makes no sense."""


class SourceChanged(RemoteError):
    """The recording changed, or cannot be resumed, while it was read."""


class InvalidMedia(RemoteError):
    """The body is not a whole recording.

    ``reason`` is a stable word for the ledger: ``empty``, ``no_audio``,
    ``not_media``, ``encoded``, ``unprovable``, ``length_mismatch``,
    ``media_mismatch``, ``too_large``, ``bad_head`` (the answer's head is not HTTP).
    """

    def __init__(self, reason: str, message: str | None = None, *, host: str = "") -> None:
        super().__init__(message or reason.replace("_", " "), host=host)
        self.reason = reason
