"""``show``: where the recordings of a call are, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from wxrec_async.cli.command import run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.flags import CallFlags
from wxrec_async.cli.session import run_until_signal
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.flow.summary import EXIT_FAILED, EXIT_OK
from wxrec_async.ledger import KnownRecording, StoredRow, TaskRow, open_reader
from wxrec_async.ledger.certificates import CertificateRow
from wxrec_async.maintenance.verify import Comparison, Level, ObjectFinding, ObjectVerdict
from wxrec_async.model import DAY_MS, FINAL_STATES, RecordingState, TaskState, iso
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.rules.id_lines import Unreadable, read_line
from wxrec_async.wiring.bucket import open_bucket

AT_ONCE = 8  # objects asked for at the same time
NAMED = 100  # ids that are read from the ledger at once
SETTLED = frozenset({TaskState.CAPTURED, TaskState.NO_RECORDING})
WHY = {
    TaskState.LISTED: "listed; captures was not asked yet: run again",
    TaskState.CAPTURED: "",
    TaskState.NO_RECORDING: "Webex has no recording of it",
    TaskState.OWED: "Webex still owes its recordings: run again after the next question",
    TaskState.FAILED: "could not be settled: run again, or `wxrec-async retry`",
}


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of one call.

    ``row`` is None when the ledger never heard of it, ``certificate`` the newest of its day.
    ``in_bucket`` says of stored recordings, by id, what the bucket was found to hold; empty when it was not asked.
    """

    task_id: str
    row: TaskRow | None = None
    certificate: CertificateRow | None = None
    in_bucket: Mapping[str, ObjectFinding] | None = None

    @property
    def all_well(self) -> bool:
        """Whether everything there is of the call is known to be at rest, and in the bucket where that was asked."""
        if self.row is None or self.row.asked.state not in SETTLED:
            return False
        at_rest = all(each.state in FINAL_STATES for each in self.row.recordings)
        return at_rest and all(each.verdict is ObjectVerdict.OK for each in (self.in_bucket or {}).values())


def show_calls(flags: CallFlags) -> int:
    """Show what is known of the calls that are named."""
    return run_command(Console(flags), lambda console: _show(flags, console))


def _show(flags: CallFlags, console: Console) -> int:
    ids = _ids(flags.task_ids or [])
    settings = settings_of(flags, console)
    emit = EventLog(console.log, console.level).on_event
    calls = run_until_signal(lambda: call_facts(settings, ids, in_bucket=flags.bucket, emit=emit), anyio.sleep_forever)
    for call in calls:
        if console.json:
            console.out.later(call_record(call))
        else:
            for line in call_lines(call):
                console.out.line(line)
    well = sum(call.all_well for call in calls)
    if console.json:
        console.out.record({"event": "calls", "schema": 1, "asked": len(calls), "all_well": well})
    return EXIT_OK if well == len(calls) else EXIT_FAILED


def _ids(given: Sequence[str]) -> list[str]:
    """Read ids as they may have been copied from somewhere; raises `ConfigError`."""
    found: dict[str, None] = {}
    for text in given:
        try:
            task_id = read_line(text)
        except Unreadable as why:
            raise ConfigError(f"{visible(text)!r} {why}") from None
        if task_id:
            found[task_id] = None
    if not found:
        raise ConfigError("name a call: wxrec-async show TASK_ID; any number of them")
    return list(found)


