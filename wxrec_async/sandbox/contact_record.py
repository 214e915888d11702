"""What the two lists say of one contact: the attributes of a task, and the contact record of Search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.truth import phone

Row = dict[str, Any]
QUEUES = ("Support", "Sales", "Billing", "Second Line")
WRAP_UPS = ("Credit", "Complaint", "Order", "Call back")
# Inbound stands here twice, to be drawn twice as often.
DIRECTIONS = ("inbound", "inbound", "outbound", "outdial")
DESTINATION = "+15550109999"
# What a call that goes on is said to be, from which age on in milliseconds.
OPEN = ((25_000, "assigned"), (15_000, "offered"), (5_000, "queued"), (0, "created"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of a contact at one moment.  ``ended_ms`` is None while it goes on, then there is no size either."""

    seed: int
    index: int
    id: str
    channel: str
    created_ms: int
    now_ms: int | None
    ended_ms: int | None
    capture_requested: bool | None
    recorded: bool
    sizes: tuple[int, ...] = ()
    deleted: bool = False
    transcribed: bool = False
    updated_ms: int | None = None

    @property
    def draw(self) -> Draw:
        return Draw(self.seed, "attributes", self.index)


def task_attributes(facts: Facts) -> Row:
    """Return the attributes as ``GET /v1/tasks`` documents them: everything required is there."""
    draw = facts.draw
    ended = facts.ended_ms
    return {
        "owner": named(f"Agent {1 + draw.pick(6, 40)}"),
        "queue": named(QUEUES[draw.pick(4, 4)]),
        "channelType": facts.channel,
        "status": _open_status(facts) if ended is None else _final_status(facts),
        "createdTime": facts.created_ms,
        "lastUpdatedTime": facts.updated_ms or _last_change(facts),
        "captureRequested": facts.capture_requested,
        "origin": phone(draw.pick(1, 10_000)),
        "destination": DESTINATION,
        "direction": DIRECTIONS[draw.pick(2, 4)],
        "reasonCode": WRAP_UPS[draw.pick(13, 4)],
    }


def _final_status(facts: Facts) -> str:
    return "completed" if facts.recorded else ("abandoned", "completed")[facts.draw.pick(0, 2)]


def _open_status(facts: Facts) -> str:
    return next(status for after, status in OPEN if _age(facts) >= after)


def _last_change(facts: Facts) -> int:
    """Return when the row last became another one."""
    ended = facts.ended_ms
    if ended is None:
        return facts.created_ms + next(after for after, _ in OPEN if _age(facts) >= after)
    # It goes on changing after the end, which is why it is no end time.
    wrapped_up = ended + 1500
    return ended if facts.now_ms is not None and facts.now_ms < wrapped_up else wrapped_up


def _age(facts: Facts) -> int:
    return max(0, (facts.now_ms or facts.created_ms) - facts.created_ms)


def with_gaps(row: Row, facts: Facts) -> Row:
    """Return a row as live ones were seen: no owner in half of them, nulls, and the fields of older documentation."""
    draw, row = facts.draw, dict(row)
    if draw.unit(3) < 0.1:
        row["queue"] = None
    # endedTime and totalDuration below: the documentation has them no more, older replies do.
    row["reasonCode"] = None
    if draw.unit(5) >= 0.5:
        del row["owner"]
    if draw.unit(7) < 0.7 and facts.ended_ms is not None:
        row |= {"endedTime": facts.ended_ms, "totalDuration": facts.ended_ms - facts.created_ms}
    for name, slot in (("direction", 8), ("origin", 9), ("reasonCode", 10), ("lastUpdatedTime", 11)):
        if draw.unit(slot) < 0.03:
            del row[name]
    if facts.capture_requested is None and draw.unit(12) < 0.5:
        del row["captureRequested"]
    return row


