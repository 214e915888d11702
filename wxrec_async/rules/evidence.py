"""What a manifest and a certificate say, byte for byte, and where they lie.

A certificate covers one UTC day of one organisation.  It says what it rests on:
which list was heard, how many calls the two lists count differently, how many
recordings were stored although something about them is odd.  It names the manifest of
that day by its SHA-256, and a second file with every task that has nothing to be
stored, so that those can be checked, too; the certificate issued before it (of whatever day) by
its SHA-256, and the earlier certificate of the same day it takes the place of.
Certificates are numbered from 1 without a gap, and the number is the key: two
who issue at once meet there, and one of them has to begin anew.  So the chain
has no branches, and a change in any file breaks it.

Everything is JSON with sorted names, no spaces, UTF-8 and a newline at the end,
so that the same content is the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wxrec_async.model import DAY_MS, Kind, SearchState, Window, iso
from wxrec_async.rules.keys import encode_id
from wxrec_async.rules.parts import crc32_text

SCHEMA = 2
SCHEMAS = (1, SCHEMA)  # the first one said neither what it rests on nor which tasks have nothing
CERTIFICATE_TYPE = "application/json"
MANIFEST_TYPE = "application/x-ndjson"
MAX_CERTIFICATE = 1 << 20
MAX_LINE = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CERTIFICATE_KEY = re.compile(r"(\d{8})\.json")


class Unsound(ValueError):
    """A file of the evidence is not what it must be; the message says what is wrong with it."""


def canonical(value: object) -> bytes:
    """Write a JSON value: names sorted, nothing between them, UTF-8, a newline at the end."""
    # What JSON cannot hold is refused; a lone surrogate becomes `\udXXX` below, which is JSON's own way to write it.
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return (text + "\n").encode("utf-8", "backslashreplace")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 in hex, as ``sha256sum`` prints it."""
    return hashlib.sha256(data).hexdigest()


def whole_day(day: Window) -> str:
    """Return the day as ``2026-01-31``; raises ValueError when the window is not one whole UTC day."""
    if day.from_ms % DAY_MS or day.length_ms != DAY_MS:
        raise ValueError(f"{day} is not one UTC day")
    return f"{datetime.fromtimestamp(day.from_ms / 1000, UTC):%Y-%m-%d}"


# Where it lies


@dataclass(frozen=True, slots=True)
class Places:
    """Where the evidence of one organisation lies; ``root`` is `keys.evidence_prefix` of the key template."""

    root: str
    org_id: str

    @property
    def home(self) -> str:
        return f"{self.root}{encode_id(self.org_id)}/"

    @property
    def certificates(self) -> str:
        return f"{self.home}certificates/"

    @property
    def manifests(self) -> str:
        return f"{self.home}manifests/"

    def certificate(self, n: int) -> str:
        """Return the key of the ``n``-th certificate, which no other one can take."""
        return f"{self.certificates}{n:08d}.json"

    def manifests_of(self, day: Window) -> str:
        """Return what the keys of a day's manifests begin with."""
        return f"{self.manifests}{whole_day(day)}/"

    def manifest(self, day: Window, number: int, sha256: str) -> str:
        """Return the key of a day's ``number``-th manifest; other content is another key."""
        # A run that broke off left its manifest behind; with the content in the key the next one does not meet it.
        return f"{self.manifests_of(day)}{number:04d}-{sha256[:16]}.jsonl"

    def tasks(self, day: Window, number: int, sha256: str) -> str:
        """Return the key of the file beside a manifest that names the tasks without anything to store."""
        return f"{self.manifests_of(day)}{number:04d}-{sha256[:16]}.tasks.jsonl"

    def number_of(self, key: str) -> int | None:
        """Return which certificate a key is for, None when it is none that `certificate` makes."""
        # `removeprefix` leaves a key of another place as it is, so the whole key is compared below.
        match = _CERTIFICATE_KEY.fullmatch(key.removeprefix(self.certificates))
        return int(match[1]) if match and key == self.certificate(int(match[1])) else None


# Manifests, a line for each recording, and the file beside them, a line for each task with nothing to store


@dataclass(frozen=True, slots=True)
class Item:
    """One stored recording, as a manifest names it.  Times are epoch milliseconds, ``size`` is in bytes.

    ``sha256`` (hex) and ``crc32`` are None when they are not known.
    """

    place_ms: int
    task_id: str
    recording_id: str
    key: str
    size: int
    crc32: int | None = None
    sha256: str | None = None
    etag: str | None = None
    version_id: str | None = None
    call_type: str | None = None
    segment: bool = False
    created_ms: int | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    stored_ms: int | None = None
    tracking_id: str | None = None
    run_id: str | None = None
    tool_version: str | None = None
    kind: str = Kind.AUDIO.value


