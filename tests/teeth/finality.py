"""Five bugs for each row of the table in `rules.finality`, each a way to make something final on too little."""

from __future__ import annotations

from tests.teeth.bug import Bug, Edit

RULES = ("tests/rules/test_finality.py",)
FLOW = ("tests/flow/test_finality.py",)
SELECTION = ("tests/rules/test_selection.py",)

WINDOW_CLOSED = (
    Bug(
        "closed_though_unsound",
        "a window is closed whose listing broke off",
        (
            Edit(
                "rules/finality.py",
                "    return Window(window.from_ms, end) if sound and end > window.from_ms else None\n",
                "    return Window(window.from_ms, end) if end > window.from_ms else None\n",
            ),
        ),
        RULES,
    ),
    Bug(
        "closed_unsettled",
        "a window is closed up to now, though calls can still appear in its end",
        (
            Edit(
                "rules/finality.py",
                "    end = min(window.to_ms, asked_ms - settle_ms)\n    return Window",
                "    end = min(window.to_ms, asked_ms)\n    return Window",
            ),
        ),
        RULES,
    ),
    Bug(
        "closed_by_our_clock",
        "a machine whose clock is ahead closes what has not ended yet",
        (
            Edit(
                "backfill.py",
                "        return believed_ms(self._now_ms(), self._in_webex.client.servers_now_ms())\n",
                "        return self._now_ms()\n",
            ),
        ),
        ("tests/flow/test_backfill.py",),
    ),
    Bug(
        "errors_in_a_list_overlooked",
        "no tasks and an error beside them pass for a day without calls",
        (
            Edit(
                "webex/completeness.py",
                "        if _is_wrong(name, value):\n",
                "        if _is_wrong(name, value) and not isinstance(value, list):\n",
            ),
        ),
        ("tests/webex/test_wire.py",),
    ),
    Bug(
        "calls_that_go_on_forgotten",
        "a call that goes on is never listed again once its window is closed",
        (
            Edit(
                "rules/windows.py",
                "    return sorted([*left, *(piece for span in spans for piece in subtract(span, left))])\n",
                "    return sorted(left)\n",
            ),
        ),
        FLOW,
    ),
)

NO_RECORDING = (
    Bug(
        "named_and_forgotten",
        "a later answer that names nothing takes back what an earlier one named",
        (Edit("rules/finality.py", "    if silence.named or is_bare(task)", "    if is_bare(task)"),),
        RULES,
    ),
    Bug(
        "unknown_id_has_none",
        "an id that nobody knows ends as a call without a recording",
        (Edit("rules/finality.py", "    if silence.named or is_bare(task) or", "    if silence.named or"),),
        SELECTION,
    ),
    Bug(
        "open_call_has_none",
        "a call that goes on is settled by an empty answer",
        (
            Edit(
                "rules/finality.py",
                "assume_over_ms=assume_over_ms, now_ms=now_ms):\n        return False\n    if task.capture_requested is False",
                "assume_over_ms=0, now_ms=now_ms):\n        pass\n    if task.capture_requested is False",
            ),
        ),
        RULES,
    ),
    Bug(
        "unsettled_passes_for_empty",
        "an answer that proves nothing counts as one that names none",
        (
            Edit(
                "settling.py",
                "        await self.silent([task for task_id, task in tasks.items() if not unsettled.get(task_id)])\n",
                "        await self.silent(list(tasks.values()))\n",
            ),
        ),
        FLOW,
    ),
    Bug(
        "null_list_passes_for_empty",
        "null in place of a list says that there is nothing",
        (
            Edit(
                "webex/wire.py",
                '    if not isinstance(rows, list):\n        return [], "list_missing"\n',
                '    if not isinstance(rows, list):\n        return [], ""\n',
            ),
        ),
        ("tests/webex/test_wire.py",),
    ),
)