def record_for(facts: Facts) -> Row:
    """Return what Search knows of a contact; what is not here is null."""
    draw = facts.draw
    number = phone(draw.pick(1, 10_000))
    agent, code = 1 + draw.pick(6, 40), draw.pick(13, 4)
    queue = {} if draw.unit(3) < 0.1 else named(QUEUES[draw.pick(4, 4)]) | {"duration": 4000}
    return _course(facts) | {
        "id": facts.id,
        "channelType": facts.channel,
        "direction": DIRECTIONS[draw.pick(2, 4)],
        "origin": number,
        "destination": DESTINATION,
        # "Was recorded", says Search's dictionary; on the list of tasks it means that a capture will come.
        "captureRequested": bool(facts.sizes) or facts.capture_requested,
        "isTranscriptionAvailable": facts.transcribed or None,  # true or null, never false
        "customer": {"name": None, "phoneNumber": number, "email": None},
        "lastQueue": queue,
        "queue": [queue] if queue else [],
        "lastAgent": _agent(agent),
        "owner": _agent(agent),
        "lastTeam": named(f"Team {1 + agent % 5}"),
        "lastSite": named(f"Site {1 + agent % 2}"),
        "lastEntryPoint": named("Main line"),
        "lastWrapUpCodeId": named(WRAP_UPS[code])["id"],
        "lastWrapupCodeName": WRAP_UPS[code],
        "queueCount": int(bool(queue)),
        "queueDuration": 4000 if queue else 0,
        "ringingDuration": 3000,
        "csatScore": 1 + draw.pick(14, 5),
        "autoCsat": str(1 + draw.pick(15, 5)),
        "isContactHandled": facts.recorded,
        "holdCount": 0,
        "transferCount": 0,
        "pausedCount": 0,
    }


def _course(facts: Facts) -> Row:
    """Return what depends on whether the contact is over."""
    ended = facts.ended_ms
    if ended is None:
        # Search has words of its own: the list says created to assigned, then completed or abandoned.
        return {"status": "connected", "isActive": True, "createdTime": facts.created_ms}
    return {
        "status": "ended",
        "isActive": False,
        "createdTime": facts.created_ms,
        "endedTime": ended,
        "totalDuration": ended - facts.created_ms,
        "connectedDuration": ended - facts.created_ms - 4000,
        "connectedCount": int(facts.recorded),
        "lastActivityTime": ended,
        "terminationType": "normal" if facts.recorded else "abandoned",
        "terminatingEnd": "Agent" if facts.recorded else "Customer",
        # "Number of times the call was recorded": that this is one for each capture is our reading, nobody promises it.
        "recordingCount": len(facts.sizes),
        "recordingFileSize": sum(facts.sizes),
        "recordingErrorCount": 0,
        "isRecordingDeleted": facts.deleted,
    }


def activities_of(row: Mapping[str, Any]) -> list[Row]:
    """Return the events of a contact, newest first; when a recording became available is one of them."""
    created, ended = row["createdTime"], row.get("endedTime")
    events = [("new", created), ("queued", created + 500), ("connected", created + 1500)]
    if row.get("recordingCount") or row.get("isActive"):
        events.append(("recording-started", created + 2000))
    if ended is not None:
        events.append(("ended", ended))
        if row.get("recordingCount"):
            # Seen in samples: the one place where it is told when a recording could be had.
            events.append(("recording-available", ended + 340_000))
    return [_activity(row, name, moment) for name, moment in reversed(events)]


def _activity(row: Mapping[str, Any], name: str, moment: int) -> Row:
    agent, queue = row.get("lastAgent") or {}, row.get("lastQueue") or {}
    return {
        "id": f"{row['id']}-{moment}-{name}",
        "eventName": name,
        "createdTime": moment,
        "endedTime": moment,
        "isActive": False,
        "duration": 0,
        "agentId": agent.get("id"),
        "agentName": agent.get("name"),
        "queueId": queue.get("id"),
        "queueName": queue.get("name"),
    }


def _agent(number: int) -> Row:
    return named(f"Agent {number}") | {
        "signInId": f"canary.agent{number}@example.com",
        "sessionId": Draw("session", number).uuid(),
        "phoneNumber": phone(number),
        "channelId": Draw("channel", number).uuid(),
    }


def named(name: str) -> dict[str, str]:
    """Return something with a name under the id that it always has."""
    return {"id": Draw("named", name).uuid(), "name": name}
