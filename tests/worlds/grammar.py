"""The grammar: what may be wrong with an answer, how long and for whom, and what may be one way or the other.

Drawn from HTTP (RFC 9110, 9111, 9112), from what AWS documents of S3, and from the
contract with Webex.  Every production is either visible in the answer itself or
contradicted by another answer that the same command hears: a lie that no voice
contradicts is in no world.  A world is a list of `Choice`: taking one out leaves
the others as they were.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

STATUSES = (400, 403, 404, 405, 408, 409, 410, 413, 421, 422, 425, 429, 500, 501, 502, 503, 504, 302, 307)
HOLDS = (("once", 5), ("thrice", 3), ("run", 4), ("always", 4))


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision of a world.

    ``door`` is whose answers it is about (``world`` for what is so from the
    beginning), ``what`` the production.  ``hold`` is for how long: ``once``,
    ``thrice``, for one ``run``, or ``always``, which is until the world begins to
    help.  ``target`` picks a call by its place when it is about one, ``dice`` what
    else is to be drawn.
    """

    number: int
    door: str
    what: str
    hold: str = "always"
    target: int | None = None
    dice: int = 0

    @property
    def words(self) -> str:
        """Say it in a line."""
        about = "" if self.target is None else f", call {self.target}"
        return f"{self.number}: {self.kind} ({self.hold}{about})"

    @property
    def status(self) -> int:
        """Return the status that is answered where one is to be drawn."""
        return STATUSES[self.dice % len(STATUSES)]

    @property
    def kind(self) -> str:
        return f"{self.door}:{self.what}{f' {self.status}' if self.what == 'status' else ''}"


@dataclass(frozen=True, slots=True)
class Production:
    """A way to answer; ``aimed`` when it is about one call rather than about every answer."""

    door: str
    what: str
    weight: int = 2
    aimed: bool | None = None


def _every(door: str, *names: str, weight: int = 2, aimed: bool | None = None) -> list[Production]:
    return [Production(door, name, weight, aimed) for name in names]


TRANSPORT = ("lost", "stall", "cut", "echo", "wordy")
PRODUCTIONS: tuple[Production, ...] = (
    # any JSON door: the status, the connection, the shape
    *(
        production
        for door in ("tasks", "captures", "search", "token")
        for production in (
            Production(door, "status", 6),
            *_every(door, *TRANSPORT, weight=1),
            *_every(door, "html", "empty_body", "not_json", "other_type", "no_data", weight=1),
        )
    ),
    *_every("tasks", "data_null", "errors_beside", "errors_beside_empty", "error_member", weight=3),
    *_every("tasks", "row_without_id", "row_null", "partial_with_error", aimed=True),
    *_every("tasks", "descending", "repeated_rows", "refuses_token", "seconds"),
    *_every("captures", "entry_missing", "list_null", "list_absent", "error_in_entry", weight=3, aimed=True),
    *_every("captures", "empty_but_promised", "fewer", "no_url", "dead_url", "no_recording_id", weight=2, aimed=True),
    *_every("captures", "refused_id", "forbidden_id", "entry_not_object", "list_not_list", aimed=True),
    *_every("captures", "data_null", "errors_beside_empty", "errors_beside", "entry_twice", "refuses_token"),
    *_every("search", "deleted_beside", "counts_more", weight=1, aimed=True),
    *_every("captures", "other_entry", "twice_in_list", weight=1, aimed=True),
    *_every("token", "short_lived", "no_refresh_token", weight=1),
    Production("media", "changing_etag", 2, aimed=True),
    *_every("search", "errors_beside", "data_null", "details_null", "unknown_field", "no_page_info", "endless"),
    *_every("token", "no_token", "invalid_grant"),
    Production("media", "status", 6, True),
    *_every("media", "missing", "missing_key", "expired", "denied", weight=3, aimed=True),
    *_every("media", "cut", "cut_chunked", "cut_close", "cut_said", "stall", "lost", weight=2, aimed=True),
    *_every("media", "error_page", "error_typed_audio", "error_utf16", "error_iso2022", "error_gzip", aimed=True),
    *_every("media", "empty_body", "encoded", "unasked_range", "echo", weight=2, aimed=True),
    *_every("media", "swap", "swap_resized", "shrinks", weight=3, aimed=True),
    *_every("media", "other_total", "wrong_range", "no_range_head", weight=3, aimed=True),
    *(
        production
        for door in ("s3.put", "s3.head", "s3.get", "s3.list", "s3.bucket")
        for production in (Production(door, "status", 3), *_every(door, "lost", "internal", "slow_down", weight=1))
    ),
    *_every("s3.put", "lost_after", "conflict_409", "spurious_412", "bad_digest", "denied", "no_etag", weight=3),
    *_every("s3.put", "internal_after", weight=3),
    *_every("s3.head", "late", "denied", "bare", weight=3),
    *_every("s3.get", "cut"),
    *_every("s3.evidence", "lost_after", "conflict_409", "spurious_412", "status", "head_late", weight=2),
    # time
    *_every("time", "ahead_14min", "behind_14min", "ahead_40s", "behind_40s", "ahead_over_midnight", weight=2),
)  # fmt: skip

