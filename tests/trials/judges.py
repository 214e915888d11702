"""What is right, told from the bucket, the exit codes and the certificates; nothing of the program is asked."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256

from tests.trials.bucket import Bucket
from tests.trials.organisation import Truth, day_of
from tests.trials.trial import Told, Trial

OK, FAILED, OWED, AUTH = 0, 3, 5, 4
NOT_DONE = (FAILED, OWED)


def recordings_in(bucket: Bucket) -> dict[str, bytes]:
    """Return what lies in the bucket as recordings, by key."""
    return {
        key: stored.body
        for key, stored in bucket.objects.items()
        if "/_evidence/" not in f"/{key}" and not key.endswith(".json")
    }


def certified_days(bucket: Bucket) -> set[str]:
    """Return the days that some certificate in the bucket covers."""
    return {json.loads(stored.body)["day"] for key, stored in bucket.objects.items() if "/certificates/" in key}


def days_with_calls(trial: Trial) -> set[str]:
    """Return the days of which the organisation has contacts."""
    return {day_of(row["attributes"]["createdTime"]) for row in trial.organisation.tasks}


def missing(trial: Trial) -> list[Truth]:
    """Return the recordings that do not lie whole in the bucket."""
    there = {_digest(body) for body in recordings_in(trial.bucket).values()}
    return [true for true in trial.organisation.truth() if _digest(true.body) not in there]


def bucket_is_truth(trial: Trial) -> None:
    """Every recording lies in the bucket, whole and once, and nothing else does."""
    there = Counter(_digest(body) for body in recordings_in(trial.bucket).values())
    true = Counter(_digest(each.body) for each in trial.organisation.truth())
    lacking, beyond = true - there, there - true
    assert not lacking, f"{lacking.total()} of {true.total()} recordings are not in the bucket\n{_last(trial)}"
    assert not beyond, f"{beyond.total()} objects are no recording, or one twice: {list(recordings_in(trial.bucket))}"
    assert not trial.bucket.uploads, "an upload was left open"


def nothing_mixed(trial: Trial, *, also: tuple[bytes, ...] = ()) -> None:
    """Whatever lies in the bucket is a recording, whole, or one of ``also``, and none is there twice."""
    true = Counter([_digest(each.body) for each in trial.organisation.truth()] + [_digest(body) for body in also])
    beyond = Counter(_digest(body) for body in recordings_in(trial.bucket).values()) - true
    assert not beyond, f"{beyond.total()} objects are no recording: {list(recordings_in(trial.bucket))}\n{_last(trial)}"


def honest(trial: Trial, told: Told) -> None:
    """No recording is lost, mixed, cut or doubled under an exit code or a certificate that says it is not."""
    nothing_mixed(trial)
    lacking = missing(trial)
    assert told.code != OK or not lacking, f"exit 0, and {len(lacking)} recordings are not in the bucket\n{told}"
    wrongly = certified_days(trial.bucket) & {true.day for true in lacking}
    assert not wrongly, f"certified, though recordings are missing: {sorted(wrongly)}\n{told}"
    assert told.code != 1, f"it crashed\n{told}"


def nothing_final(trial: Trial, told: Told) -> None:
    """What is not there is said: exit code 3 or 5, and no certificate over its day."""
    honest(trial, told)
    assert told.code in NOT_DONE, told


def all_stored(trial: Trial, told: Told) -> None:
    """The run says that all is there, and it is."""
    assert told.code == OK, told
    bucket_is_truth(trial)


def failed_by_name(told: Told, *task_ids: str) -> None:
    """Each of these tasks is named as failed, and the exit code says so."""
    assert told.code == FAILED, told
    assert told.named("failed") | told.named("task_failed") == set(task_ids), told


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def _last(trial: Trial) -> str:
    return str(trial.told[-1]) if trial.told else ""
