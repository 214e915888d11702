"""What may go wrong, operation by operation, and how often."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
FIRST, EARLY = [1], [1, 2]


def line(kind: str, weight: float = 1.0, attempts: list[int] | None = None, **parameters: Any) -> Row:
    """Return a line of a menu as a campaign reads it."""
    return {"kind": kind, "weight": weight, "attempts": attempts, **parameters}


LOST = [line("reset_before"), line("close_before"), line("reset_after")]
ERRORS = [line("error", 0.5, status=status) for status in (500, 502, 503, 504)]
API = [
    *LOST,
    *ERRORS,
    line("pause", 0.5, seconds=0.05),
    line("html"),
    line("empty_body"),
    line("truncated_json"),
    line("json", text="null"),
    line("json", text="[]"),
    line("skewed_date", seconds=300),
    line("token_401", 0.3, FIRST),
    line("token_403", 0.3, FIRST),
    line("token_400", 0.3, FIRST),
    line("throttle", 0.1, FIRST, retry_after=None),
    line("throttle", 0.1, FIRST, retry_after="date", skew=-120),
]
CUT = [
    line("short_body", at=at, end=end) for at in ("first", "middle", "last", "end") for end in ("fin", "rst")
]  # at the end with FIN is the whole body: the control group
UNFIT = [
    line("html", attempts=FIRST),
    line("xml", attempts=FIRST, code="InternalError"),
    line("zero_bytes", attempts=FIRST),
    line("header_only", attempts=FIRST),
    line("gzip", attempts=FIRST, at="end"),
    line("gzip", attempts=FIRST, at="middle"),
    line("unframed", attempts=FIRST, at="middle", end="fin"),
    line("unframed", attempts=FIRST, at="middle", end="rst"),
    line("byteranges", attempts=FIRST),
]
ON_RANGES = [line(kind, 3) for kind in ("range_ignored", "wrong_range", "other_total", "changed_etag")]
MEDIA = [
    *CUT,
    *UNFIT,
    *ON_RANGES,
    line("reset_before"),
    line("close_before"),
    *ERRORS,
    line("slow_down", 0.05),
    line("expired", attempts=EARLY),
    line("refused", 0.5, FIRST, code="SignatureDoesNotMatch"),
    line("excess", count=100),
    line("unframed", at="end", end="fin"),
    line("chunked", at="end"),
    line("chunked", at="middle", end="fin"),
    line("chunked", at="middle", end="rst"),
    line("bad_chunk", 0.3, FIRST, at="middle"),
    line("two_lengths", 0.5),
    line("length_and_chunked", 0.5),
    line("drip", 0.3, at="middle", count=5, interval=0.02),
    line("drip_head", 0.3, count=5, interval=0.02),
    line("stall_body", 0.3, at="middle", seconds=0.2),
    line("pause", 0.3, seconds=0.05),
    line("skewed_date", 0.5, seconds=-300),
]
S3 = [
    *LOST,
    line("internal_error"),
    line("slow_down", 0.03),
    line("pause", 0.3, seconds=0.05),
    line("skewed_date", 0.3, seconds=300),
]
BODIES = [
    *S3,
    line("request_timeout"),
    line("flip_bit", attempts=FIRST),
    line("stall_reading", 0.3, seconds=0.2),
]
LISTED = ("unsorted", "duplicate_rows", "short_page", "task_appears", "gaps")
MENU: dict[str, list[Row]] = {
    "tasks": [*API, *(line(kind, 2) for kind in LISTED)],
    "captures": [*API, line("foreign_entry")],
    "media.get": MEDIA,
    "s3.PutObject": [*BODIES, line("conflict", attempts=EARLY)],
    "s3.CreateMultipartUpload": S3,
    "s3.UploadPart": [*BODIES, line("no_such_upload", 0.5, FIRST)],
    "s3.CompleteMultipartUpload": [
        *S3,
        line("error_in_200"),
        line("error_in_200", blanks=0.2),
        line("blanks", seconds=0.2),
        line("conflict", 0.5, FIRST),
    ],
    "s3.AbortMultipartUpload": [*S3, line("part_lands_late", 2)],
    "s3.HeadObject": [*S3, line("no_such_key", 0.5, FIRST)],
    "s3.ListParts": S3,
    "token": [line("reset_before"), line("reset_after"), *ERRORS],
}
# The share of requests that go wrong on the first, second and third attempt; of captures: for each task in it.
RATES: dict[str, list[float]] = {
    "tasks": [0.35, 0.25],
    "captures": [0.03, 0.02],
    "media.get": [0.75, 0.6, 0.4],
    "s3.PutObject": [0.55, 0.4, 0.3],
    "s3.CreateMultipartUpload": [0.4, 0.2],
    "s3.UploadPart": [0.4, 0.3],
    "s3.CompleteMultipartUpload": [0.6, 0.3],
    "s3.AbortMultipartUpload": [0.5],
    "s3.HeadObject": [0.3],
    "s3.ListParts": [0.3],
    "token": [0.5],
}
# Those that end the program's own say over a recording are left out: what is transient can be had by trying again.
TRANSIENT: dict[str, list[Row]] = {
    "tasks": [*LOST, *ERRORS, line("html"), line("truncated_json")],
    "captures": [*LOST, *ERRORS, line("html"), line("truncated_json")],
    "media.get": [line("reset_before"), line("close_before"), *ERRORS, *CUT[:6]],
    **{
        operation: [line("reset_before"), line("close_before"), line("internal_error"), line("reset_after")]
        for operation in MENU
        if operation.startswith("s3.")
    },
}
TRANSIENT_RATE = 0.2
