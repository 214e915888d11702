"""What can be wrong with evidence, and the report of an audit."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, EXIT_OK, SUMMARY_SCHEMA
from wxrec_async.model import Window, iso

# So many are in the report; `on_problem` hears of all, and all are counted.
KEPT = 1000


class ProblemKind(enum.StrEnum):
    """What is wrong.

    Of certificates: ``CERTIFICATE_MISSING``, ``CERTIFICATE_UNSOUND`` (it is none, or was changed),
    ``CHAIN_BROKEN`` (it does not stand on the one before it).  Of manifests: ``MANIFEST_MISSING``,
    ``MANIFEST_CHANGED``, ``MANIFEST_UNCLAIMED`` (no certificate names it).  ``FOREIGN_FILE``: among
    the evidence, and none of it.  Of recordings: ``OBJECT_MISSING``, ``OBJECT_DIFFERENT``.
    ``UNKNOWN``: S3 does not let us know.
    """

    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_UNSOUND = "certificate_unsound"
    CHAIN_BROKEN = "chain_broken"
    MANIFEST_MISSING = "manifest_missing"
    MANIFEST_CHANGED = "manifest_changed"
    MANIFEST_UNCLAIMED = "manifest_unclaimed"
    FOREIGN_FILE = "foreign_file"
    OBJECT_MISSING = "object_missing"
    OBJECT_DIFFERENT = "object_different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, the key it is wrong with, and a sentence."""

    wrong: ProblemKind
    key: str
    detail: str
    task_id: str = ""
    recording_id: str = ""
    denied: bool = False


OnProblem = Callable[[Problem], None]


def unheard(problem: Problem) -> None:
    """Listen for those who only want the report."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest certificate of an organisation: who noted it earlier can tell that none was taken away since."""

    org_id: str
    n: int
    key: str
    sha256: str


@dataclass(slots=True)
class AuditReport:
    """What was found.

    ``witnesses`` counts the days by list and how it was heard, as the newest
    certificate of each says; ``tasks`` are those named as having nothing to store.
    ``recordings`` were held against the bucket, ``bytes_read`` counts what was read
    back of them.  ``unnamed`` are objects of certified days that no manifest names
    (stored since, perhaps: certify the day again).  ``problems`` are the first thousand.
    """

    level: str
    period: Window | None = None
    certificates: int = 0
    days: int = 0
    manifests: int = 0
    tasks: int = 0
    recordings: int = 0
    unnamed: int = 0
    bytes_read: int = 0
    denied: int = 0
    seconds: float = 0.0
    witnesses: Counter[tuple[str, str]] = field(default_factory=Counter)
    tips: list[ChainHead] = field(default_factory=list)
    counts: Counter[ProblemKind] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 0 when all is sound, 4 when a permission is missing, 3 when anything is wrong or not known."""
        # First: what may not be looked at can hide everything else.
        if self.denied:
            return EXIT_AUTH
        return EXIT_FAILED if self.counts.total() else EXIT_OK

    def hear(self, witnesses: Mapping[str, str]) -> None:
        """Count a day by what its certificate rests on; those of schema 1 do not say."""
        for name in ("tasks", "search"):
            self.witnesses[name, witnesses.get(name, "not_said")] += 1

    def heard(self, name: str) -> dict[str, int]:
        """Return on how many days a list was heard in which way."""
        return {how: days for (which, how), days in sorted(self.witnesses.items()) if which == name}

    def add(self, problem: Problem) -> None:
        """Count one."""
        self.counts[problem.wrong] += 1
        self.denied += problem.denied
        if len(self.problems) < KEPT:
            self.problems.append(problem)

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "evidence": True,
            "level": self.level,
            "from": iso(self.period.from_ms) if self.period else None,
            "to": iso(self.period.to_ms) if self.period else None,
            "certificates": self.certificates,
            "days": self.days,
            "manifests": self.manifests,
            "tasks": self.tasks,
            "witnesses": {name: self.heard(name) for name in ("tasks", "search")},
            "recordings": self.recordings,
            "unnamed": self.unnamed,
            "newest": [
                {"organisation": tip.org_id, "n": tip.n, "key": tip.key, "sha256": tip.sha256} for tip in self.tips
            ],
            "problems": {wrong.value: self.counts[wrong] for wrong in ProblemKind},
            "denied": self.denied,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }
