"""Without anything odd, the harness leads nobody astray."""

from __future__ import annotations

from tests.trials.judges import OK, OWED, all_stored, certified_days
from tests.trials.organisation import RATE
from tests.trials.trial import Trial


def test_a_plain_organisation_is_stored_and_certified(trial: Trial) -> None:
    """More than a page of calls, two recordings of one, one of several parts, and a call without any."""
    for _ in range(45):
        trial.organisation.add(seconds=0.3)
    task, _ = trial.organisation.add(seconds=20 * (1 << 20) / RATE / 2)
    trial.organisation.add(task=task, recording_id="consult-1", call_type="consult", seconds=1)
    trial.organisation.add_contact()
    all_stored(trial, trial.run())
    assert trial.verify().code == 0
    told = trial.reconcile()
    assert told.code in (OK, OWED), told  # the last of its days is not over
    assert {true.day for true in trial.organisation.truth()} <= certified_days(trial.bucket)
