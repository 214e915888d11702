"""The judge convicts: each kind of violation, put into otherwise clean evidence, is named, and nothing else is."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.nemesis.judge import CANARY, Evidence, judge
from tests.nemesis.plan import LASTING, Plan
from tests.nemesis.world import Round, World

GONE = LASTING[0]


def request(number: int, operation: str, key: str, **facts: Any) -> dict[str, Any]:
    server = "s3" if operation.startswith("s3.") else "media" if operation.startswith("media") else "api"
    row = {"number": number, "operation": operation, "key": key, "server": server, "status": 200, "code": ""}
    headers = {"if-none-match": "*", "x-amz-checksum-crc32": "AAAAAA=="} if server == "s3" else {}
    return row | {"started": float(number), "seconds": 0.1, "asked_wait_s": None, "headers": headers} | facts


def stored(name: str) -> dict[str, Any]:
    metadata = {"wx-task-id": f"t-{name}", "wx-recording-id": name}
    facts = {"key": f"k/{name}", "size": 9, "crc32": 7, "sha256": name, "content_type": "audio/wav"}
    return facts | {"metadata": metadata, "etag": f"e-{name}"}


def clean() -> Evidence:
    """Two recordings that are stored and one that Webex deleted."""
    truth = {
        name: {"recording_id": name, "key": f"k/{name}", "size": 9, "sha256": name, "content_type": "audio/wav"}
        for name in ("a", "b", "g")
    }
    known = {"reason": "", "object_key": None, "size": None, "crc32": None}
    return Evidence(
        truth=truth,
        tasks={f"t-{name}": {"id": f"t-{name}", "recordings": [name]} for name in truth},
        objects=[stored("a"), stored("b")],
        uploads=[],
        log=[
            request(1, "captures", "t-a,t-b,t-g", status=401),
            request(2, "token", "refresh_token-1", server="auth"),
            request(3, "captures", "t-a,t-b,t-g", status=429, asked_wait_s=4.0),
            request(8, "captures", "t-a,t-b,t-g"),
            request(9, "media.get", "a"),
            request(10, "s3.PutObject", "k/a"),
            request(11, "media.get", "b"),
            request(12, "s3.PutObject", "k/b"),
        ],
        faults={"replaced": [], "campaign": {"captures expire_token": 1}, "never_hit": []},
        ledger_tasks={f"t-{name}": {"state": "captured", "reason": ""} for name in truth},
        ledger_recordings={
            "a": known | {"state": "stored", "object_key": "k/a", "size": 9, "crc32": 7},
            "b": known | {"state": "stored", "object_key": "k/b", "size": 9, "crc32": 7},
            "g": known | {"state": "gone"},
        },
        integrity="ok",
        leaks=[],
    )


def verdict_of(evidence: Evidence) -> dict[str, list[str]]:
    plan = Plan(1, 3, 0, "all", {}, expected={"g": GONE}, expiries=1, whole=True)
    world = World(Path(), {}, concurrency=1, rounds=[Round(-9, 1.0, killed=True, log_end=12), Round(0, 1.0, False, 99)])
    return {name: found for name, found in judge(evidence, plan, world).violations.items() if found}


def test_clean_evidence_is_clean() -> None:
    """Nothing is found where nothing is."""
    assert verdict_of(clean()) == {}


def _again(evidence: Evidence) -> None:
    """Let more be fetched again after the kill than can have been under way."""
    evidence.truth |= {f"x{n}": evidence.truth["a"] | {"recording_id": f"x{n}", "key": f"k/x{n}"} for n in range(3)}
    for number in range(3):
        evidence.objects.append(stored(f"x{number}") | {"sha256": "a"})
        evidence.ledger_recordings[f"x{number}"] = evidence.ledger_recordings["a"] | {"object_key": f"k/x{number}"}
        evidence.log.append(request(12 - number, "s3.PutObject", f"k/x{number}"))
        evidence.log.append(request(20 + number, "media.get", f"x{number}"))


CRIMES: list[tuple[str, Callable[[Evidence], Any]]] = [
    ("never hit", lambda e: e.faults["never_hit"].append("media.get html")),
    ("duplicated", lambda e: e.faults["replaced"].append("k/a")),
    ("duplicated", lambda e: e.objects.append(stored("a") | {"key": "k/other"})),
    ("corrupt", lambda e: e.objects[0].update(sha256="other")),
    ("corrupt", lambda e: e.objects[0].update(content_type="text/html")),
    ("unexplained", lambda e: e.ledger_recordings["g"].update(state="failed", reason="retries_exhausted")),
    ("unexplained", lambda e: e.ledger_tasks["t-a"].update(state="no_recording")),
    ("unexplained", lambda e: e.ledger_tasks.update({"t-z": {"state": "captured", "reason": ""}})),
    ("objects of failed recordings", lambda e: e.objects.append(stored("g"))),
    ("ledger ahead of the bucket", lambda e: e.ledger_recordings["a"].update(crc32=8)),
    ("requests inside a Retry-After", lambda e: e.log.insert(3, request(5, "tasks", "", started=5.5))),
    (
        "token requests too many",
        lambda e: e.log.extend(request(n, "token", "refresh_token-1", server="auth") for n in (13, 14)),
    ),
    ("uploads left open", lambda e: e.uploads.append({"key": "k/a", "upload_id": "u"})),
    ("writes without protection", lambda e: e.log[5]["headers"].pop("if-none-match")),
    ("writes without protection", lambda e: e.log[7]["headers"].pop("x-amz-checksum-crc32")),
    ("leaks", lambda e: e.leaks.append("round-1.err: CANARY-AT")),
    ("damaged ledger", lambda e: setattr(e, "integrity", "row 3 missing from index")),
    ("lost", lambda e: e.tasks.update({"t-new": {"id": "t-new", "recordings": []}})),
    ("fetched again after a kill", _again),
]


@pytest.mark.parametrize(("name", "commit"), CRIMES)
def test_each_violation_is_named(name: str, commit: Callable[[Evidence], Any]) -> None:
    """One crime, one conviction."""
    evidence = clean()
    commit(evidence)
    assert name in verdict_of(evidence)


def test_a_recording_that_is_not_there_is_lost_and_leads_the_ledger() -> None:
    """A missing object is a loss, and the ledger's word for it a lie."""
    evidence = clean()
    del evidence.objects[0]
    assert set(verdict_of(evidence)) == {"lost", "ledger ahead of the bucket"}