WAYS: tuple[Production, ...] = (
    *_every("world", "strict_bounds", weight=4),
    *_every("world", "small_pages", "reverse_captures", "text_times", "sparse_rows", "small_search_pages"),
    *_every("world", "shuffled_search", "refuses_future", "old_token"),
    *_every("world", "upper_case_captures", "upper_case_search", "no_status", weight=1),
    *_every("world", "filter_after_limit", weight=1),
    *_every("world", "etag_weak", "etag_none", "no_last_modified", "media_chunked", "no_ranges", weight=1),
    *_every("world", "media_text_plain", "media_no_type", "media_octets", "media_aws_chunked", "media_close", weight=1),
    *_every("world", "bucket_without_checksums", "bucket_weak_etags", "no_search", weight=1),
    *_every("world", "call_on_edge", "call_before_edge", "same_moment", weight=4),
    *_every("world", "open_call", "search_only", "late_row", weight=3),
    *_every("world", "late_recording", "same_recording_id", "odd_list_chunk", "sidecar", "large", weight=1),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A world before it is lived: its seed and what was chosen for it."""

    seed: int
    choices: tuple[Choice, ...] = field(default_factory=tuple)

    def only(self, numbers: frozenset[int]) -> Draft:
        """Return the same world with these choices alone."""
        return Draft(self.seed, tuple(each for each in self.choices if each.number in numbers))


EACH = 1_000_000
"""From this seed on a world has one choice alone, and every production has its turn."""
ALL = (*WAYS, *PRODUCTIONS)


def draft(seed: int) -> Draft:
    """Draw a world: some ways, and one to five troubles; from `EACH` on the next production, alone."""
    dice = random.Random(f"world {seed}")
    if seed >= EACH:
        return Draft(seed, (_choice(dice, 0, ALL[(seed - EACH) % len(ALL)]),))
    ways = _draw(dice, WAYS, dice.choice((0, 1, 1, 2, 2, 3)))
    troubles = _draw(dice, PRODUCTIONS, dice.choice((1, 1, 2, 2, 3, 4, 5)))
    choices = [_choice(dice, number, each) for number, each in enumerate([*ways, *troubles])]
    return Draft(seed, tuple(choices))


def _draw(dice: random.Random, among: tuple[Production, ...], count: int) -> list[Production]:
    weights = [each.weight for each in among]
    found: dict[str, Production] = {}
    while len(found) < count:
        each = dice.choices(among, weights)[0]
        found[f"{each.door}:{each.what}"] = each
    return list(found.values())


def _choice(dice: random.Random, number: int, production: Production) -> Choice:
    hold = dice.choices([name for name, _ in HOLDS], [weight for _, weight in HOLDS])[0]
    target = dice.randrange(12) if production.aimed and dice.random() < 0.8 else None
    hold = "always" if production.door in ("world", "time") else hold
    return Choice(number, production.door, production.what, hold, target, dice.randrange(1 << 30))
