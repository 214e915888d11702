"""Which recording is this: one that is known, another one under its id, or a later state of it?

An id is Webex's word for a recording, and not always one of its own: several recordings of a task have been seen
under one, and one recording under the same id has grown.  What tells them apart is where they begin and end.  An answer
may also leave an id out; the recording then gets a name of ours, by which it is known again when it has its id.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wxrec_async.model import Recording, TransferSpec
from wxrec_async.rules.finality import has_changed, is_other
from wxrec_async.rules.ids import canonical

CHANGED = "changed_at_source"  # a flag, and the reason of what is reported and not fetched
UNNAMED = "unnamed-"  # begins the name of a recording that captures named without an id; no id of Webex's does


class ChangePolicy(enum.StrEnum):
    """What to do with a stored recording that ends at another moment now."""

    BESIDE = "beside"
    CONFLICT = "conflict"
    REPLACE = "replace"


class Known(Protocol):
    """What an earlier answer said of a recording; times in milliseconds since the epoch."""

    @property
    def start_ms(self) -> int | None: ...

    @property
    def stop_ms(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Times:
    """When a recording begins and ends, in milliseconds since the epoch, as far as that was said."""

    start_ms: int | None = None
    stop_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Identified:
    """The recordings of one answer under ids that tell them apart.

    ``changed`` are the ids of those that are a later state of a stored one, ``replacing`` those
    among them that take its place.
    """

    recordings: tuple[Recording, ...]
    changed: frozenset[str] = frozenset()
    replacing: frozenset[str] = frozenset()


def unnamed(start_ms: int | None, number: int) -> str:
    """Return the name of a recording without an id: by its start, else by its place in the answer."""
    return f"{UNNAMED}{number if start_ms is None else start_ms}"


def is_unnamed(recording_id: str) -> bool:
    """Say whether this is a name of ours, of a recording that captures named without an id."""
    return recording_id.startswith(UNNAMED)


def identified(
    recordings: Sequence[Recording],
    stored: Mapping[str, Known],
    policy: ChangePolicy = ChangePolicy.BESIDE,
    unstored: Mapping[str, Known] | None = None,
) -> Identified:
    """Tell the recordings of an answer from those that are ``stored``, by id.

    One that begins at another moment is another one, and gets its start behind the
    id; one that ends at another moment has changed, and is fetched again beside what
    is stored (with its stop behind the id), in its place, or only reported.
    ``unstored`` are others that earlier answers named and that are not at rest.  Who came
    without an id, then or now, and begins when one of these does, keeps the first name.
    """
    found: dict[str, Recording] = {}
    changed, replacing = set(), set()
    names = _earlier_names(recordings, {**stored, **(unstored or {})})
    for recording in recordings:
        name = names.get(recording.id)
        each = recording if name is None else replace(recording, id=name, named_as=recording.id)
        # The start first: what begins elsewhere is another recording, of which the end says nothing.
        each = _told_apart(each, stored)
        if (known := stored.get(each.id)) is not None and has_changed(known.stop_ms, each.stop_ms):
            if policy is ChangePolicy.REPLACE:
                replacing.add(each.id)
            else:
                each = replace(each, id=f"{each.id}-{each.stop_ms}", named_as=recording.id)
            changed.add(each.id)
            if policy is ChangePolicy.CONFLICT:
                # What has no URL is not fetched; what has a problem is reported.
                each = replace(each, url=None, problem=CHANGED)
        found.setdefault(each.id, each)
    return Identified(tuple(found.values()), frozenset(changed), frozenset(replacing))


def _earlier_names(recordings: Sequence[Recording], known: Mapping[str, Known]) -> dict[str, str]:
    """Return the names, by id, that recordings had in earlier answers: where one of the two answers left the id out.

    By their start; of two that began together nothing says which it is, so neither is taken for it.
    """
    not_named = known.keys() - {each.id for each in recordings}
    found: dict[str, str] = {}
    for each in recordings:
        same = [] if each.id in known else [name for name in not_named if _is_same(each, name, known[name])]
        if len(same) == 1:
            found[each.id] = same[0]
    claims = Counter(found.values())
    return {recording_id: name for recording_id, name in found.items() if claims[name] == 1}


def _is_same(recording: Recording, name: str, it: Known) -> bool:
    """Say whether only one of the two came with its id, so that the start alone can tell, and does."""
    return is_unnamed(name) is not is_unnamed(recording.id) and _begin_together(recording, it)


def _begin_together(one: Known, other: Known) -> bool:
    return None not in (one.start_ms, other.start_ms) and not is_other(one.start_ms, other.start_ms)


def _told_apart(recording: Recording, stored: Mapping[str, Known]) -> Recording:
    known = stored.get(recording.id)
    if known is None or not is_other(known.start_ms, recording.start_ms):
        return recording
    return replace(recording, id=f"{recording.id}-{recording.start_ms}", named_as=recording.id)


def same_recording(asked: Recording, fresh: Recording) -> bool:
    """Say whether ``fresh``, of a later answer, is the recording ``asked`` for: by its id there and by its start."""
    named_as = asked.named_as or asked.id
    if is_unnamed(named_as) is not is_unnamed(fresh.id):
        # Only one of the answers had its id, so that the start alone can tell.
        return _begin_together(asked, fresh)
    return canonical(fresh.id) == canonical(named_as) and not is_other(asked.start_ms, fresh.start_ms)


def marked(order: TransferSpec, named: Identified, flags: tuple[str, ...] = ()) -> TransferSpec:
    """Return the order with what its recording's identity asks for; ``flags`` are those of its task."""
    name = order.recording.id
    its = (*flags, CHANGED) if name in named.changed else flags
    # Without flags it cannot be replacing either: `replacing` is part of `changed`.
    return replace(order, replaces=name in named.replacing, flags=its) if its else order