def test_a_renewal_that_a_kill_lost_may_be_had_again() -> None:
    """The token was renewed and never saved: whoever starts next has only the old one."""
    evidence = clean()
    evidence.log.append(request(13, "token", "refresh_token-1", server="auth"))
    assert verdict_of(evidence) == {}


def test_a_request_that_was_on_its_way_is_no_offence() -> None:
    """Nobody can heed an answer that has not been read; behind the window everything is allowed again."""
    evidence = clean()
    evidence.log += [request(14, "tasks", "", started=3.9), request(15, "tasks", "", started=7.2)]
    assert verdict_of(evidence) == {}


def test_the_next_start_has_not_been_told_to_wait() -> None:
    """Whoever was asked to wait was killed; within one start the same request is an offence."""
    evidence = clean()
    evidence.log.append(request(13, "tasks", "", started=5.5))
    assert verdict_of(evidence) == {}
    evidence.log[-1]["number"] = 12
    assert "requests inside a Retry-After" in verdict_of(evidence)


@pytest.mark.parametrize(
    "text", [b"CANARY-AT-1_x", b"call +15550100123 ended", b"?a=1&X-Amz-Signature=abc", b"Bearer x1"]
)
@pytest.mark.shows_canaries("the judge must know them when it sees them")
def test_secrets_are_known_on_sight(text: bytes) -> None:
    """Tokens, telephone numbers and signatures are found in any bytes."""
    assert CANARY.search(text)


def test_the_judge_knows_nothing_of_the_program() -> None:
    """Of the package only the sandbox, which imports nothing else of it, is used by the nemesis run."""
    for path in Path(__file__).parent.glob("*.py"):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom | ast.Import)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        ours = {name for name in names if name.startswith("wxrec_async")}
        assert all(name.startswith("wxrec_async.sandbox") for name in ours), path.name
