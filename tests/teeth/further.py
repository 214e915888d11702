"""Bugs nobody asked for: silent ones, each a plausible slip."""

from __future__ import annotations

from tests.teeth.bug import Bug, Edit, TextEdit

FURTHER = (
    Bug(
        "taken_means_ours",
        "a key that is taken passes for stored, whatever lies there",
        (Edit("Transfer._compare", "if not same: ...", "if False: ..."),),
        ("tests/flow/test_transfer_conflicts.py",),
    ),
    Bug(
        "size_is_enough",
        "two objects of one size pass for equal",
        (Edit("same_object", "None if found.crc32 is None else found.crc32 == crc", "True"),),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "resume_without_if_match",
        "a download goes on without asking for the same bytes",
        (Edit("_condition", "{'Range': f'bytes={offset}-', 'If-Match': etag}", "{'Range': f'bytes={offset}-'}"),),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "other_etag_accepted",
        "the rest of another file is put behind the beginning of the first",
        (
            Edit(
                "ResumingStream._compare",
                "_differ(_opaque(self._basis.etag), _opaque(head.etag)) or _differ(self.length, head.total)",
                "_differ(self.length, head.total)",
            ),
        ),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "skipped_bytes_unchecked",
        "a server that begins again may send other bytes",
        (Edit("ResumingStream._skipped", "known_bytes and crc != self.crc32", "False"),),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "wrong_range_accepted",
        "the bytes of another range pass for those asked for",
        (
            Edit(
                "_range_of",
                "not start <= offset < end or (total is not None and end > total)",
                "total is not None and end > total",
            ),
            Edit("_range_of", "(start, end, total)", "(offset, end, total)"),
        ),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "unproved_end_accepted",
        "a body whose end nothing proves is stored",
        (Edit("check_whole", "not proven and riff != sniffer.size", "False"),),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "riff_liar_believed_at_once",
        "a contradicting RIFF size is waved through at the first fetch",
        (Edit("Transfer._judge", "doubts and fingerprint != witness", "False"),),
        ("tests/flow/test_transfer_failures.py", "tests/flow/test_transfer_bytes.py"),
    ),
    Bug(
        "part_border_off_by_one",
        "the byte at the border of two parts is lost",
        (
            Edit(
                "PartReader._feed",
                "memoryview(chunk)[wanted:] if len(chunk) > wanted else None",
                "memoryview(chunk)[wanted + 1:] if len(chunk) > wanted + 1 else None",
            ),
        ),
        ("tests/flow/test_transfer_bytes.py",),
    ),
    Bug(
        "whole_crc_off",
        "the object's checksum forgets the parts before",
        (Edit("PartAssembler.crc32", "crc32_combine(self._whole_crc, self._part_crc, self._held)", "self._part_crc"),),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "window_closed_before_rows",
        "a window counts as listed although its last rows are not written down",
        (
            Edit(
                "WindowReader._read",
                "trouble = await self._listers[source].read(window, hold)",
                "await self._log.close_window(window, asked_ms, None)\n"
                "trouble = await self._listers[source].read(window, hold)",
            ),
        ),
        ("tests/flow/test_lister.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "failure_swallowed",
        "an error of the program passes for a failed recording",
        (
            Edit(
                "Orchestrator._carry",
                "outcome = await batch.carry(order, self._carrier)",
                "from wxrec_async.model import Failed\ntry:\n    outcome = await batch.carry(order, self._carrier)\nexcept Exception:\n    outcome = Failed('error')",
            ),
        ),
        ("tests/flow/test_orchestrator.py",),
    ),
    Bug(
        "no_overlap_in_paging",
        "the next page begins behind the newest row, and its ties are lost",
        (Edit("Pager._advance", "max(newest - 1, self.from_ms)", "newest + 1"),),
        ("tests/rules/test_paging.py",),
    ),
    Bug(
        "first_short_page_ends",
        "a page that is not full ends the window although more exist",
        (Edit("Pager._advance", "if new: ...", "if new and rows >= self._page_size: ..."),),
        ("tests/rules/test_paging.py", "tests/flow/test_lister.py"),
    ),
    Bug(
        "retry_after_date_forgotten",
        "a wait that is written as a date is not kept",
        (Edit("retry_after_s", "_http_date(text)", "None"),),
        ("tests/rules/test_retry.py",),
    ),
    Bug(
        "date_against_our_clock",
        "a wait that is written as a date is measured against our own clock",
        (Edit("retry_after_s", "_http_date(server_date or '') or now_s", "now_s"),),
        ("tests/rules/test_retry.py",),
    ),
    Bug(
        "owed_is_none",
        "a capture that is still to come passes for none",
        (
            Edit(
                "_promised",
                "TaskVerdict(TaskState.OWED, 'capture_awaited', next_question(now_ms, age, judged, ages.pace))",
                "TaskVerdict(TaskState.NO_RECORDING, 'no_capture')",
            ),
        ),
        ("tests/rules/test_selection.py",),
    ),
    Bug(
        "null_is_none",
        "a young task of which Webex does not know yet passes for one without a recording",
        (Edit("is_no_recording", "now_ms - min(task.created_ms or seen, seen) > null_ms", "True"),),
        ("tests/rules/test_selection.py",),
    ),
    Bug(
        "no_fsync",
        "a renewed token is renamed into place before it is on the disk",
        (Edit("Draft.__exit__", "os.fsync(self._fd)", ""),),
        ("tests/auth/test_file_store.py",),
    ),
    Bug(
        "folder_not_synced",
        "the rename of a renewed token may be lost with the power",
        (Edit("put_in_place", "sync(path.parent)", ""),),
        ("tests/auth/test_file_store.py",),
    ),
    Bug(
        "owner_not_asked",
        "a bucket of somebody else is taken for one that lacks permissions",
        (Edit("open_bucket", "await check_owner(access.client, settings.s3, gate)", ""),),
        ("tests/wiring/test_bucket.py",),
    ),
    Bug(
        "told_before_written",
        "listeners hear of a stored recording before the ledger has it",
        (
            Edit(
                "TaskVerdicts.stored",
                "await self._ledger.stored(task_id, recording_id, found, run_id=self._job.run_id, already=stored.already, main_place=stored.main_place, flags=stored.flags, now_ms=self._now_ms(), upload_id=stored.upload_id, span=(recording.start_ms, recording.stop_ms) if replaced else None)",
                "self._emit(events.RecordingStored(task_id, recording_id, found.key, found.size, 0, seconds))\nawait self._ledger.stored(task_id, recording_id, found, run_id=self._job.run_id, already=stored.already, main_place=stored.main_place, flags=stored.flags, now_ms=self._now_ms(), upload_id=stored.upload_id, span=(recording.start_ms, recording.stop_ms) if replaced else None)",
            ),
            Edit(
                "TaskVerdicts.stored",
                "self._emit(events.RecordingStored(task_id, recording_id, found.key, found.size, found.crc32 or 0, seconds, already=stored.already, flags=stored.flags, kind=recording.kind.value))",
                "(lambda _: None)(events.RecordingStored(task_id, recording_id, found.key, found.size, found.crc32 or 0, seconds, already=stored.already, flags=stored.flags, kind=recording.kind.value))",
            ),
        ),
        ("tests/flow/test_orchestrator.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "captures_by_position",
        "answers are matched by their place and not by their task",
        (
            Edit("read_captures", "for entry in entries: ...", "for said, entry in zip(asked, entries): ..."),
            Edit("read_captures", "said = as_task_id(as_dict(entry).get('taskId'))", ""),
        ),
        ("tests/webex/test_wire.py",),
    ),
    Bug(
        "room_given_back_too_early",
        "a part's buffer is free for the next one before it was sent",
        (
            Edit(
                "Transfer._upload_parts.upload",
                "receipts.append(await self._store.upload_part(key, upload_id, part))",
                "room.release()\nreceipts.append(await self._store.upload_part(key, upload_id, part))",
            ),
        ),
        ("tests/flow/test_transfer_bytes.py", "tests/plumbing/test_pool.py"),
    ),
    Bug(
        "intent_not_written",
        "size and checksum are not written down before Complete",
        (Edit("Transfer._complete", "await self._log.completing(upload_id, size, crc)", ""),),
        ("tests/flow/test_transfer_bytes.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "upload_id_not_written",
        "a begun upload is not written down, so a crash leaves it open",
        (
            Edit(
                "Transfer._create",
                "await self._log.upload_created(key, upload_id, recording.task_id, recording.id)",
                "",
            ),
        ),
        ("tests/flow/test_transfer_bytes.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "abort_believed",
        "one abort is enough, though a part lands after it",
        (
            Edit(
                "S3Store._aborted.attempt",
                "await self._wire.send(lambda: self._client.list_parts(**params, MaxParts=1))",
                "return True",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "part_checksum_not_sent",
        "a part goes out without its checksum",
        (
            Edit(
                "Requests.part",
                "self.key(key, UploadId=upload_id, PartNumber=part.number, Body=PartBody(part), ChecksumCRC32=crc32_text(part.crc32))",
                "self.key(key, UploadId=upload_id, PartNumber=part.number, Body=PartBody(part))",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_client.py"),
    ),
    Bug(
        "put_checksum_not_sent",
        "a small recording goes out without its checksum",
        (
            Edit(
                "Requests.put",
                "{**self._new_object(target), **_condition(overwrite, instead_of), 'Body': PartBody(part), 'ChecksumCRC32': crc32_text(part.crc32)}",
                "{**self._new_object(target), **_condition(overwrite, instead_of), 'Body': PartBody(part)}",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_client.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "lost_reply_repeated_blindly",
        "after a lost reply the object is not looked for",
        (
            Edit("VerifiedWrite.attempt", "if self._open and (found := (await self._ours())):\n    return found", ""),
            Edit(
                "VerifiedWrite._after_error",
                "case HTTPStatusError(status=412) if not self._open",
                "case HTTPStatusError(status=412)",
            ),
        ),
        ("tests/s3/test_uploads_faults.py",),
    ),
    Bug(
        "late_401_renews_again",
        "a late refusal of the token before renews the new one, too",
        (
            Edit(
                "RefreshingAuth.async_auth_flow",
                "self._refresher.refresh(generation)",
                "self._refresher.refresh(self._refresher.generation)",
            ),
        ),
        ("tests/auth/test_refresher.py",),
    ),
    Bug(
        "redirects_followed",
        "a download follows a redirect to anywhere",
        (
            Edit(
                "AiohttpTransport.handle_async_request",
                "self._open_session().request(request.method, url, data=body or None, headers=request.headers.multi_items(), allow_redirects=False)",
                "self._open_session().request(request.method, url, data=body or None, headers=request.headers.multi_items(), allow_redirects=True)",
            ),
        ),
        ("tests/webex/test_transport_requests.py",),
    ),
    Bug(
        "hidden_repeat",
        "aiohttp repeats a request by itself",
        (
            Edit(
                "AiohttpTransport._open_session",
                "self._session._retry_connection = False",
                "self._session._retry_connection = True",
            ),
        ),
        ("tests/webex/test_transport_bodies.py",),
    ),
    Bug(
        "foreign_address_allowed",
        "the address that is connected to is not checked",
        (
            Edit(
                "AiohttpTransport._checked_socket",
                "self._address_check is not None and (not self._address_check(str(where[0])))",
                "False",
            ),
        ),
        ("tests/webex/test_transport_requests.py",),
    ),
    Bug(
        "killed_workers_uploads_stay",
        "what the bucket alone knows to be open is left open",
        (
            Edit(
                "EarlierUploads.abort",
                "await self._sweeper.sweep(target.key)",
                "",
            ),
        ),
        ("tests/flow/test_recovery.py", "tests/flow/test_backfill.py"),
    ),
    Bug(
        "begun_keys_stay_at_home",
        "a fleet's workers are not told which keys somebody began",
        (
            Edit(
                "TaskToDo.of",
                "[(each.recording_id, each.key) for each in interrupted.started]",
                "[]",
            ),
        ),
        ("tests/temporal/test_books.py",),
    ),
    Bug(
        "recovery_trusts_the_size",
        "after a crash an object of the right size counts as stored",
        (Edit("_completed", "same_object(found, size=upload.size, crc=upload.crc32)", "found.size == upload.size"),),
        ("tests/flow/test_recovery.py",),
    ),
    Bug(
        "stored_is_overwritten",
        "a later failure takes a stored recording back",
        (TextEdit("recording_failed", "AND id = ? AND state NOT IN ('stored', 'gone')", "AND id = ?"),),
        ("tests/ledger/test_contract_sqlite.py", "tests/ledger/test_model.py"),
    ),
    Bug(
        "required_search_ignored",
        "a day is certified without the Search that the settings require",
        (
            Edit(
                "_search_suffices",
                "heard is SearchState.PRESENT if required else heard is not SearchState.PARTIAL",
                "heard is not SearchState.PARTIAL",
            ),
        ),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "named_before_forgotten",
        "fewer recordings than captures once named pass for all",
        (Edit("_contradiction", "facts.named > len(facts.recordings)", "False"),),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "deleted_by_one_voice",
        "Search alone says deleted, captures was not asked",
        (
            Edit(
                "_deletion",
                "facts.asked in (RecheckAnswer.FOUND, RecheckAnswer.SILENT) or not _fewer_than_search(facts)",
                "True",
            ),
        ),
        ("tests/rules/test_day_comparison.py",),
    ),
    Bug(
        "tasks_uncounted",
        "the file of tasks may name others than are counted",
        (Edit("miscounted", "counted != named", "counted < named"),),
        ("tests/rules/test_evidence_words.py",),
    ),
    Bug(
        "stored_times_overwritten",
        "the times of a stored recording become those of another one under its id",
        (TextEdit("_UPSERT", "start_ms = CASE WHEN state = 'stored' THEN", "start_ms = CASE WHEN state = 'x' THEN"),),
        ("tests/ledger/test_contract_sqlite.py",),
    ),
    Bug(
        "gone_for_ever",
        "what captures names again stays gone",
        (TextEdit("add", "? AND state = 'gone'", "? AND state = 'x'"),),
        ("tests/ledger/test_contract_sqlite.py",),
    ),
)
