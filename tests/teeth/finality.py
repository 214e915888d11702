"""Five bugs at least for each row of the table in `rules.finality`, each a way to make something final on too little."""

from __future__ import annotations

from tests.teeth.bug import Bug, Edit, TextEdit

RULES = ("tests/rules/test_finality.py",)
FLOW = ("tests/flow/test_finality.py",)
SELECTION = ("tests/rules/test_selection.py",)

WINDOW_CLOSED = (
    Bug(
        "closed_though_unsound",
        "a window is closed whose listing broke off",
        (Edit("closes_window", "sound and end > window.from_ms", "end > window.from_ms"),),
        RULES,
    ),
    Bug(
        "closed_without_search",
        "where there is no Search, the years that only it lists pass for years without calls",
        (Edit("SearchLister.read", "not trouble and self._reader.absent", "False"),),
        ("tests/flow/test_search_states.py",),
    ),
    Bug(
        "reordered_pages_believed",
        "rows that a change of order hid between two pages of Search are never seen",
        (Edit("CursorPager._trouble", "self.reordered", "False"),),
        ("tests/rules/test_search_paging.py",),
    ),
    Bug(
        "closed_unsettled",
        "a window is closed up to now, though calls can still appear in its end",
        (Edit("closes_window", "asked_ms - settle_ms", "asked_ms"),),
        RULES,
    ),
    Bug(
        "closed_by_our_clock",
        "a machine whose clock is ahead closes what has not ended yet",
        (
            Edit(
                "LocalRunner._servers_now_ms",
                "believed_ms(self._now_ms(), self._webex.client.servers_now_ms())",
                "self._now_ms()",
            ),
        ),
        ("tests/flow/test_backfill.py",),
    ),
    Bug(
        "errors_in_a_list_overlooked",
        "no tasks and an error beside them pass for a day without calls",
        (Edit("errors_in", "_is_wrong(name, value)", "_is_wrong(name, value) and (not isinstance(value, list))"),),
        ("tests/webex/test_wire.py",),
    ),
    Bug(
        "calls_that_go_on_forgotten",
        "a call that goes on is never listed again once its window is closed",
        (Edit("with_spans", "[*left, *(piece for span in spans for piece in subtract(span, left))]", "left"),),
        FLOW,
    ),
)

NO_RECORDING = (
    Bug(
        "named_and_forgotten",
        "a later answer that names nothing takes back what an earlier one named",
        (
            Edit(
                "is_no_recording",
                "silence.named or is_bare(task) or task.capture_requested",
                "is_bare(task) or task.capture_requested",
            ),
        ),
        RULES,
    ),
    Bug(
        "unknown_id_has_none",
        "an id that nobody knows ends as a call without a recording",
        (
            Edit(
                "is_no_recording",
                "silence.named or is_bare(task) or task.capture_requested",
                "silence.named or task.capture_requested",
            ),
        ),
        SELECTION,
    ),
    Bug(
        "open_call_has_none",
        "a call that goes on is settled by an empty answer",
        (
            Edit(
                "is_no_recording",
                "if not is_over(task, (), first_seen_ms=seen, assume_over_ms=assume_over_ms, now_ms=now_ms):\n    return False",
                "if not is_over(task, (), first_seen_ms=seen, assume_over_ms=0, now_ms=now_ms):\n    pass",
            ),
        ),
        RULES,
    ),
    Bug(
        "unsettled_passes_for_empty",
        "an answer that proves nothing counts as one that names none",
        (
            Edit(
                "TaskVerdicts.record_nothing_named",
                "[task for task_id, task in tasks.items() if not unsettled.get(task_id)]",
                "list(tasks.values())",
            ),
        ),
        FLOW,
    ),
    Bug(
        "null_list_passes_for_empty",
        "null in place of a list says that there is nothing",
        (Edit("_recording_rows", "([], 'list_missing')", "([], '')"),),
        ("tests/webex/test_wire.py",),
    ),
)