def manifest_line(item: Item) -> bytes:
    """Write one line of a manifest; ``kind`` is in those only that are no audio: all others stay as they were."""
    return canonical(
        {
            **({} if item.kind == Kind.AUDIO else {"kind": item.kind}),
            "task_id": item.task_id,
            "recording_id": item.recording_id,
            "key": item.key,
            "bytes": item.size,
            "checksum": None if item.crc32 is None else crc32_text(item.crc32),
            "checksum_algorithm": "CRC32",
            "sha256": item.sha256,
            "etag": item.etag or None,
            "version_id": item.version_id or None,
            "call_type": item.call_type,
            "segment": item.segment,
            "created": iso(item.created_ms),
            "start": iso(item.start_ms),
            "stop": iso(item.stop_ms),
            "stored": iso(item.stored_ms),
            "tracking_id": item.tracking_id or None,
            "run_id": item.run_id,
            "tool_version": item.tool_version,
        }
    )


@dataclass(frozen=True, slots=True, order=True)
class Ended:
    """A task that came to an end with nothing to store: ``state`` is no_recording or deleted.

    ``reason`` and ``evidence`` are stable words: why, and what says so.
    """

    task_id: str
    state: str
    reason: str = ""
    evidence: str = ""


def ended_line(ended: Ended) -> bytes:
    """Write one line of the file of tasks."""
    return canonical(
        {
            "task_id": ended.task_id,
            "state": ended.state,
            "reason": ended.reason or None,
            "evidence": ended.evidence or None,
        }
    )


def read_ended(line: bytes) -> Ended:
    """Read one line of the file of tasks; raises `Unsound`."""
    said = _object(line)
    try:
        words = [_text_or_none(said, name) or "" for name in ("reason", "evidence")]
        return Ended(_text(said, "task_id"), _text(said, "state"), *words)
    except (KeyError, TypeError) as error:
        raise Unsound(f"a line names no task: {str(error)[:100]}") from None


@dataclass(frozen=True, slots=True)
class NamedObject:
    """What a manifest line says of an object: enough to hold it against the bucket."""

    task_id: str
    recording_id: str
    key: str
    size: int
    checksum: str | None
    sha256: str | None
    etag: str | None


def read_line(line: bytes) -> NamedObject:
    """Read one line of a manifest; raises `Unsound`."""
    said = _object(line)
    try:
        named = NamedObject(
            task_id=_text(said, "task_id"),
            recording_id=_text(said, "recording_id"),
            key=_text(said, "key"),
            size=_count(said, "bytes"),
            checksum=_text_or_none(said, "checksum"),
            sha256=_text_or_none(said, "sha256"),
            etag=_text_or_none(said, "etag"),
        )
    except (KeyError, TypeError) as error:
        raise Unsound(f"a line is no manifest line: {str(error)[:100]}") from None
    if named.sha256 is not None and not _SHA256.fullmatch(named.sha256):
        raise Unsound("a line names a SHA-256 that is none")
    return named


# What a certificate says


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as a certificate names it: ``size`` in bytes, ``recordings`` lines."""

    key: str
    sha256: str
    size: int
    recordings: int


@dataclass(frozen=True, slots=True)
class TasksFile:
    """The file of tasks without anything to store, as a certificate names it: ``size`` in bytes, ``lines`` tasks."""

    key: str
    sha256: str
    size: int
    lines: int


@dataclass(frozen=True, slots=True)
class Basis:
    """What a certificate rests on.

    ``witnesses`` says of each list how it was heard (`model.SearchState`),
    ``disagreements`` how many tasks Search counts otherwise, ``flags`` how many
    recordings of the day were stored although something about them is odd.
    """

    witnesses: Mapping[str, str]
    disagreements: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        return {
            "witnesses": dict(self.witnesses),
            "disagreements": dict(self.disagreements),
            "flags": dict(self.flags),
        }


UNSAID = Basis({"tasks": SearchState.NOT_ASKED.value, "search": SearchState.NOT_ASKED.value})


@dataclass(frozen=True, slots=True)
class Claim:
    """One whole UTC day of which nothing is missing, as it is to be certified.

    ``counts`` are its tasks and recordings by state, ``filters`` what was left out on purpose (both JSON),
    ``run_id`` is who certifies, ``basis`` what it rests on.
    """

    day: Window
    counts: Mapping[str, int | None]
    filters: Mapping[str, object]
    run_id: str
    basis: Basis = UNSAID


@dataclass(frozen=True, slots=True)
class Link:
    """Another certificate, by its key and its SHA-256."""

    key: str
    sha256: str

    def as_json(self) -> dict[str, str]:
        return {"key": self.key, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Content:
    """What a certificate says of a day, however often it is issued.

    ``counts`` are null where that was not asked.  ``basis`` and ``tasks``, whose key is
    not part of it, are None in a certificate of schema 1 only.
    """

    org_id: str
    bucket: str
    day: Window
    filters: Mapping[str, object]
    counts: Mapping[str, int | None]
    manifest_sha256: str
    manifest_size: int
    recordings: int
    basis: Basis | None = None
    tasks: TasksFile | None = None

    def as_json(self) -> dict[str, object]:
        more: dict[str, object] = {}
        if self.basis and self.tasks:
            file = {"sha256": self.tasks.sha256, "bytes": self.tasks.size, "lines": self.tasks.lines}
            more = self.basis.as_json() | {"tasks": file}
        return more | {
            "organisation": self.org_id,
            "bucket": self.bucket,
            "day": whole_day(self.day),
            "period": {"from": iso(self.day.from_ms), "to": iso(self.day.to_ms)},
            "filters": dict(self.filters),
            "counts": dict(self.counts),
            "manifest": {
                "sha256": self.manifest_sha256,
                "bytes": self.manifest_size,
                "recordings": self.recordings,
            },
        }

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON: equal when two certificates say the same of the same day."""
        return sha256_hex(canonical(self.as_json()))


