"""Which request goes wrong, and how: a pure function of (seed, operation, key, attempt), or a script.

What there is to go wrong is listed in `fault_kinds`.  Keys are task ids (joined by
commas for captures), recording ids and object keys (``key#partNumber`` for a
part).  Attempts count from 1 per (operation, key).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from wxrec_async.sandbox.campaign import Campaign
from wxrec_async.sandbox.fault_kinds import KINDS, ON_RANGES, Fault, check_kind
from wxrec_async.sandbox.profiles import Profile, from_profile

__all__ = ["KINDS", "ON_RANGES", "Fault", "Faults", "NeverHit", "Profile", "Rule", "from_profile"]


class NeverHit(AssertionError):
    """A script names faults that never happened: it has a typing mistake, or proves nothing."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        told = (f"{rule.operation} {rule.kind} key={rule.key} attempts={rule.attempts}" for rule in rules)
        super().__init__("never hit: " + "; ".join(told))


@dataclass(slots=True)
class Rule:
    """A line of a script.

    ``operation`` and ``key`` are shell patterns, ``attempts`` the attempts it
    applies to (None: all), ``limit`` how often it may hit (None: always) and
    ``share`` the part of matching requests it takes, decided by hash.
    """

    operation: str
    kind: str
    key: str = "*"
    # Once, unless said otherwise: what goes wrong every time cannot be recovered from.
    attempts: tuple[int, ...] | None = (1,)
    parameters: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    share: float = 1.0
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        check_kind(self.kind, self.operation)

    def matches(self, operation: str, key: str, attempt: int) -> bool:
        if self.limit is not None and self.hits >= self.limit:
            return False
        if self.attempts is not None and attempt not in self.attempts:
            return False
        return fnmatchcase(operation, self.operation) and fnmatchcase(key, self.key)


@dataclass(slots=True)
class Faults:
    """The plan of one sandbox: a script first, then the campaign, then the profile.

    ``hits`` counts (operation, kind); what happens to single tasks of a captures request counts as ``per_entry``.
    """

    seed: int = 1
    profile: Profile = "none"
    rules: list[Rule] = field(default_factory=list)
    campaign: Campaign | None = None
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    _attempts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, operation: str, kind: str, **options: Any) -> Rule:
        """Append a rule; options are `Rule`'s fields, anything else becomes a parameter of the fault."""
        known = {name: options.pop(name) for name in list(options) if name in Rule.__dataclass_fields__}
        known.setdefault("parameters", {}).update(options)
        rule = Rule(operation, kind, **known)
        self.rules.append(rule)
        return rule

    def extend(self, rules: Iterable[Rule]) -> None:
        self.rules.extend(rules)

    def unhit(self) -> list[Rule]:
        """Return the rules that never applied."""
        return [rule for rule in self.rules if not rule.hits]

    def check_all_hit(self) -> None:
        """Raise `NeverHit` when the script names a fault that never happened."""
        if unhit := self.unhit():
            raise NeverHit(unhit)

    def clear(self) -> None:
        """Forget script, campaign and profile, not the attempts counted so far."""
        self.rules.clear()
        self.profile, self.campaign = "none", None

    def count(self, operation: str, key: str) -> int:
        """Count one more attempt and return its number."""
        self._attempts[operation, key] += 1
        return self._attempts[operation, key]

    def decide(self, operation: str, key: str, attempt: int, *, ranged: bool = True) -> Fault | None:
        """Return what goes wrong with this request, if anything."""
        fault = self._scripted(operation, key, attempt)
        if fault is None and self.campaign is not None:
            fault = self.campaign.decide(operation, key, ranged=ranged)
        if fault is None:
            fault = from_profile(self.seed, self.profile, operation, key, attempt, ranged=ranged)
        if fault is not None:
            self.hits[operation, fault.kind] += 1
        return fault

    def _scripted(self, operation: str, key: str, attempt: int) -> Fault | None:
        for number, rule in enumerate(self.rules):
            if rule.matches(operation, key, attempt) and self._drawn(number, rule, operation, key, attempt):
                rule.hits += 1
                own = {"before": rule.before, "after": rule.after}
                return Fault(rule.kind, rule.parameters | {name: act for name, act in own.items() if act is not None})
        return None

    def _drawn(self, number: int, rule: Rule, operation: str, key: str, attempt: int) -> bool:
        # With the rule's number: two rules of the same share must not pick the same requests.
        text = f"{self.seed}|{number}|{operation}|{key}|{attempt}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < rule.share
