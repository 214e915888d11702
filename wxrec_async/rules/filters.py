"""Which tasks are wanted: by queue, agent, direction and length.

Half of the rows Webex lists name no agent, many no queue, and today's no
duration.  What is missing cannot be shown to match, so it fails an *include*
and passes an *exclude*.  A missing duration passes: a recording that is too
short costs a little, one that was never fetched is lost when Webex purges it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from wxrec_async.model import Task

UNKNOWN = "_unknown"


@dataclass(frozen=True, slots=True)
class Filters:
    """What is wanted; false when that is everything.

    Queues and agents are names or ids, in any case, with shell wildcards.  An
    empty *include* wants all; a task must pass every filter, and an *exclude*
    stands above an *include*.
    """

    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    exclude_agents: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    min_duration_ms: int = 0

    def __bool__(self) -> bool:
        names = (self.queues, self.exclude_queues, self.agents, self.exclude_agents, self.directions)
        return any(names) or self.min_duration_ms > 0

    def leaves_out(self, task: Task) -> str | None:
        """Say which filter a task fails, None when it is wanted.

        A stable word: ``queue``, ``agent``, ``direction`` or ``duration``, and
        ``queue_unknown`` and so on when Webex does not tell what an *include* asks.
        """
        queue, agent = (task.queue_id, task.queue_name), (task.agent_id, task.agent_name)
        return (
            _fails("queue", queue, self.queues, self.exclude_queues)
            or _fails("agent", agent, self.agents, self.exclude_agents)
            or _fails("direction", (task.direction,), self.directions, ())
            or ("duration" if _is_too_short(task, self.min_duration_ms) else None)
        )


NO_FILTERS = Filters()


@lru_cache(maxsize=4096)  # a million tasks have a few hundred queues and agents
def matches(name: str, pattern: str) -> bool:
    """Compare without regard to case; a name that looks like a pattern, ``Sales [EU]``, matches itself."""
    name, pattern = _plain(name), _plain(pattern)
    return name == pattern or fnmatchcase(name, pattern)


def _fails(what: str, names: Collection[str | None], include: Collection[str], exclude: Collection[str]) -> str | None:
    if not include and not exclude:
        return None
    known = [name for name in names if name]
    if _any_matches(known, exclude) or (known and include and not _any_matches(known, include)):
        return what
    return what + UNKNOWN if include and not known else None


def _any_matches(names: Collection[str], patterns: Collection[str]) -> bool:
    return any(matches(name, pattern) for name in names for pattern in patterns)


def _plain(text: str) -> str:
    """Let two ways to write the same name be one: case, composed accents, blanks around it."""
    return unicodedata.normalize("NFC", text.strip().casefold())


def _is_too_short(task: Task, least_ms: int) -> bool:
    length = task.duration_ms
    if length is None and task.created_ms is not None and task.ended_ms is not None:
        length = task.ended_ms - task.created_ms
    return length is not None and length < least_ms