async def call_facts(settings: Settings, task_ids: Sequence[str], *, in_bucket: bool, emit: Emit) -> list[CallFacts]:
    """Return what the ledger knows of these tasks, in their order, with ``in_bucket`` what lies in the bucket, too.

    Raises `LedgerError`, and for the bucket `ConfigError`, `AuthError` or `RunStopped`.
    """
    async with open_reader(settings.ledger.path) as ledger:
        known: dict[str, TaskRow] = {}
        for first in range(0, len(task_ids), NAMED):
            known |= await ledger.rows_of(task_ids[first : first + NAMED])
        calls = [CallFacts(each, known.get(each)) for each in task_ids]
        for number, call in enumerate(calls):
            if call.row is not None:
                issued = await ledger.certificates_of(call.row.place_ms // DAY_MS * DAY_MS)
                calls[number] = replace(call, certificate=issued[-1] if issued else None)
    return await _looked_for(settings, calls, emit) if in_bucket else calls


async def _looked_for(settings: Settings, calls: list[CallFacts], emit: Emit) -> list[CallFacts]:
    found: list[dict[str, ObjectFinding]] = [{} for _ in calls]
    stored = [
        (number, each.stored)
        for number, call in enumerate(calls)
        for each in (call.row.recordings if call.row else ())
        if each.stored is not None
    ]
    async with open_bucket(settings, emit) as bucket:
        comparison = Comparison(bucket, Level.HEAD)

        async def look(place: tuple[int, StoredRow]) -> None:
            number, row = place
            found[number][row.recording_id] = await comparison.judge(row)

        await each_of(stored, look, AT_ONCE)
    return [replace(call, in_bucket=its) for call, its in zip(calls, found, strict=True)]


def call_record(call: CallFacts) -> dict[str, object]:
    """Return the JSON line for a call; times are ISO 8601, sizes bytes, what is not known is null."""
    row = call.row
    record: dict[str, object] = {"event": "call", "task_id": call.task_id, "known": row is not None}
    if row is None:
        return record
    task, asked = row.task, row.asked
    record |= {"task_id": task.id, "state": asked.state.value, "reason": row.reason, "evidence": row.evidence}
    record |= {"channel_type": task.channel_type, "status": task.status, "direction": task.direction}
    record |= {"created": iso(task.created_ms), "ended": iso(task.ended_ms), "queue": task.queue_name}
    record |= {"agent": task.agent_name, "first_seen": iso(asked.first_seen_ms), "empty_answers": asked.empty_answers}
    record |= {"next_question": iso(asked.next_ask_ms), "search_recordings": row.witness_recordings}
    record |= {"certificate": call.certificate.certificate_key if call.certificate else None}
    return record | {"recordings": [_recording_record(each, call.in_bucket) for each in row.recordings]}


def _recording_record(each: KnownRecording, in_bucket: Mapping[str, ObjectFinding] | None) -> dict[str, object]:
    stored = each.stored
    record: dict[str, object] = {"recording_id": each.id, "state": each.state.value, "reason": each.reason}
    record |= {"evidence": each.evidence, "start": iso(each.start_ms), "stop": iso(each.stop_ms)}
    record |= {"flags": list(each.flags), "key": stored.key if stored else None, "bytes": each.size}
    record |= {"crc32": f"{stored.crc32:08x}" if stored and stored.crc32 is not None else None}
    record |= {"sha256": stored.sha256 if stored else None}
    if in_bucket is None:
        return record
    found = in_bucket.get(each.id)
    return record | {"in_bucket": found.verdict.value if found else None, "detail": found.detail if found else ""}


def call_lines(call: CallFacts) -> Iterator[str]:
    """Write what is known of a call for people."""
    row = call.row
    if row is None:
        yield f"task {visible(call.task_id)}   not in this ledger"
        yield "  `wxrec-async run --task-ids-from -` asks Webex for it by its id"
        return
    task, asked = row.task, row.asked
    reason = f": {visible(row.reason)}" if row.reason else ""
    yield f"task {visible(task.id)}   {asked.state.value}{reason}"
    yield f"  call        {_told(iso(task.created_ms), _length(task.duration_ms), task.channel_type, task.direction)}"
    yield f"  with        {_told(task.queue_name, task.agent_name)}"
    yield f"  asked       first seen {iso(asked.first_seen_ms)}, {asked.empty_answers} answers without a recording"
    if asked.next_ask_ms is not None:
        yield f"  next        question at {iso(asked.next_ask_ms)}"
    if row.witness_ms is not None:
        deleted = ", deleted at Webex" if row.witness_deleted else ""
        yield f"  search      {row.witness_recordings} recordings{deleted}, heard {iso(row.witness_ms)}"
    for each in row.recordings:
        yield from _recording_lines(each, call.in_bucket)
    yield f"  certificate {_certificate(call)}"
    if WHY[asked.state]:
        yield f"  so          {WHY[asked.state]}"


def _recording_lines(each: KnownRecording, in_bucket: Mapping[str, ObjectFinding] | None) -> Iterator[str]:
    reason = f": {visible(each.reason)}" if each.reason and each.state is not RecordingState.STORED else ""
    flags = f"   flagged {visible(', '.join(each.flags))}" if each.flags else ""
    yield f"  recording   {visible(each.id)}   {each.state.value}{reason}{flags}"
    if each.stored is not None:
        crc = f", CRC-32 {each.stored.crc32:08x}" if each.stored.crc32 is not None else ""
        yield f"    object    {visible(each.stored.key)}   {size(each.stored.size)}{crc}"
        if in_bucket is not None and (found := in_bucket.get(each.id)):
            yield f"    in bucket {found.verdict.value}{': ' if found.detail else ''}{harmless(found.detail)}"


def _certificate(call: CallFacts) -> str:
    if call.certificate is None:
        return "none of its day; `wxrec-async reconcile` makes one"
    return f"{visible(call.certificate.certificate_key)}, {iso(call.certificate.certified_ms)}"


def _length(duration_ms: int | None) -> str | None:
    return span(duration_ms / 1000) if duration_ms is not None else None


def _told(*facts: str | None) -> str:
    return ", ".join(visible(each) for each in facts if each) or "Webex did not say"
