"""What is known of a task, from the ledger, the lists and the bucket, as the rule wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wxrec_async.ledger import KnownRecording, SeenTask, TaskRow
from wxrec_async.maintenance.verify import ObjectFinding, ObjectVerdict
from wxrec_async.model import SearchRow
from wxrec_async.rules.day_comparison import ObjectState, RecheckAnswer, RecordingFacts, SearchFacts, TaskFacts
from wxrec_async.rules.filters import Filters
from wxrec_async.rules.finality import phase

HELD = {
    ObjectVerdict.OK: ObjectState.WHOLE,
    ObjectVerdict.MISSING: ObjectState.MISSING,
    ObjectVerdict.DIFFERENT: ObjectState.DIFFERENT,
    ObjectVerdict.UNKNOWN: ObjectState.UNREADABLE,
}
Looked = Mapping[tuple[str, str], ObjectFinding]


class FactsBuilder:
    """Lays the sides of a task together; ``counts`` says whether Search's number of recordings is believed."""

    def __init__(self, filters: Filters, *, counts: bool) -> None:
        self._filters, self._counts = filters, counts

    def believed(self, witness: SearchRow) -> SearchRow:
        """Return what Search says as far as it is believed."""
        return witness if self._counts else replace(witness, recordings=None)

    def facts(
        self, row: TaskRow, seen: SeenTask, looked: Looked, now_ms: int, asked: RecheckAnswer = RecheckAnswer.NOT_ASKED
    ) -> TaskFacts:
        """Return everything that is known of one task at ``now_ms``."""
        # A task that came from a file of ids has no time of creation; it is no older than what we know of it.
        created = row.task.created_ms if row.task.created_ms is not None else row.asked.first_seen_ms
        silent = row.asked.last_empty_ms
        return TaskFacts(
            state=row.asked.state,
            reason=row.reason,
            recordings=tuple(_recording(row.task.id, each, looked) for each in row.recordings),
            listed=seen.listed,
            search=self._search(row, seen),
            capture_requested=row.task.capture_requested,
            age_ms=max(0, now_ms - created),
            silent_ms=None if silent is None else silent - created,
            since_silent_ms=None if silent is None else now_ms - silent,
            left_out=self._filters.leaves_out(row.task) if self._filters else None,
            asked=asked,
            named=row.named,
            phase=phase(row.task),
        )

    def _search(self, row: TaskRow, seen: SeenTask) -> SearchFacts | None:
        # Nothing that Search said on another day: what it contradicts must be what it says now.
        if not seen.searched:
            return None
        return SearchFacts(row.witness_recordings, seen.requested, row.witness_deleted, seen.active, row.witness_bytes)


def _recording(task_id: str, known: KnownRecording, looked: Looked) -> RecordingFacts:
    finding = looked.get((task_id, known.id)) if known.stored else None
    held = HELD[finding.verdict] if finding else None
    # Not "missing", which is a promise that Webex never kept: it was here once.
    reason = "lost" if known.was_stored and known.reason == "missing" else known.reason
    return RecordingFacts(
        known.id, known.state, reason, held, known.was_stored, known.segment, known.evidence, known.size, known.kind
    )
