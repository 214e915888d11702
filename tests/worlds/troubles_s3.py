"""What may be wrong with the answers of S3."""

from __future__ import annotations

from tests.worlds.media_door import s3_error
from tests.worlds.scene import COMMON, Scene, Trouble, lost
from tests.worlds.wire import Answer


def _bare(_: Scene, answer: Answer) -> Answer:
    """Leave out what a store may leave out of the head of an object."""
    for name in ("x-amz-checksum-crc32", "x-amz-checksum-type", "Last-Modified"):
        answer = answer.with_header(name, None)
    return answer


S3: dict[str, Trouble] = COMMON | {
    "internal": lambda _, __: s3_error(500, "InternalError", "We encountered an internal error. Please try again."),
    "slow_down": lambda _, __: s3_error(503, "SlowDown", "Reduce your request rate."),
    "lost_after": lost,
    "internal_after": lambda _, __: s3_error(500, "InternalError"),
    "conflict_409": lambda _, __: s3_error(409, "ConditionalRequestConflict"),
    "spurious_412": lambda _, __: s3_error(412, "PreconditionFailed"),
    "bad_digest": lambda _, __: s3_error(400, "BadDigest"),
    "denied": lambda _, __: s3_error(403, "AccessDenied", "Access Denied"),
    "no_etag": lambda _, answer: answer.with_header("ETag", None),
    "late": lambda _, __: Answer(404),
    "head_late": lambda _, __: Answer(404),
    "bare": _bare,
}  # fmt: skip
