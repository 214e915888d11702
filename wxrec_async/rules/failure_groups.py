"""What failed, by its reason: how often, some examples, and what a person does about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

EXAMPLES = 3
RETRY = "`wxrec-async retry`"
ASK_CISCO = f"{RETRY} later; if it stays, ask Cisco with the task id"
ELSEWHERE = "correct [s3] region or endpoint_url (`wxrec-async doctor` names the region)"
# By the reasons of the ledger; what is not named here begins with one of `_FAMILIES`, or is tried again.
_REMEDIES = {
    "conflict": f"look at both, move the object away or say --overwrite, then {RETRY}",
    "exists_unreadable": f"allow s3:GetObject and s3:ListBucket, then {RETRY}",
    "unverified": f"allow s3:GetObject and s3:ListBucket, then {RETRY}",
    "bad_url": "look at the host, then add it to [webex] media_hosts",
    "tls_untrusted": "name the authority's certificates with ca_bundle",
    "url_keeps_expiring": f"set the clock (NTP) or lower --concurrency, then {RETRY}",
    "unknown_task": "correct the file of ids; is it another organisation or region?",
    "too_large": f"raise [backfill] max_recording_gib, then {RETRY}",
    "corrupting_path": "look at what lies between here and S3 (proxy, memory): it changes bytes",
    "rate_limited": f"lower --rate, or use a client id of its own, then {RETRY}",
    "slow_down": f"lower --concurrency, then {RETRY}",
    "s3_AccessDenied": "allow what `wxrec-async doctor` names as denied",
    "s3_AuthorizationHeaderMalformed": ELSEWHERE,
    "s3_IllegalLocationConstraintException": ELSEWHERE,
    "s3_301": ELSEWHERE,
    "s3_400": ELSEWHERE,
    "s3_403": "allow what `wxrec-async doctor` names as denied",
    "s3_501": "use a store that knows conditional writes (`wxrec-async doctor`)",
    "missing": "nothing to do here: Webex announced it and never made it; ask Cisco with the task id",
}
_CISCO = frozenset(
    {"unprovable", "length_mismatch", "media_mismatch", "not_media", "empty", "no_audio", "encoded", "not_found"}
    | {"captures_unsettled", "access_denied", "entry_missing", "list_missing", "error_beside", "never_ended"}
)
_FAMILIES = {
    "http_4": ASK_CISCO,
    "http_5": f"{RETRY} later",
    "s3_": "`wxrec-async doctor` looks at the bucket's settings",
}


class Failing(Protocol):
    """One failure: ``recording_id`` is empty when the task failed before a recording was known."""

    @property
    def task_id(self) -> str: ...

    @property
    def recording_id(self) -> str: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """``count`` failures of one reason; ``remedy`` is the command or the setting that mends them."""

    reason: str
    count: int
    examples: tuple[Failing, ...]

    @property
    def remedy(self) -> str:
        return remedy(self.reason)

    def as_json(self) -> dict[str, object]:
        """Return it for machines: ids of the examples, and none of what a server said."""
        examples = [{"task_id": each.task_id, "recording_id": each.recording_id} for each in self.examples]
        return {"reason": self.reason, "count": self.count, "examples": examples, "remedy": self.remedy}


def remedy(reason: str) -> str:
    """Return what to do about failures of this reason."""
    if reason in _CISCO:
        return ASK_CISCO
    family = next((words for beginning, words in _FAMILIES.items() if reason.startswith(beginning)), f"{RETRY} later")
    return _REMEDIES.get(reason, family)


def grouped(failures: Sequence[Failing]) -> list[FailureGroup]:
    """Return the failures by reason, the most frequent first, with the first examples of each."""
    by_reason: dict[str, list[Failing]] = {}
    for each in failures:
        by_reason.setdefault(each.reason, []).append(each)
    groups = [FailureGroup(reason, len(found), tuple(found[:EXAMPLES])) for reason, found in by_reason.items()]
    return sorted(groups, key=lambda group: (-group.count, group.reason))


def one_cause(groups: Sequence[FailureGroup], total: int) -> str:
    """Say what to do first when all ``total`` failures, two or more, have one reason; "" when they do not."""
    if len(groups) != 1 or total < 2:
        return ""
    return f"all {total} failures are one cause, {groups[0].reason}: {groups[0].remedy}"