GONE = (
    Bug(
        "gone_while_named",
        "what captures names is gone because the media host says so",
        (
            Edit(
                "is_gone",
                "sound and (not named) and (denied in DENIED_BY_MEDIA | {SEARCH_DELETED})",
                "sound and denied in DENIED_BY_MEDIA | {SEARCH_DELETED}",
            ),
        ),
        RULES,
    ),
    Bug(
        "gone_by_an_unsound_answer",
        "an answer that proves nothing completes the proof of a deletion",
        (Edit("RunLog._record_found", "not each.unsettled", "True"),),
        FLOW,
    ),
    Bug(
        "gone_by_any_404",
        "a proxy's 404 page speaks for the bucket behind it",
        (
            Edit(
                "evidence_of",
                "case HTTPStatusError(status=404, code='NoSuchKey')",
                "case HTTPStatusError(status=404)",
            ),
        ),
        ("tests/rules/test_retry.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "gone_by_captures_alone",
        "a recording that is named no longer is gone, whoever else was asked",
        (Edit("without_url", "reason == 'missing' and evidence", "reason == 'missing'"),),
        ("tests/rules/test_retry.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "gone_though_named_again",
        "what was gone and is named again stays gone",
        (TextEdit("add", "? AND state = 'gone'", "? AND state = 'no such'"),),
        ("tests/ledger/test_contract_sqlite.py", *FLOW),
    ),
)

MISSING = (
    Bug(
        "missing_by_one_voice",
        "one empty answer breaks a promise",
        (Edit("is_missing", "age_ms > missing_ms and now_ms - first_empty >= DAY_MS", "age_ms > missing_ms"),),
        RULES,
    ),
    Bug(
        "missing_too_soon",
        "two answers a day apart break a promise, however young the call",
        (
            Edit(
                "is_missing", "age_ms > missing_ms and now_ms - first_empty >= DAY_MS", "now_ms - first_empty >= DAY_MS"
            ),
        ),
        RULES,
    ),
    Bug(
        "broken_promise_has_none",
        "what Webex promised and never had ends as a call without a recording",
        (Edit("_promised", "TaskState.FAILED", "TaskState.NO_RECORDING"),),
        SELECTION,
    ),
    Bug(
        "no_longer_named_in_silence",
        "a recording that captures names no longer is left as it is, and nobody hears of it",
        (
            Edit(
                "TaskVerdicts.record_unlisted",
                "await self._note_failed(known.task_id, recording_id, failed, it.kind)",
                "failed = failed",
            ),
        ),
        ("tests/flow/test_orchestrator.py", *FLOW),
    ),
    Bug(
        "promise_forgotten",
        "captureRequested true is no promise any more",
        (Edit("after_empty", "task.capture_requested or silence.named", "silence.named"),),
        SELECTION,
    ),
)

STORED = (
    Bug(
        "half_a_call_is_stored",
        "what captures names of a call that goes on is fetched as if it were all",
        (
            Edit(
                "read_answer",
                "wanted and selection.while_it_goes_on(task, wanted, seen, rules.ages, now_ms)",
                "False",
            ),
        ),
        FLOW,
    ),
    Bug(
        "open_calls_are_asked_for",
        "a call that goes on is asked for like any other",
        (
            Edit(
                "before_asking",
                "case Phase.OPEN",
                "case Phase.OPEN if False",
            ),
        ),
        SELECTION,
    ),
    Bug(
        "grown_since_and_left_half",
        "a recording whose end has moved is taken for the one that is stored",
        (Edit("identified", "has_changed(known.stop_ms, each.stop_ms)", "has_changed(known.stop_ms, known.stop_ms)"),),
        ("tests/rules/test_identity.py",),
    ),
    Bug(
        "two_under_one_id",
        "another recording under the id of a stored one is taken for that",
        (Edit("_told_apart", "known is None or not is_other(known.start_ms, recording.start_ms)", "True"),),
        ("tests/rules/test_identity.py",),
    ),
    Bug(
        "never_ended_unsaid",
        "a call that never ends is stored as it is and called complete",
        (
            Edit(
                "_captured",
                "{'state': standing.state.value, 'reason': words(standing.reason), 'now': now_ms, 'n': n}",
                "{'state': 'captured', 'reason': '', 'now': now_ms, 'n': n}",
            ),
        ),
        FLOW,
    ),
)

ALREADY_STORED = (
    Bug(
        "any_size_is_equal",
        "an object of another size passes for the recording when no checksum speaks against it",
        (Edit("same_object", "if found.size != size:\n    return False", ""),),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "no_checksum_is_equal",
        "an object without a checksum passes for the recording",
        (
            Edit(
                "same_object",
                "None if found.crc32 is None else found.crc32 == crc",
                "True if found.crc32 is None else found.crc32 == crc",
            ),
        ),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "read_back_is_not_compared",
        "what was read back to be compared is taken for equal",
        (
            Edit(
                "Transfer._compare",
                "await self._store.read_crc32(key) == (size, crc)",
                "await self._store.read_crc32(key) is not None",
            ),
        ),
        ("tests/flow/test_transfer_conflicts.py",),
    ),
    Bug(
        "the_others_place_is_ours",
        "another recording of the task under the key passes for a conflict of ours",
        (
            Edit(
                "names_other",
                "task == encode_id(recording.task_id) and other is not None and (other != encode_id(recording.id))",
                "False",
            ),
        ),
        ("tests/rules/test_keys.py", "tests/flow/test_transfer_conflicts.py"),
    ),
    Bug(
        "stored_whatever_the_state",
        "a recording that failed before passes for stored when it is named again",
        (
            Edit(
                "Orchestrator._placed",
                "[name for name, state in known.recordings.items() if state is RecordingState.STORED]",
                "list(known.recordings)",
            ),
        ),
        ("tests/flow/test_orchestrator.py",),
    ),
)

CERTIFIED = (
    Bug(
        "certified_without_the_list",
        "a day is certified though its list could not be read to the end",
        (Edit("certified", "day.tasks not in (SearchState.PRESENT, SearchState.OUT_OF_REACH)", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "certified_by_no_list",
        "a day that only Search reaches is certified though Search was not heard",
        (Edit("_is_list", "day.tasks is SearchState.OUT_OF_REACH", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "certified_by_half_of_search",
        "a day is certified though Search broke off",
        (Edit("_search_suffices", "heard is not SearchState.PARTIAL", "True"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "certified_too_young",
        "a day is certified that has not ended, or not settled",
        (Edit("certified", "not day.settled", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "certified_with_work_left",
        "a day is certified of which tasks are owed or failed",
        (Edit("certified", "not is_whole(day.counts)", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "certified_by_an_unproven_deletion",
        "a recording that somebody once called gone counts as deleted",
        (Edit("_unsound_recordings", "each.state is RecordingState.GONE and (not each.evidence)", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
)

FINALITY = (*WINDOW_CLOSED, *NO_RECORDING, *GONE, *MISSING, *STORED, *ALREADY_STORED, *CERTIFIED)
