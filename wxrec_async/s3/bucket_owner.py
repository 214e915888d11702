"""Does the bucket belong to whom it should?  S3 answers a plain 403, as to whoever lacks a permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wxrec_async.config import S3Settings
from wxrec_async.errors import ConfigError, HTTPStatusError, RemoteError
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.s3.api import Deadlines, S3Api
from wxrec_async.s3.requests import Requests

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

WITHIN_S = 20.0


async def check_owner(client: S3Client, settings: S3Settings, gate: CircuitBreaker) -> None:
    """Raise `ConfigError` when the bucket is refused with ``expected_bucket_owner`` and shown without it.

    Who may neither look at the bucket nor list its uploads learns it from the
    first put: see `denied_hints`.
    """
    if not settings.expected_bucket_owner or not await _is_refused(client, settings, gate):
        return
    # The same questions with one condition less: what changes the answer is that condition.
    if not await _is_refused(client, settings.model_copy(update={"expected_bucket_owner": ""}), gate):
        raise ConfigError(
            f"[s3] expected_bucket_owner: bucket {settings.bucket} does not belong to account "
            f"{settings.expected_bucket_owner}; correct [s3] bucket or expected_bucket_owner"
        )


async def _is_refused(client: S3Client, settings: S3Settings, gate: CircuitBreaker) -> bool:
    """Say whether every question is answered with 403; any other failure is for others to explain."""
    wire = S3Api(client, Requests(settings), gate, Deadlines())
    # Two, because a policy may allow either of them without the other; who is let in by one is not
    # refused for the owner.
    calls = (
        lambda: client.head_bucket(**wire.requests.bucket()),
        lambda: client.list_multipart_uploads(**wire.requests.bucket(MaxUploads=1)),
    )
    for call in calls:
        try:
            await wire.send(call, WITHIN_S)
        except HTTPStatusError as refusal:
            if refusal.status != 403:
                return False
        except RemoteError:
            return False
        else:
            return False
    return True


def denied_hints(settings: S3Settings) -> str:
    """Name what besides a missing permission S3 answers with AccessDenied, as far as the settings let it be."""
    reasons = ["s3:PutObject may be missing"]
    if settings.expected_bucket_owner:
        owner = settings.expected_bucket_owner
        reasons.append(f"the bucket may not belong to {owner} ([s3] expected_bucket_owner)")
    if settings.sse.startswith("aws:kms"):
        reasons.append("kms:GenerateDataKey and kms:Decrypt may be missing ([s3] kms_key_id)")
    elif not settings.sse:
        reasons.append("the bucket's policy may demand encryption (set [s3] sse)")
    else:
        reasons.append('the bucket\'s policy may demand sse = "aws:kms" ([s3] sse)')
    if settings.tags:
        reasons.append("s3:PutObjectTagging may be missing ([s3] tags)")
    if settings.object_lock_mode:
        reasons.append("s3:PutObjectRetention may be missing ([s3] object_lock_mode)")
    return "; ".join(reasons)
