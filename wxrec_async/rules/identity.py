"""Which recording is this: one that is known, another one under its id, or a later state of it?

An id is Webex's word for a recording, and not always one of its own: several recordings of a task have been seen
under one, and one recording under the same id has grown.  What tells them apart is where they begin and end.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wxrec_async.model import Recording, TransferSpec
from wxrec_async.rules.finality import has_changed, is_other
from wxrec_async.rules.ids import canonical

CHANGED = "changed_at_source"  # a flag, and the reason of what is reported and not fetched


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


def identified(
    recordings: Sequence[Recording], stored: Mapping[str, Known], policy: ChangePolicy = ChangePolicy.BESIDE
) -> Identified:
    """Tell the recordings of an answer from those that are ``stored``, by id.

    One that begins at another moment is another one, and gets its start behind the
    id; one that ends at another moment has changed, and is fetched again beside what
    is stored (with its stop behind the id), in its place, or only reported.
    """
    found: dict[str, Recording] = {}
    changed, replacing = set(), set()
    for recording in recordings:
        # The start first: what begins elsewhere is another recording, of which the end says nothing.
        each = _told_apart(recording, stored)
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


def _told_apart(recording: Recording, stored: Mapping[str, Known]) -> Recording:
    known = stored.get(recording.id)
    if known is None or not is_other(known.start_ms, recording.start_ms):
        return recording
    return replace(recording, id=f"{recording.id}-{recording.start_ms}", named_as=recording.id)


def same_recording(asked: Recording, fresh: Recording) -> bool:
    """Say whether ``fresh``, of a later answer, is the recording ``asked`` for: by its id there and by its start."""
    named_as = asked.named_as or asked.id
    return canonical(fresh.id) == canonical(named_as) and not is_other(asked.start_ms, fresh.start_ms)


def marked(order: TransferSpec, named: Identified, flags: tuple[str, ...] = ()) -> TransferSpec:
    """Return the order with what its recording's identity asks for; ``flags`` are those of its task."""
    name = order.recording.id
    its = (*flags, CHANGED) if name in named.changed else flags
    # Without flags it cannot be replacing either: `replacing` is part of `changed`.
    return replace(order, replaces=name in named.replacing, flags=its) if its else order
