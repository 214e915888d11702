"""What can go wrong: every kind of fault, where it can happen, and its parameters.

Operations are the names of the request log: ``token``, ``authorize``,
``tasks``, ``captures``, ``search``, ``search.meta``, ``organization``, ``event_types``, ``subscriptions``,
``media.get``, ``s3.PutObject``,
``s3.UploadPart`` and so on.  Parameters are given with their defaults in brackets.

everywhere
    ``error`` status [500], code, message, retry_after (text; ``date`` becomes an HTTP-date);
    ``html``, ``empty_body``; ``reset_before`` and ``close_before`` (nothing is done),
    ``reset_after`` (done, the reply is lost), ``pause`` seconds [0.2], ``stall`` seconds [3600];
    ``redirect`` to [``elsewhere``; ``private``, ``plain``, ``loop`` or a URL], status [302];
    ``skewed_date`` seconds [300] (the answer's Date is off by so much, nothing else);
    ``call`` nothing but the rule's own functions ``before`` and ``after`` (every kind honours them)
Webex API
    ``token_401``, ``token_403``, ``token_400`` (the token is refused in three shapes), ``expire_token`` (every
    token handed out so far is dead from now on), ``throttle`` retry_after ["1"; None leaves it out], skew [0; its
    Date is off by so many seconds], window [False; everybody is refused until the time is over], body [False; with
    one, against the documentation],
    ``truncated_json``, ``json`` text ["null"]
tasks
    ``gaps`` (rows as live ones were seen, against the documentation: no owner, nulls, fields of older times);
    ``unsorted``, ``duplicate_rows`` (one of them older), ``short_page`` (though there is more), ``task_appears``
    (just behind what this page shows, if there is more: nobody could find it behind the last one)
captures, for every task asked or, as a campaign draws them, for one
    ``not_ready``, ``no_url``, ``bad_url`` url, ``certificate`` which [``unknown``; ``expired``, ``wrong_name``];
    ``foreign_entry`` (a task nobody asked for comes along); against the documentation ``missing_entry``,
    ``null_lists``, ``no_lists``, and ``text_times`` (as older answers have them)
search
    ``partial_data`` (errors beside it), ``reordered`` (behind the first page, the rows come the other way round)
media (``at`` is ``first``, ``middle``, ``last``, ``end`` or an offset within the body)
    ``expired``, ``missing``, ``deleted`` (captures names nothing of its task any more, either), ``slow_down``,
    ``refused`` code [AccessDenied]; ``short_body`` at, end [fin|rst];
    ``excess`` count [100]; ``unframed`` at [end], end; ``chunked`` at [end], end; ``bad_chunk`` at; ``two_lengths``,
    ``length_and_chunked``; ``range_ignored``, ``wrong_range``, ``other_total``, ``byteranges``, ``changed_etag``;
    ``zero_bytes``, ``header_only``, ``xml`` code [AccessDenied] (an error under status 200), ``gzip`` at [end],
    ``flip_bit`` at, ``stall_body`` at, seconds; ``drip`` at, count [20], interval [0.05]; ``drip_head`` count, interval
S3
    ``slow_down``, ``internal_error``, ``flip_bit`` (of what was received), ``no_such_upload``, ``no_such_key``,
    ``precondition_failed``, ``conflict``, ``request_timeout``, ``access_denied``, ``expired_token``, ``clock_skew``
    (RequestTimeTooSkewed), ``stall_reading`` seconds, ``no_continue`` seconds
CompleteMultipartUpload
    ``error_in_200`` blanks [0; seconds of blanks before it], ``blanks`` seconds [0.5] (then all is well)
AbortMultipartUpload
    ``part_lands_late`` (a part that was under way lands after the abort, and the upload is there again)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EVERYWHERE = frozenset({
    "error", "html", "empty_body", "reset_before", "close_before", "reset_after", "pause", "stall", "redirect",
    "skewed_date", "call",
})  # fmt: skip
API = frozenset({"token_401", "token_403", "token_400", "expire_token", "throttle", "truncated_json", "json"})
TASKS = frozenset({"gaps", "unsorted", "duplicate_rows", "short_page", "task_appears"})
UNDOCUMENTED = frozenset({"missing_entry", "null_lists", "no_lists", "text_times"})
ENTRIES = frozenset({"not_ready", "no_url", "bad_url", "certificate"}) | UNDOCUMENTED
CAPTURES = ENTRIES | {"foreign_entry", "per_entry"}
MEDIA = frozenset({
    "expired", "missing", "deleted", "slow_down", "refused", "short_body", "excess", "unframed", "chunked", "bad_chunk",
    "two_lengths", "length_and_chunked", "range_ignored", "wrong_range", "other_total", "byteranges", "changed_etag",
    "zero_bytes", "header_only", "xml", "gzip", "flip_bit", "stall_body", "drip", "drip_head",
})  # fmt: skip
S3 = frozenset({
    "slow_down", "internal_error", "flip_bit", "no_such_upload", "no_such_key", "precondition_failed", "conflict",
    "request_timeout", "access_denied", "expired_token", "clock_skew", "stall_reading", "no_continue",
})  # fmt: skip
# They mean something only where a range was asked for.
ON_RANGES = frozenset({"range_ignored", "wrong_range", "other_total", "changed_etag"})

# What an operation knows of its own, besides what can happen everywhere.
OWN: dict[str, frozenset[str]] = {
    "token": frozenset({"truncated_json", "json"}),
    "tasks": API | TASKS,
    "event_types": API,
    "subscriptions": API,
    "search.meta": API,
    "captures": API | CAPTURES,
    "organization": API,
    "search": API | {"partial_data", "reordered"},
    "media.get": MEDIA,
    "s3.CompleteMultipartUpload": S3 | {"error_in_200", "blanks"},
    "s3.AbortMultipartUpload": S3 | {"part_lands_late"},
}
KINDS = EVERYWHERE.union(S3, *OWN.values())


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; parameters as the module's docstring lists them."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        return self.parameters.get(name, default)

    def __str__(self) -> str:
        told = (f"{name}={value}" for name, value in sorted(self.parameters.items()) if not callable(value))
        return " ".join((self.kind, *told))


def check_kind(kind: str, operation: str) -> None:
    """Refuse a fault that does not exist, or that this operation does not know; raises ValueError.

    An operation that is a pattern may have any kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no fault is called {kind!r}")
    if any(sign in operation for sign in "*?["):
        return
    own = OWN.get(operation, S3 if operation.startswith("s3.") else frozenset())
    if kind not in EVERYWHERE | own:
        raise ValueError(f"{operation} knows no fault {kind!r}")
