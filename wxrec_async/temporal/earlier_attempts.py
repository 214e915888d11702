"""What earlier attempts at a batch brought: kept, whatever a later attempt gets to hear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wxrec_async.flow.batch import TaskAnswer
from wxrec_async.rules.identity import Identified
from wxrec_async.temporal.messages import TaskToDo
from wxrec_async.temporal.results import AnswerRow, BatchOutcome, BatchProgress, NamedRecording, TransferResult


def named_before(kept: BatchProgress) -> dict[str, list[NamedRecording]]:
    """Return what earlier attempts named, by task; what they brought to an end was named, too."""
    found = {task_id: {each.id: each for each in named} for task_id, named in kept.named.items()}
    # A worker of an earlier release tells what it finished, and not what was named.
    for done in kept.done:
        found.setdefault(done.task_id, {}).setdefault(done.recording_id, NamedRecording(done.recording_id))
    return {task_id: list(named.values()) for task_id, named in found.items()}


def without_answer(todos: Sequence[TaskToDo], kept: BatchProgress, why: str) -> list[AnswerRow]:
    """Return what is known of tasks that this attempt did not get to hear about; those of which nothing is are not in.

    ``why`` is a stable word, for an answer that did not come proves nothing.
    """
    named = named_before(kept)
    # Marked as earlier: known, but not offered by an answer of now, so that it proves nothing by being there.
    earlier = {task_id: [replace(each, earlier=True) for each in found] for task_id, found in named.items()}
    return [AnswerRow(todo, earlier[todo.id], unsettled=why) for todo in todos if earlier.get(todo.id)]


def with_done(answer: AnswerRow, done: Sequence[TransferResult]) -> AnswerRow:
    """Name what was done with the rest: a worker of an earlier release does not say what its first attempt heard."""
    named = {each.id for each in answer.recordings}
    more = {each.recording_id for each in done if each.task_id == answer.todo.id} - named
    added = [NamedRecording(recording_id, earlier=True) for recording_id in sorted(more)]
    return replace(answer, recordings=[*answer.recordings, *added]) if added else answer


def read_answers(outcome: BatchOutcome) -> dict[str, TaskAnswer]:
    """Return what a worker heard of each task of a batch, as the log of a run takes it."""
    return {each.todo.id: _read(with_done(each, outcome.done), outcome) for each in outcome.answers}


def _read(answer: AnswerRow, outcome: BatchOutcome) -> TaskAnswer:
    task = answer.todo.task()
    kept = {each.recording_id for each in outcome.done if each.task_id == task.id}
    return TaskAnswer(
        task,
        Identified(tuple(each.recording(task.id) for each in answer.recordings)),
        answer.beside,
        answer.unsettled,
        goes_on=answer.goes_on and not kept,  # an earlier attempt took the call to be over
        earlier=frozenset(each.id for each in answer.recordings if each.earlier) - kept,
    )


def left_of(todo: TaskToDo, done: Sequence[TransferResult]) -> TaskToDo:
    """Return what there is to do of a task once so much is done.

    What was replaced is as captures has it now, so the times that called for that are not held against it again.
    """
    mine = [each for each in done if each.task_id == todo.id]
    names = [each.recording_id for each in mine]
    return replace(
        todo,
        settled=[*todo.settled, *(name for name in names if name not in todo.settled)],
        holder=todo.holder or next((each.recording_id for each in mine if each.holds), None),
        times={name: times for name, times in todo.times.items() if name not in names},
    )