@dataclass(frozen=True, slots=True)
class Issue:
    """Where in the chain a certificate stands, and who issued it when.

    ``n`` counts all certificates of the organisation, ``number`` those of the
    day; ``previous`` is the one issued before, ``follows`` the one of the same
    day whose place this one takes.  ``abandoned`` are manifests that were
    written and never certified, because a run was broken off.
    """

    n: int
    number: int
    previous: Link | None
    follows: Link | None
    manifest_key: str
    issued_ms: int
    run_id: str
    tool_version: str
    abandoned: tuple[str, ...] = ()


def certificate(content: Content, issue: Issue) -> bytes:
    """Write a certificate."""
    said = content.as_json()
    said["manifest"] = {"key": issue.manifest_key, **_mapping(said["manifest"])}
    if content.tasks:
        said["tasks"] = {"key": content.tasks.key, **_mapping(said["tasks"])}
    return canonical(
        {
            "schema": SCHEMA if content.basis else 1,
            "n": issue.n,
            "number": issue.number,
            **said,
            "content_sha256": content.sha256,
            "previous": issue.previous.as_json() if issue.previous else None,
            "follows": issue.follows.as_json() if issue.follows else None,
            "abandoned": list(issue.abandoned),
            "issued": {"at": iso(issue.issued_ms), "run_id": issue.run_id, "tool_version": issue.tool_version},
        }
    )