GONE = (
    Bug(
        "gone_while_named",
        "what captures names is gone because the media host says so",
        (Edit("rules/finality.py", "    return sound and not named and denied in", "    return sound and denied in"),),
        RULES,
    ),
    Bug(
        "gone_by_an_unsound_answer",
        "an answer that proves nothing completes the proof of a deletion",
        (
            Edit(
                "flow/run_log.py",
                "            if not each.unsettled:\n",
                "            if True:\n",
            ),
        ),
        FLOW,
    ),
    Bug(
        "gone_by_any_404",
        "a proxy's 404 page speaks for the bucket behind it",
        (
            Edit(
                "rules/retry.py",
                '        case Rejected(status=404, code="NoSuchKey"):\n',
                "        case Rejected(status=404):\n",
            ),
        ),
        ("tests/rules/test_retry.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "gone_by_captures_alone",
        "a recording that is named no longer is gone, whoever else was asked",
        (
            Edit(
                "rules/retry.py",
                '    return Gone(evidence) if reason == "missing" and evidence else GiveUp(reason, evidence)\n',
                '    return Gone(evidence) if reason == "missing" else GiveUp(reason, evidence)\n',
            ),
        ),
        ("tests/rules/test_retry.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "gone_though_named_again",
        "what was gone and is named again stays gone",
        (
            Edit(
                "ledger/recordings.py",
                '           WHERE task = ? AND id = ? AND state = \'gone\'""",\n',
                '           WHERE task = ? AND id = ? AND state = \'no such\'""",\n',
            ),
        ),
        FLOW,
    ),
)

MISSING = (
    Bug(
        "missing_by_one_voice",
        "one empty answer breaks a promise",
        (
            Edit(
                "rules/finality.py",
                "    return age_ms > missing_ms and now_ms - first_empty >= DAY_MS\n",
                "    return age_ms > missing_ms\n",
            ),
        ),
        RULES,
    ),
    Bug(
        "missing_too_soon",
        "two answers a day apart break a promise, however young the call",
        (
            Edit(
                "rules/finality.py",
                "    return age_ms > missing_ms and now_ms - first_empty >= DAY_MS\n",
                "    return now_ms - first_empty >= DAY_MS\n",
            ),
        ),
        RULES,
    ),
    Bug(
        "broken_promise_has_none",
        "what Webex promised and never had ends as a call without a recording",
        (
            Edit(
                "rules/selection.py",
                '        return Verdict(TaskState.FAILED, "missing")\n',
                '        return Verdict(TaskState.NO_RECORDING, "missing")\n',
            ),
        ),
        SELECTION,
    ),
    Bug(
        "no_longer_named_in_silence",
        "a recording that captures names no longer is left as it is, and nobody hears of it",
        (
            Edit(
                "settling.py",
                "                await self._note_failed(known.task_id, recording_id, failed)\n\n    async def _settle",
                "                failed = failed\n\n    async def _settle",
            ),
        ),
        ("tests/flow/test_orchestrator.py", *FLOW),
    ),
    Bug(
        "promise_forgotten",
        "captureRequested true is no promise any more",
        (
            Edit(
                "rules/selection.py",
                "    if task.capture_requested or silence.named:\n",
                "    if silence.named:\n",
            ),
        ),
        SELECTION,
    ),
)

STORED = (
    Bug(
        "half_a_call_is_stored",
        "what captures names of a call that goes on is fetched as if it were all",
        (
            Edit(
                "flow/batch.py",
                "    if wanted and selection.while_it_goes_on(task, wanted, seen, rules.ages, now_ms):\n",
                "    if False:\n",
            ),
        ),
        FLOW,
    ),
    Bug(
        "open_calls_are_asked_for",
        "a call that goes on is asked for like any other",
        (
            Edit(
                "rules/selection.py",
                "        case Phase.OPEN:\n            judged",
                "        case Phase.OPEN if False:\n            judged",
            ),
        ),
        SELECTION,
    ),
    Bug(
        "grown_since_and_left_half",
        "a recording whose end has moved is taken for the one that is stored",
        (
            Edit(
                "rules/identity.py",
                "has_changed(known.stop_ms, each.stop_ms):\n",
                "has_changed(known.stop_ms, known.stop_ms):\n",
            ),
        ),
        ("tests/rules/test_identity.py",),
    ),
    Bug(
        "two_under_one_id",
        "another recording under the id of a stored one is taken for that",
        (
            Edit(
                "rules/identity.py",
                "    if known is None or not is_other(known.start_ms, recording.start_ms):\n",
                "    if True:\n",
            ),
        ),
        ("tests/rules/test_identity.py",),
    ),
    Bug(
        "never_ended_unsaid",
        "a call that never ends is stored as it is and called complete",
        (
            Edit(
                "ledger/recordings.py",
                '{"state": "failed" if failing else "captured", "reason": words(failing),',
                '{"state": "captured", "reason": "",',
            ),
        ),
        FLOW,
    ),
)

ALREADY_STORED = (
    Bug(
        "any_size_is_equal",
        "an object of another size passes for the recording when no checksum speaks against it",
        (
            Edit(
                "rules/parts.py", "    if found.size != size:\n        return False\n    return None", "    return None"
            ),
        ),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "no_checksum_is_equal",
        "an object without a checksum passes for the recording",
        (
            Edit(
                "rules/parts.py",
                "    return None if found.crc32 is None else found.crc32 == crc\n",
                "    return True if found.crc32 is None else found.crc32 == crc\n",
            ),
        ),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "read_back_is_not_compared",
        "what was read back to be compared is taken for equal",
        (
            Edit(
                "transfer.py",
                "            same = await self._store.read_crc32(key) == (size, crc)\n",
                "            same = await self._store.read_crc32(key) is not None\n",
            ),
        ),
        ("tests/flow/test_transfer_conflicts.py",),
    ),
    Bug(
        "the_others_place_is_ours",
        "another recording of the task under the key passes for a conflict of ours",
        (
            Edit(
                "rules/keys.py",
                "    return task == encode_id(recording.task_id) and other is not None and other != encode_id(recording.id)\n",
                "    return False\n",
            ),
        ),
        ("tests/rules/test_keys.py", "tests/flow/test_transfer_conflicts.py"),
    ),
    Bug(
        "stored_whatever_the_state",
        "a recording that failed before passes for stored when it is named again",
        (
            Edit(
                "orchestrator.py",
                "        stored = [name for name, state in known.recordings.items() if state is RecordingState.STORED]\n",
                "        stored = [name for name in known.recordings]\n",
            ),
        ),
        ("tests/flow/test_orchestrator.py",),
    ),
)

CERTIFIED = (
    Bug(
        "certified_without_the_list",
        "a day is certified though its list could not be read to the end",
        (
            Edit(
                "rules/reconciling.py",
                "        WhyNot.LIST: day.tasks is not SearchState.PRESENT,\n",
                "        WhyNot.LIST: False,\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "certified_by_half_of_search",
        "a day is certified though Search broke off",
        (
            Edit(
                "rules/reconciling.py",
                "    return heard is SearchState.PRESENT if required else heard is not SearchState.PARTIAL\n",
                "    return heard is SearchState.PRESENT if required else True\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "certified_too_young",
        "a day is certified that has not ended, or not settled",
        (
            Edit(
                "rules/reconciling.py",
                "        WhyNot.YOUNG: not day.settled,\n",
                "        WhyNot.YOUNG: False,\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "certified_with_work_left",
        "a day is certified of which tasks are owed or failed",
        (
            Edit(
                "rules/reconciling.py",
                "        WhyNot.TASKS: not is_whole(day.counts),\n",
                "        WhyNot.TASKS: False,\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "certified_by_an_unproven_deletion",
        "a recording that somebody once called gone counts as deleted",
        (
            Edit(
                "rules/reconciling.py",
                "        if each.state is RecordingState.GONE and not each.evidence:\n",
                "        if False:\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
)

FINALITY = (*WINDOW_CLOSED, *NO_RECORDING, *GONE, *MISSING, *STORED, *ALREADY_STORED, *CERTIFIED)
