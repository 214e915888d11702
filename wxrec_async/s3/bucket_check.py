"""Is the bucket there, and are we let in?  Asked once, before anything is moved."""

from __future__ import annotations

import anyio

from wxrec_async.config import S3Settings, no_bucket
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    RemoteError,
    RunStopped,
    TimedOut,
    TLSError,
)
from wxrec_async.rules.diagnosis import EXIT_NO_ANSWER
from wxrec_async.rules.diagnosis_s3 import bucket_elsewhere
from wxrec_async.s3.api import S3Api
from wxrec_async.s3.errors import S3StatusError

# Not the patience of a run, which waits until the network is back: here a wrong endpoint must be told at once.
TRIES = 3
PAUSE_S = 0.3
WITHIN_S = 20.0
REFUSED_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)


async def check_bucket(wire: S3Api, settings: S3Settings) -> None:
    """Return when uploads may begin.

    Raises `ConfigError` with what to correct, `AuthError` when AWS refuses the
    credentials, `RunStopped` when nobody answers or the clock is wrong.  A plain
    403 passes: who may only write is not let look at the bucket either.
    """
    if not settings.bucket:
        raise no_bucket()
    match await _asked(wire):
        case None:
            return
        # The order: what the network says, what S3 says plainly (404), what its headers say, and the rest.
        case TLSError() as trouble:
            raise ConfigError(f"[s3] {trouble}")
        case ConnectError() | ConnectionLost() | TimedOut() as trouble:
            words = f"[s3] no answer from {wire.host}: {trouble}; check the network, or [s3] region and endpoint_url"
            raise RunStopped(words, exit_code=EXIT_NO_ANSWER)
        case HTTPStatusError(status=404):
            raise ConfigError(f"[s3] bucket {settings.bucket} is not there; create it or correct [s3] bucket")
        case S3StatusError() as refusal:
            # The region comes first: signed for another one, a request with good credentials is
            # refused with 400, too.
            _check_region(refusal, wire, settings)
            # A 5xx passes: the run has retries for it, and says so if it lasts.
            if refusal.status in (400, 403):
                await _check_credentials(wire, settings)
        case RemoteError() as trouble:
            raise ConfigError(f"[s3] bucket {settings.bucket!r} cannot be asked for: {trouble}")


async def _asked(wire: S3Api) -> RemoteError | None:
    """Ask for the bucket, a few times while nobody answers; return the last failure."""
    for attempt in range(TRIES):
        try:
            await wire.send(lambda: wire.client.head_bucket(**wire.requests.bucket()), WITHIN_S)
        except (ConnectError, ConnectionLost, TimedOut) as trouble:
            failure: RemoteError = trouble
            await anyio.sleep(PAUSE_S * attempt)
        except RemoteError as trouble:
            return trouble
        else:
            return None
    return failure


def _check_region(refusal: S3StatusError, wire: S3Api, settings: S3Settings) -> None:
    asked = wire.client.meta.region_name
    if (found := bucket_elsewhere(refusal, asked, refusal.bucket_region or "")) is not None:
        raise ConfigError(f"[s3] bucket {settings.bucket} is in another region than {asked}; {found.todo}")


async def _check_credentials(wire: S3Api, settings: S3Settings) -> None:
    """Ask something whose refusal has a body, because that of HEAD does not say why."""
    try:
        await wire.send(lambda: wire.client.list_multipart_uploads(**wire.requests.bucket(MaxUploads=1)), WITHIN_S)
    except S3StatusError as refusal:
        if refusal.code in REFUSED_CREDENTIALS:
            raise AuthError(f"AWS refuses the credentials: {refusal}") from None
        if refusal.code == "RequestTimeTooSkewed":
            raise RunStopped(f"this machine's clock is wrong: {refusal}; set the clock and run again") from None
        # Once more: the body may name the region where the headers of the HEAD did not.
        _check_region(refusal, wire, settings)
    except RemoteError:
        return  # the run will see
