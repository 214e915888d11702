"""Whether Webex refuses one task or everybody: a single worker sees too little of a run to tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from wxrec_async.errors import AuthError
from wxrec_async.rules import selection
from wxrec_async.temporal.results import AnswerRow, BatchOutcome

FORBIDDEN = "http_403"


@dataclass(slots=True)
class Refusals:
    """Counts the tasks of a run that were refused in a row; ``most`` is how many failures in a row end a run."""

    most: int
    answered: bool = False
    in_row: set[str] = field(default_factory=set)

    def count(self, outcome: BatchOutcome, failed_before: Collection[str]) -> None:
        """Take in what became of a batch; raises `AuthError` when it is everybody who is refused."""
        # An answer shows that we are let in: the row begins anew.
        if any(map(_is_new, outcome.answers)):
            self.in_row, self.answered = set(), True
        refused = {task_id for task_id, reason in outcome.failed.items() if reason == FORBIDDEN}
        # What an earlier run was refused is refused again, and is no news, once we know that others are answered.
        self.in_row |= refused.difference(failed_before) if self.answered else refused
        if selection.refusals_end_run(len(self.in_row), answered=self.answered, most=self.most):
            raise AuthError(str(self))

    def of_everybody(self) -> bool:
        """Say whether no task of the run was answered, and some were refused."""
        return bool(self.in_row) and not self.answered

    def __str__(self) -> str:
        return f"Webex refuses permission: {len(self.in_row)} tasks in a row met 403"


def _is_new(answer: AnswerRow) -> bool:
    """Say whether this is an answer, and not only what an earlier attempt heard."""
    return not answer.unsettled or any(not each.earlier for each in answer.recordings)
