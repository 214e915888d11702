"""Which request goes wrong, and how: a pure function of (seed, operation, key, attempt), or a script.

Operations are the names of the request log: ``token``, ``authorize``,
``tasks``, ``captures``, ``search``, ``organization``, ``media.get``, ``s3.PutObject``,
``s3.UploadPart`` and so on.  Keys are task ids (joined by commas for
captures), recording ids and object keys (``key#partNumber`` for a part).
Attempts count from 1 per (operation, key).

Kinds, with their parameters (defaults in brackets):

everywhere
    ``error`` status [500], code, message, retry_after (text; ``date`` becomes an HTTP-date);
    ``html``, ``empty_body``; ``reset_before`` and ``close_before`` (nothing is done),
    ``reset_after`` (done, the reply is lost), ``pause`` seconds [0.2], ``stall`` seconds [3600];
    ``call`` nothing but the rule's own functions ``before`` and ``after`` (every kind honours them)
Webex API
    ``token_401``, ``token_403``, ``token_400`` (the token is refused in three shapes),
    ``throttle`` retry_after ["1"; None leaves it out], ``truncated_json``, ``json`` text ["null"], ``not_ready``
media (``at`` is ``first``, ``middle``, ``last``, ``end`` or an offset within the body)
    ``expired``, ``missing``, ``slow_down``; ``short_body`` at, end [fin|rst]; ``excess`` count [100];
    ``unframed`` at [end], end; ``chunked`` at [end], end; ``bad_chunk`` at; ``range_ignored``, ``wrong_range``,
    ``changed_etag``, ``zero_bytes``, ``header_only``, ``html``, ``gzip`` at [end], ``flip_bit`` at,
    ``stall_body`` at, seconds; ``drip`` at, count [20], interval [0.05]
S3
    ``slow_down``, ``internal_error``, ``error_in_200`` (Complete), ``flip_bit`` (of what was
    received), ``no_such_upload``, ``precondition_failed``, ``conflict``, ``request_timeout``, ``access_denied``,
    ``expired_token``, ``stall_reading`` seconds, ``no_continue`` seconds
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

Profile = Literal["none", "mild", "storm"]
ON_RANGES = frozenset({"range_ignored", "wrong_range", "changed_etag"})
KINDS = frozenset({
    "error", "html", "empty_body", "reset_before", "close_before", "reset_after", "pause", "stall", "call",
    "token_401", "token_403", "token_400", "throttle", "truncated_json", "json", "not_ready",
    "expired", "missing", "slow_down", "short_body", "excess", "unframed", "chunked", "bad_chunk", "range_ignored",
    "wrong_range", "changed_etag", "zero_bytes", "header_only", "gzip", "flip_bit", "stall_body", "drip",
    "internal_error", "error_in_200", "no_such_upload", "precondition_failed", "conflict", "request_timeout",
    "access_denied", "expired_token", "stall_reading", "no_continue",
})  # fmt: skip
RATES: dict[str, float] = {"none": 0.0, "mild": 0.04, "storm": 0.20}
ATTEMPTS: dict[str, int] = {"none": 0, "mild": 2, "storm": 3}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong; parameters as the module's docstring lists them."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        return self.parameters.get(name, default)


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
    attempts: tuple[int, ...] | None = (1,)
    parameters: dict[str, Any] = field(default_factory=dict)
    limit: int | None = None
    share: float = 1.0
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}")

    def matches(self, operation: str, key: str, attempt: int) -> bool:
        if self.limit is not None and self.hits >= self.limit:
            return False
        if self.attempts is not None and attempt not in self.attempts:
            return False
        return fnmatchcase(operation, self.operation) and fnmatchcase(key, self.key)


def _fault(kind: str, /, **parameters: object) -> Fault:
    return Fault(kind, parameters)


COMMON = (_fault("reset_before"), _fault("close_before"), _fault("pause", seconds=0.1))
UNAVAILABLE = tuple(_fault("error", status=status) for status in (500, 502, 503, 504))
# Per operation: what may happen on any attempt, and what only on the first.
MENU: dict[str, tuple[tuple[Fault, ...], tuple[Fault, ...]]] = {
    "token": ((*COMMON, *UNAVAILABLE), ()),
    "tasks": (
        (*COMMON, *UNAVAILABLE, _fault("throttle"), _fault("truncated_json"), _fault("html"), _fault("empty_body")),
        (_fault("token_401"), _fault("token_400"), _fault("token_403")),
    ),
    "media.get": (
        (
            *COMMON,
            _fault("slow_down"),
            _fault("short_body", at="first"),
            _fault("short_body", at="middle"),
            _fault("short_body", at="middle", end="rst"),
            _fault("short_body", at="last"),
            _fault("short_body", at="last", end="rst"),
            _fault("stall_body", at="middle", seconds=0.3),
            _fault("drip", at="middle"),
            _fault("range_ignored"),
            _fault("wrong_range"),
            _fault("changed_etag"),
        ),
        (
            _fault("expired"),
            _fault("html"),
            _fault("zero_bytes"),
            _fault("header_only"),
            _fault("chunked", at="middle"),
            _fault("bad_chunk", at="middle"),
            _fault("gzip", at="middle"),
        ),
    ),
    "s3.PutObject": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("reset_after"), _fault("request_timeout")),
        (_fault("flip_bit"), _fault("conflict")),
    ),
    "s3.UploadPart": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("reset_after"), _fault("request_timeout")),
        (_fault("flip_bit"),),
    ),
    "s3.CompleteMultipartUpload": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("error_in_200"), _fault("reset_after")),
        (),
    ),
    "s3.*": ((*COMMON, _fault("slow_down"), _fault("internal_error")), ()),
}
MENU["captures"] = MENU["organization"] = MENU["search"] = MENU["tasks"]


def from_profile(
    seed: int, profile: Profile, operation: str, key: str, attempt: int, *, ranged: bool = True
) -> Fault | None:
    """Decide one request of a profile; the same arguments always give the same answer.

    ``ranged`` says whether a range was asked for; some faults need one.

    After a few attempts on one thing nothing goes wrong with it any more, so
    every recording can be had in the end.
    """
    menu = MENU.get(operation) or (MENU["s3.*"] if operation.startswith("s3.") else None)
    if menu is None or attempt > ATTEMPTS[profile]:
        return None
    digest = hashlib.blake2b(f"{seed}|{operation}|{key}|{attempt}".encode(), digest_size=16).digest()
    if int.from_bytes(digest[:8], "big") / 2**64 >= RATES[profile]:
        return None
    choices = [f for f in menu[0] + menu[1] * (attempt == 1) if ranged or f.kind not in ON_RANGES]
    return choices[int.from_bytes(digest[8:], "big") % len(choices)]


@dataclass(slots=True)
class Faults:
    """The plan of one sandbox: a script first, then the profile.  ``hits`` counts (operation, kind)."""

    seed: int = 1
    profile: Profile = "none"
    rules: list[Rule] = field(default_factory=list)
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

    def clear(self) -> None:
        """Forget script and profile, not the attempts counted so far."""
        self.rules.clear()
        self.profile = "none"

    def count(self, operation: str, key: str) -> int:
        """Count one more attempt and return its number."""
        self._attempts[operation, key] += 1
        return self._attempts[operation, key]

    def decide(self, operation: str, key: str, attempt: int, *, ranged: bool = True) -> Fault | None:
        """Return what goes wrong with this request, if anything."""
        fault = self._scripted(operation, key, attempt)
        if fault is None:
            fault = from_profile(self.seed, self.profile, operation, key, attempt, ranged=ranged)
        if fault is not None:
            self.hits[operation, fault.kind] += 1
        return fault

    def _scripted(self, operation: str, key: str, attempt: int) -> Fault | None:
        for number, rule in enumerate(self.rules):
            if rule.matches(operation, key, attempt) and self._drawn(number, rule, operation, key, attempt):
                rule.hits += 1
                return Fault(rule.kind, rule.parameters | {"before": rule.before, "after": rule.after})
        return None

    def _drawn(self, number: int, rule: Rule, operation: str, key: str, attempt: int) -> bool:
        text = f"{self.seed}|{number}|{operation}|{key}|{attempt}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < rule.share