# Reading certificates, and whether they fit together


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it was read; ``sha256`` is that of its bytes."""

    key: str
    sha256: str
    n: int
    number: int
    org_id: str
    bucket: str
    day: Window
    counts: Mapping[str, int | None]
    filters: Mapping[str, object]
    manifest: Manifest
    content_sha256: str
    previous: Link | None
    follows: Link | None
    abandoned: tuple[str, ...]
    issued_ms: int
    schema: int = 1
    basis: Basis | None = None
    tasks: TasksFile | None = None

    @property
    def link(self) -> Link:
        return Link(self.key, self.sha256)


def read_certificate(key: str, data: bytes) -> Certificate:
    """Read a certificate; raises `Unsound` when it is none, or not written as `certificate` writes."""
    said = _object(data)
    # A name given twice, or a blank more, would read the same here and have another SHA-256.
    if not _is_canonical(said, data):
        raise Unsound("it is not written in the canonical form")
    # True == 1 in Python: a bool would pass for schema 1.
    if said.get("schema") not in SCHEMAS or isinstance(said.get("schema"), bool):
        raise Unsound(f"its schema is {str(said.get('schema'))[:40]!r}, this program knows up to {SCHEMA}")
    try:
        found = _certificate(key, data, said)
    # It is a ValueError, too, and has better words than those below.
    except Unsound:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise Unsound(f"it is no certificate ({type(error).__name__}: {str(error)[:100]})") from None
    return found


def _is_canonical(said: dict[str, Any], data: bytes) -> bool:
    try:
        return canonical(said) == data
    except (ValueError, RecursionError):  # not-a-number, which JSON does not have; nested deeper than can be written
        return False


def _certificate(key: str, data: bytes, said: dict[str, Any]) -> Certificate:
    period, manifest = _mapping(said["period"]), _mapping(said["manifest"])
    day = Window(_ms(period["from"]), _ms(period["to"]))
    if whole_day(day) != said["day"]:
        raise Unsound("its day and its period are not the same")
    basis, tasks = _rests_on(said) if said["schema"] != 1 else (None, None)
    content = Content(
        org_id=_text(said, "organisation"),
        bucket=_text(said, "bucket"),
        day=day,
        filters=_mapping(said["filters"]),
        counts={name: _counted(said["counts"], name, basis) for name in _mapping(said["counts"])},
        manifest_sha256=_text(manifest, "sha256"),
        manifest_size=_count(manifest, "bytes"),
        recordings=_count(manifest, "recordings"),
        basis=basis,
        tasks=tasks,
    )
    if content.sha256 != said["content_sha256"]:
        raise Unsound("its content_sha256 is not that of its content")
    return Certificate(
        key=key,
        sha256=sha256_hex(data),
        n=_count(said, "n"),
        number=_count(said, "number"),
        org_id=content.org_id,
        bucket=content.bucket,
        day=day,
        counts=content.counts,
        filters=content.filters,
        manifest=Manifest(_text(manifest, "key"), content.manifest_sha256, content.manifest_size, content.recordings),
        content_sha256=content.sha256,
        previous=_link(said["previous"]),
        follows=_link(said["follows"]),
        abandoned=tuple(str(each) for each in said["abandoned"]),
        issued_ms=_ms(_mapping(said["issued"])["at"]),
        schema=said["schema"],
        basis=basis,
        tasks=tasks,
    )


def _rests_on(said: dict[str, Any]) -> tuple[Basis, TasksFile]:
    witnesses, file = _mapping(said["witnesses"]), _mapping(said["tasks"])
    basis = Basis(
        witnesses={name: _text(witnesses, name) for name in witnesses},
        disagreements={name: _count(said["disagreements"], name) for name in _mapping(said["disagreements"])},
        flags={name: _count(said["flags"], name) for name in _mapping(said["flags"])},
    )
    tasks = TasksFile(_text(file, "key"), _text(file, "sha256"), _count(file, "bytes"), _count(file, "lines"))
    return basis, tasks


def _counted(said: Mapping[str, Any], name: str, basis: Basis | None) -> int | None:
    # Schema 1 knows no null: there a missing count is damage.
    return None if basis and said[name] is None else _count(said, name)


ENDED_STATES = ("no_recording", "deleted")


def miscounted(counts: Mapping[str, int | None], states: Mapping[str, int]) -> str:
    """Return what is wrong when the file of tasks does not name as many in each state as the certificate counts."""
    for state in sorted({*ENDED_STATES, *states}):
        counted, named = counts.get(state) or 0, states.get(state, 0)
        if counted != named:
            return f"it names {named} tasks as {state}, its certificate counts {counted}"
    return ""


def misplaced(
    found: Certificate, places: Places, *, previous: Link | None, follows: Link | None, number: int
) -> list[str]:
    """Return what is wrong with a certificate's place in the chain, a sentence each.

    ``previous`` is the certificate before it, ``follows`` the newest of its day
    among those before it, ``number`` the one it should have among those of its day.
    """
    wrong = []
    if found.org_id != places.org_id:
        wrong.append(f"it is of organisation {found.org_id!r}, not of {places.org_id!r}")
    if found.key != places.certificate(found.n):
        wrong.append(f"it calls itself number {found.n} and lies elsewhere")
    if found.previous != previous:
        wrong.append("the certificate before it is not the one it names: the chain is broken or forked here")
    if found.follows != follows:
        wrong.append("it does not follow the certificate of its day that came before it")
    if found.number != number:
        wrong.append(f"it calls itself number {found.number} of its day, and is number {number}")
    if found.manifest.key != places.manifest(found.day, found.number, found.manifest.sha256):
        wrong.append("its manifest lies elsewhere")
    if found.tasks and found.tasks.key != places.tasks(found.day, found.number, found.tasks.sha256):
        wrong.append("its file of tasks lies elsewhere")
    return wrong


# JSON, read strictly: what is missing or of another kind is an error, never a default


def _object(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise Unsound("it is not JSON") from None
    if not isinstance(said, dict):
        raise Unsound("it is not a JSON object")
    return said


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object is missing")
    return value


def _text(said: Mapping[str, Any], name: str) -> str:
    if not isinstance(value := said[name], str) or not value:
        raise TypeError(f"{name} is not a text")
    return value


def _text_or_none(said: Mapping[str, Any], name: str) -> str | None:
    return None if said.get(name) is None else _text(said, name)


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{name} is not a count")
    return value


def _link(value: object) -> Link | None:
    if value is None:
        return None
    said = _mapping(value)
    return Link(_text(said, "key"), _text(said, "sha256"))


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
