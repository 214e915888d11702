"""What botocore and aiohttp raise, in our words.

Nothing of a request but its host gets into a message: the originals carry URLs
and signed headers, so they are dropped (``raise … from None``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from wxrec_async.errors import (
    AuthError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    InvalidResponse,
    RemoteError,
    TimedOut,
    TLSError,
)
from wxrec_async.rules.redact import one_line, redact_text
from wxrec_async.rules.retry import retry_after_s
from wxrec_async.rules.sent_secrets import without_secrets

MAX_WORDS = 300
MAX_HEADER = 64
NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
    aws.NoAuthTokenError,
)
HOW_TO_GIVE_CREDENTIALS = (
    "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as a profile ([s3] profile or AWS_PROFILE, "
    "`aws sso login` if it is one of SSO), or as the role of this machine"
)
FAILURES = (aws.BotoCoreError, aws.ClientError, ResponseParserError, aiohttp.ClientError, TimeoutError, OSError)
"""Every class an S3 call may raise that `translated` understands."""


class S3StatusError(HTTPStatusError):
    """S3 answered with an error.

    ``bucket_region`` is where S3 says the bucket lies, ``header`` the one that it
    does not know (501); "" when it does not say.
    """

    bucket_region: str = ""
    header: str = ""


def translated(error: Exception, host: str, secrets: Sequence[str] = ()) -> RemoteError | AuthError:
    """Return the failure of ours that ``error``, one of `FAILURES`, stands for; no word of it has ``secrets`` in it."""
    match error:
        case aws.ClientError():
            return rejected(error.response, host, secrets)
        case _ if isinstance(error, NO_CREDENTIALS):
            return AuthError(f"the AWS credentials cannot be used any more ({type(error).__name__})")
        case aws.ConnectTimeoutError() | aws.ProxyConnectionError():
            return ConnectError(f"cannot connect to {host}", host=host)
        case aws.ReadTimeoutError() | TimeoutError():
            return TimedOut(f"{host} did not answer in time", host=host)
        # The page of a proxy, say.  It does not tell what became of the request: see
        # `verified_write.leaves_open`.
        case ResponseParserError():
            return InvalidResponse(f"{host} sent an answer that is not S3's", host=host)
        case _:
            return _of_connection(_cause(error), host)


def _cause(error: Exception) -> Exception:
    """Return what aiohttp raised: aiobotocore calls every client error, a reset in mid body too, "cannot connect"."""
    cause = getattr(error, "kwargs", {}).get("error")
    return cause if isinstance(cause, Exception) else error


def _of_connection(cause: Exception, host: str) -> RemoteError:
    match cause:
        # The narrow ones first: a certificate error is a connector error, and every connector error an OSError.
        case aiohttp.ClientConnectorCertificateError():
            return TLSError(f"the TLS certificate of {host} is not trusted; set ca_bundle", host=host)
        case aiohttp.ClientConnectorError():
            return ConnectError(f"cannot connect to {host}: {cause.os_error.strerror or 'no answer'}", host=host)
        case aiohttp.ClientResponseError():  # the parser's, which found it before there was a response
            return InvalidResponse(f"{host} answered with a head that is not HTTP", host=host)
        case aws.ConnectionClosedError() | aws.HTTPClientError() | aiohttp.ClientError() | OSError():
            return ConnectionLost(f"the connection to {host} broke", host=host)
        case aws.IncompleteReadError():
            return ConnectionLost(f"{host} sent less than it announced", host=host)
        # Nothing was sent: botocore refused a parameter, say.  No further try would do better.
        case _:
            return RemoteError(f"the request to {host} cannot be made ({type(cause).__name__})", host=host)


def rejected(response: Any, host: str, secrets: Sequence[str] = ()) -> S3StatusError:
    """Return S3's refusal with its status, code and message.

    An answer to HEAD has no body; botocore then gives the status for a code,
    which is left empty here.
    """
    about: dict[str, Any] = response.get("ResponseMetadata", {})
    error: dict[str, Any] = response.get("Error", {})
    headers: dict[str, str] = about.get("HTTPHeaders", {})
    code = str(error.get("Code", ""))
    bare = code.isdigit()
    refusal = S3StatusError(
        int(about.get("HTTPStatusCode", 0)),
        code="" if bare else without_secrets(code, secrets),
        # Cut after redacting: half a secret at the end would not be known for one.
        words="" if bare else redact_text(without_secrets(str(error.get("Message") or ""), secrets))[:MAX_WORDS],
        retry_after_s=retry_after_s(headers.get("retry-after"), server_date=headers.get("date"), now_s=time.time()),
        tracking_id=about.get("RequestId") or headers.get("x-amz-request-id"),
        host=host,
    )
    # Of a HEAD only the header comes; other answers may have it in the body alone.
    refusal.bucket_region = headers.get("x-amz-bucket-region") or str(error.get("Region", ""))
    refusal.header = one_line(without_secrets(str(error.get("Header") or ""), secrets))[:MAX_HEADER]
    return refusal
