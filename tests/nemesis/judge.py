"""The judge: reads what was to be, what is there and what was said, and names every violation.

It imports nothing of the program: bytes are compared by their SHA-256, the
ledger is read with plain SQL, requests are counted at the server.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.nemesis.plan import Plan, must_be_hit
from tests.nemesis.world import World

Row = dict[str, Any]
CANARY = re.compile(rb"CANARY|1555010\d{4}|X-Amz-Signature=|Bearer [A-Za-z0-9]", re.IGNORECASE)
# A request that was on its way when the server said "wait" is no offence: nobody had read the answer yet.
ON_ITS_WAY_S = 2.0
COMMITS = ("s3.PutObject", "s3.CompleteMultipartUpload")
ONCE = (
    "organization", "tasks", "media.get", "s3.HeadBucket", "s3.GetBucketLocation", "s3.PutObject",
    "s3.CreateMultipartUpload", "s3.UploadPart", "s3.CompleteMultipartUpload",
)  # fmt: skip


@dataclass(slots=True)
class Evidence:
    """What a run left behind, as the outside sees it."""

    truth: dict[str, Row]
    tasks: dict[str, Row]
    objects: list[Row]
    uploads: list[Row]
    log: list[Row]
    faults: Row
    ledger_tasks: dict[str, Row]
    ledger_recordings: dict[str, Row]
    integrity: str
    leaks: list[str]

    @classmethod
    def of(cls, world: World) -> Evidence:
        tables = _ledger(world.ledger)
        return cls(
            {row["recording_id"]: row for row in world.ask("truth")},
            {row["id"]: row for row in world.ask("tasks") if row["channel"] == "telephony"},
            world.ask("objects?sha256=1"),
            world.ask("uploads"),
            world.ask("log"),
            world.ask("faults")[0],
            {row["id"]: row for row in tables["tasks"]},
            {row["id"]: row for row in tables["recordings"]},
            tables["integrity"][0]["integrity_check"],
            list(_leaks(world.outputs)),
        )


def _ledger(path: Path) -> dict[str, list[Row]]:
    queries = {
        "tasks": "SELECT id, state, reason FROM tasks",
        "recordings": "SELECT r.id, r.state, r.reason, r.object_key, r.size, r.crc32, t.id AS task_id"
        " FROM recordings r JOIN tasks t ON t.n = r.task",
        "integrity": "PRAGMA integrity_check",
    }
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        found = {name: [dict(row) for row in database.execute(query)] for name, query in queries.items()}
    database.close()
    return found


def _leaks(outputs: Sequence[Path]) -> Iterator[str]:
    for path in outputs:
        for hit in sorted({match.group()[:12] for match in CANARY.finditer(path.read_bytes())}):
            yield f"{path.name}: {hit.decode('ascii', 'replace')[:9]}…"


@dataclass(slots=True)
class Verdict:
    """Violations by name (empty lists are what everybody wants), and figures."""

    violations: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not any(self.violations.values())

    @property
    def unfinished(self) -> bool:
        """Whether all that is wrong is that something has not happened yet."""
        # An abort that meets faults while a run is stopped may not come through: the next start closes the upload.
        mendable = ("lost", "unexplained", "never hit", "uploads left open")
        return not self.clean and not any(found for name, found in self.violations.items() if name not in mendable)


def judge(evidence: Evidence, plan: Plan, world: World) -> Verdict:
    """Judge a run.  `Verdict.unfinished` says whether more rounds could mend it."""
    verdict = Verdict()
    objects = defaultdict(list)
    for row in evidence.objects:
        objects[row["key"]].append(row)
    checks = {
        "lost": _lost(evidence, plan, objects),
        "duplicated": _duplicated(evidence),
        "corrupt": _corrupt(evidence, plan),
        "unexplained": _unexplained(evidence, plan),
        "objects of failed recordings": _of_failed(evidence, plan, objects),
        "ledger ahead of the bucket": _ahead(evidence, objects),
        "requests inside a Retry-After": _inside_windows(evidence.log, world),
        "token requests too many": _token_requests(evidence, plan, world),
        "uploads left open": [f"{row['key']} {row['upload_id']}" for row in evidence.uploads],
        "writes without protection": _unprotected(evidence.log),
        "leaks": evidence.leaks,
        "never hit": must_be_hit(plan, evidence.faults["never_hit"]),
        "damaged ledger": [] if evidence.integrity == "ok" else [evidence.integrity],
        "fetched again after a kill": _fetched_again(evidence, world),
    }
    verdict.violations = {name: list(found) for name, found in checks.items()}
    verdict.figures = _figures(evidence, world)
    return verdict


def _must_be_stored(evidence: Evidence, plan: Plan) -> Iterator[Row]:
    for recording_id, row in evidence.truth.items():
        fate = plan.expected.get(recording_id)
        if fate is None or fate.state == "stored":
            yield row


def _lost(evidence: Evidence, plan: Plan, objects: dict[str, list[Row]]) -> Iterator[str]:
    for row in _must_be_stored(evidence, plan):
        known = evidence.ledger_recordings.get(row["recording_id"])
        if row["key"] not in objects:
            yield f"{row['recording_id']} is not in the bucket; ledger: {known and (known['state'], known['reason'])}"
        elif known is None or known["state"] != "stored":
            yield f"{row['recording_id']} is in the bucket, ledger: {known and (known['state'], known['reason'])}"
    for task_id in evidence.tasks:
        if task_id not in evidence.ledger_tasks:
            yield f"task {task_id} was never listed"


def _duplicated(evidence: Evidence) -> Iterator[str]:
    named = Counter(
        (row["metadata"].get("wx-task-id"), row["metadata"].get("wx-recording-id"))
        for row in evidence.objects
        if row["metadata"]
    )
    yield from (f"{names} lies at {count} keys" for names, count in named.items() if count > 1)
    yield from (f"{key} was replaced" for key in evidence.faults["replaced"])
    wanted = {row["key"] for row in evidence.truth.values()}
    yield from (f"{row['key']} belongs to nothing" for row in evidence.objects if row["key"] not in wanted)


def _corrupt(evidence: Evidence, plan: Plan) -> Iterator[str]:
    truth = {row["key"]: row for row in evidence.truth.values()}
    for row in evidence.objects:
        source = truth.get(row["key"])
        if source is None or row["key"] in plan.taken:
            continue
        if (row["sha256"], row["size"]) != (source["sha256"], source["size"]):
            yield f"{row['key']}: {row['size']} bytes, the source has {source['size']}"
        elif row["content_type"] != source["content_type"]:
            yield f"{row['key']}: type {row['content_type']}, not {source['content_type']}"


def _unexplained(evidence: Evidence, plan: Plan) -> Iterator[str]:
    """Everything must have come to rest where it was meant to, and for the reason it was given."""
    for recording_id, known in evidence.ledger_recordings.items():
        fate = plan.expected.get(recording_id)
        state, reasons = (fate.state, fate.reasons) if fate else ("stored", ("",))
        if known["state"] != state or (state == "failed" and known["reason"] not in reasons):
            yield f"{recording_id} ({fate.name if fate else 'plain'}): {known['state']} {known['reason']}"
    for task_id, known in evidence.ledger_tasks.items():
        row = evidence.tasks.get(task_id)
        if row is None:
            yield f"task {task_id} does not exist"
        elif known["state"] not in (allowed := _task_states(row, plan)):
            yield f"task {task_id}: {known['state']} {known['reason']}, not {' or '.join(sorted(allowed))}"


def _task_states(row: Row, plan: Plan) -> set[str]:
    fates = [fate for recording_id in row["recordings"] if (fate := plan.expected.get(recording_id))]
    if any(fate.operation == "captures" and fate.fault["kind"] == "error" for fate in fates):
        return {"failed"}
    if row["id"] in plan.purged:
        return {"owed"}
    had_some = row["recordings"] or row["id"] in plan.deleted
    return {"captured"} if had_some else {"no_recording"}


def _of_failed(evidence: Evidence, plan: Plan, objects: dict[str, list[Row]]) -> Iterator[str]:
    for recording_id, known in evidence.ledger_recordings.items():
        source = evidence.truth.get(recording_id)
        if source is None or known["state"] not in ("failed", "gone") or source["key"] in plan.taken:
            continue
        if source["key"] in objects:
            yield f"{recording_id} is {known['state']}, and {source['key']} is there"
    for row in evidence.objects:
        if row["key"] in plan.taken and row["etag"] != "planted":
            yield f"{row['key']}: what was there before is not there any more"


def _ahead(evidence: Evidence, objects: dict[str, list[Row]]) -> Iterator[str]:
    for recording_id, known in evidence.ledger_recordings.items():
        if known["state"] != "stored":
            continue
        found = objects.get(known["object_key"], [])
        if not any((row["size"], row["crc32"]) == (known["size"], known["crc32"]) for row in found):
            yield f"{recording_id} is stored by the ledger, and not so in the bucket"


def _unprotected(log: Sequence[Row]) -> Iterator[str]:
    """Every byte goes out with a checksum, every object is made only where there is none."""
    for row in log:
        headers, operation = row["headers"], row["operation"]
        checked = any(name in headers for name in ("x-amz-checksum-crc32", "x-amz-checksum-crc32c", "content-md5"))
        if operation in (*COMMITS, "s3.UploadPart") and not checked:
            yield f"{operation} {row['key']}: no checksum"
        if operation in COMMITS and headers.get("if-none-match") != "*":
            yield f"{operation} {row['key']}: would replace what is there"


def _inside_windows(log: Sequence[Row], world: World) -> Iterator[str]:
    """Requests of any worker of one start of the program to a server that had asked it to be left alone.

    The next start, a moment later, has not been told: a kill leaves nobody to pass it on.
    """
    for closing in (row for row in log if row["asked_wait_s"] and row["seconds"] is not None):
        said = closing["started"] + closing["seconds"]
        end = next((each.log_end for each in world.rounds if each.log_end >= closing["number"]), math.inf)
        for row in (each for each in log if each["number"] <= end):
            late = row["started"] - said
            if row["server"] == closing["server"] and ON_ITS_WAY_S < late < closing["asked_wait_s"] - 0.05:
                yield f"{row['operation']} {late:.2f} s into {closing['asked_wait_s']:g} s (request {row['number']})"


def _token_requests(evidence: Evidence, plan: Plan, world: World) -> Iterator[str]:
    """One renewal that arrived for each time a token was refused for good; a renewal whose reply was lost is none.

    A kill may come between a renewal and its saving: the next start has only the refused token, and renews again.
    """
    renewed = [row for row in evidence.log if row["operation"] == "token" and row["status"] == 200]
    refused = sum(
        count
        for words, count in evidence.faults["campaign"].items()
        if words.startswith(("captures token_", "captures expire_token", "tasks token_"))
    )
    if len(renewed) > refused + sum(each.killed for each in world.rounds):
        yield f"{len(renewed)} for {refused} refused tokens"
    if plan.expiries and not renewed:
        yield "no token was ever renewed"


def _fetched_again(evidence: Evidence, world: World) -> Iterator[str]:
    """Return kills after which more was downloaded again than can have been under way."""
    keys = {row["key"]: recording_id for recording_id, row in evidence.truth.items()}
    stored_at: dict[str, int] = {}
    for row in evidence.log:
        if row["operation"] in COMMITS and row["status"] == 200 and row["code"] == "" and row["key"] in keys:
            stored_at.setdefault(keys[row["key"]], row["number"])
    for end, following in _kills(world):
        again = {
            row["key"]
            for row in evidence.log
            if row["operation"] == "media.get" and end < row["number"] <= following
            if stored_at.get(row["key"], end + 1) <= end
        }
        if len(again) > world.concurrency + 1:
            yield f"{len(again)} stored recordings after the kill at request {end}"


def _kills(world: World) -> Iterator[tuple[int, int]]:
    for place, each in enumerate(world.rounds[:-1]):
        if each.killed:
            yield each.log_end, world.rounds[place + 1].log_end


def _figures(evidence: Evidence, world: World) -> dict[str, float]:
    log = evidence.log
    stored = sum(row["state"] == "stored" for row in evidence.ledger_recordings.values())
    needed = _needed(evidence)
    wire = sum(row["server"] != "control" for row in log)
    return {
        "recordings": len(evidence.truth),
        "stored": stored,
        "failed as planned": sum(row["state"] in ("failed", "gone") for row in evidence.ledger_recordings.values()),
        "faults": sum(evidence.faults["campaign"].values()),
        "kinds of fault hit": len(evidence.faults["campaign"]),
        "requests": wire,
        "requests needed": needed,
        "amplification": round(wire / needed, 3),
        "token requests": sum(row["operation"] == "token" for row in log),
        "pauses asked for": sum(bool(row["asked_wait_s"]) for row in log),
        "starts of the program": len(world.rounds),
        "kills": sum(each.killed for each in world.rounds),
        "seconds": round(sum(each.seconds for each in world.rounds), 1),
        "MiB": round(sum(row["size"] for row in evidence.objects) / (1 << 20), 1),
    }


def _needed(evidence: Evidence) -> int:
    """Count the requests of a day without faults: each of these once for each key, captures once for ten tasks."""
    keys = {(row["operation"], row["key"]) for row in evidence.log if row["operation"] in ONCE}
    asked = {task_id for row in evidence.log if row["operation"] == "captures" for task_id in row["key"].split(",")}
    heads = {row["key"] for row in evidence.log if row["operation"] == "s3.CreateMultipartUpload"}
    return len(keys) + -(-len(asked) // 10) + len(heads)
