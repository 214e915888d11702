"""Bugs nobody asked for: silent ones, each a plausible slip."""

from __future__ import annotations

from tests.teeth.bug import Bug, Edit

FURTHER = (
    Bug(
        "taken_means_ours",
        "a key that is taken passes for stored, whatever lies there",
        (Edit("transfer.py", "        if not same:\n            detail", "        if False:\n            detail"),),
        ("tests/flow/test_transfer_conflicts.py",),
    ),
    Bug(
        "size_is_enough",
        "two objects of one size pass for equal",
        (
            Edit(
                "rules/parts.py",
                "    return None if found.crc32 is None else found.crc32 == crc\n",
                "    return True\n",
            ),
        ),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "resume_without_if_match",
        "a download goes on without asking for the same bytes",
        (
            Edit(
                "webex/media.py",
                '{"Range": f"bytes={offset}-", "If-Match": etag} if',
                '{"Range": f"bytes={offset}-"} if',
            ),
        ),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "other_etag_accepted",
        "the rest of another file is put behind the beginning of the first",
        (
            Edit(
                "webex/media_stream.py",
                "        if _differ(_opaque(self._basis.etag), _opaque(head.etag)) or _differ(self.length, head.total):\n",
                "        if _differ(self.length, head.total):\n",
            ),
        ),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "skipped_bytes_unchecked",
        "a server that begins again may send other bytes",
        (Edit("webex/media_stream.py", "        if known_bytes and crc != self.crc32:\n", "        if False:\n"),),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "wrong_range_accepted",
        "the bytes of another range pass for those asked for",
        (
            Edit(
                "webex/media_head.py",
                "    if not start <= offset < end or (total is not None and end > total):\n",
                "    if total is not None and end > total:\n",
            ),
            Edit(
                "webex/media_head.py",
                "    return start, end, total\n\n\ndef asked",
                "    return offset, end, total\n\n\ndef asked",
            ),
        ),
        ("tests/webex/test_media_resume.py",),
    ),
    Bug(
        "unproved_end_accepted",
        "a body whose end nothing proves is stored",
        (Edit("rules/parts.py", "    if not proven and riff != sniffer.size:\n", "    if False:\n"),),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "riff_liar_believed_at_once",
        "a contradicting RIFF size is waved through at the first fetch",
        (Edit("transfer.py", "        if doubts and fingerprint != witness:\n", "        if False:\n"),),
        ("tests/flow/test_transfer_failures.py", "tests/flow/test_transfer_bytes.py"),
    ),
    Bug(
        "part_border_off_by_one",
        "the byte at the border of two parts is lost",
        (
            Edit(
                "intake.py",
                "        self._next = memoryview(chunk)[wanted:] if len(chunk) > wanted else None\n",
                "        self._next = memoryview(chunk)[wanted + 1 :] if len(chunk) > wanted + 1 else None\n",
            ),
        ),
        ("tests/flow/test_transfer_bytes.py",),
    ),
    Bug(
        "whole_crc_off",
        "the object's checksum forgets the parts before",
        (
            Edit(
                "rules/parts.py",
                "        return crc32_combine(self._whole_crc, self._part_crc, self._held)\n",
                "        return self._part_crc\n",
            ),
        ),
        ("tests/rules/test_parts.py",),
    ),
    Bug(
        "window_closed_before_rows",
        "a window counts as listed although its last rows are not written down",
        (
            Edit(
                "flow/window_reader.py",
                "        trouble = await self._lister.read(window, hold)\n",
                "        await self._log.close_window(window, asked_ms, None)\n"
                "        trouble = await self._lister.read(window, hold)\n",
            ),
        ),
        ("tests/flow/test_lister.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "failure_swallowed",
        "an error of the program passes for a failed recording",
        (
            Edit(
                "orchestrator.py",
                "        outcome = await batch.carry(order, self._carrier)\n",
                "        from wxrec_async.model import Failed, Outcome\n\n"
                "        try:\n            outcome: Outcome = await batch.carry(order, self._carrier)\n"
                '        except Exception:  # noqa: BLE001\n            outcome = Failed("error")\n',
            ),
        ),
        ("tests/flow/test_orchestrator.py",),
    ),
    Bug(
        "no_overlap_in_paging",
        "the next page begins behind the newest row, and its ties are lost",
        (
            Edit(
                "rules/paging.py",
                "            return self._go_on(new, max(newest - 1, self.from_ms))\n",
                "            return self._go_on(new, newest + 1)\n",
            ),
        ),
        ("tests/rules/test_paging.py",),
    ),
    Bug(
        "first_short_page_ends",
        "a page that is not full ends the window although more exist",
        (
            Edit(
                "rules/paging.py",
                "        if new:\n            return self._go_on(",
                "        if new and rows >= self._page_size:\n            return self._go_on(",
            ),
        ),
        ("tests/rules/test_paging.py", "tests/flow/test_lister.py"),
    ),
    Bug(
        "retry_after_date_forgotten",
        "a wait that is written as a date is not kept",
        (
            Edit(
                "rules/retry.py",
                "    until = _http_date(text)\n    if until is None:\n",
                "    until = None\n    if until is None:\n",
            ),
        ),
        ("tests/rules/test_retry.py",),
    ),
    Bug(
        "date_against_our_clock",
        "a wait that is written as a date is measured against our own clock",
        (
            Edit(
                "rules/retry.py",
                '    return max(0.0, until - (_http_date(server_date or "") or now_s))\n',
                "    return max(0.0, until - now_s)\n",
            ),
        ),
        ("tests/rules/test_retry.py",),
    ),
    Bug(
        "owed_is_none",
        "a capture that is still to come passes for none",
        (
            Edit(
                "rules/selection.py",
                '    return Verdict(TaskState.OWED, "capture_awaited", next_question(now_ms, age, judged, ages.pace))\n',
                '    return Verdict(TaskState.NO_RECORDING, "no_capture")\n',
            ),
        ),
        ("tests/rules/test_selection.py",),
    ),
    Bug(
        "null_is_none",
        "a young task of which Webex does not know yet passes for one without a recording",
        (
            Edit(
                "rules/finality.py",
                "    return now_ms - min(task.created_ms or seen, seen) > null_ms\n",
                "    return True\n",
            ),
        ),
        ("tests/rules/test_selection.py",),
    ),
    Bug(
        "no_fsync",
        "a renewed token is renamed into place before it is on the disk",
        (Edit("auth/files.py", "            os.fsync(fd)\n            temporary", "            temporary"),),
        ("tests/auth/test_file_store.py",),
    ),
    Bug(
        "folder_not_synced",
        "the rename of a renewed token may be lost with the power",
        (Edit("auth/files.py", "        _sync_folder(path.parent)\n    except", "    except"),),
        ("tests/auth/test_file_store.py",),
    ),
    Bug(
        "told_before_written",
        "listeners hear of a stored recording before the ledger has it",
        (
            Edit(
                "settling.py",
                "recording.id, stored.object\n        await self._ledger.stored(\n",
                "recording.id, stored.object\n"
                "        self._emit(events.RecordingStored(task_id, recording_id, found.key, found.size, 0, seconds))\n"
                "        await self._ledger.stored(\n",
            ),
            Edit(
                "settling.py",
                "        self._stored += 1\n        self._emit(\n",
                "        self._stored += 1\n        (lambda _: None)(\n",
            ),
        ),
        ("tests/flow/test_orchestrator.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "captures_by_position",
        "answers are matched by their place and not by their task",
        (
            Edit(
                "webex/wire.py",
                '    for entry in entries:\n        said = as_task_id(as_dict(entry).get("taskId"))\n',
                "    for said, entry in zip(asked, entries):\n",
            ),
        ),
        ("tests/webex/test_wire.py",),
    ),
    Bug(
        "room_given_back_too_early",
        "a part's buffer is free for the next one before it was sent",
        (
            Edit(
                "transfer.py",
                "            try:\n                receipts.append(await self._store.upload_part(key, upload_id, part))\n",
                "            try:\n                room.release()\n"
                "                receipts.append(await self._store.upload_part(key, upload_id, part))\n",
            ),
        ),
        ("tests/flow/test_transfer_bytes.py", "tests/plumbing/test_pool.py"),
    ),
    Bug(
        "intent_not_written",
        "size and checksum are not written down before Complete",
        (Edit("transfer.py", "        await self._log.completing(upload_id, size, crc)\n", ""),),
        ("tests/flow/test_transfer_bytes.py", "tests/flow/test_crash.py"),
    ),
    Bug(
        "upload_id_not_written",
        "a begun upload is not written down, so a crash leaves it open",
        (
            Edit(
                "transfer.py",
                "            await self._log.upload_created(key, upload_id, recording.task_id, recording.id)\n",
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
                "s3/uploads.py",
                "                await self._wire.send(lambda: self._client.list_parts(**params, MaxParts=1))\n",
                "                return True\n",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "part_checksum_not_sent",
        "a part goes out without its checksum",
        (
            Edit(
                "s3/requests.py",
                "            Body=PartBody(part),\n            ChecksumCRC32=crc32_text(part.crc32),\n        )\n",
                "            Body=PartBody(part),\n        )\n",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_client.py"),
    ),
    Bug(
        "put_checksum_not_sent",
        "a small recording goes out without its checksum",
        (
            Edit(
                "s3/requests.py",
                '            "ChecksumCRC32": crc32_text(part.crc32),\n        }\n\n    def create',
                "        }\n\n    def create",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_client.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "lost_reply_repeated_blindly",
        "after a lost reply the object is not looked for",
        (
            Edit(
                "s3/commit.py",
                "        if self._open and (found := await self._ours()):\n            return found\n",
                "",
            ),
            Edit(
                "s3/commit.py",
                "            case Rejected(status=412) if not self._open:\n",
                "            case Rejected(status=412):\n",
            ),
        ),
        ("tests/s3/test_uploads_faults.py",),
    ),
    Bug(
        "late_401_renews_again",
        "a late refusal of the token before renews the new one, too",
        (
            Edit(
                "auth/refresher.py",
                "        await self._refresher.refresh(generation)\n",
                "        await self._refresher.refresh(self._refresher.generation)\n",
            ),
        ),
        ("tests/auth/test_refresher.py",),
    ),
    Bug(
        "redirects_followed",
        "a download follows a redirect to anywhere",
        (
            Edit(
                "webex/transport.py",
                "                    allow_redirects=False,\n",
                "                    allow_redirects=True,\n",
            ),
        ),
        ("tests/webex/test_transport_requests.py",),
    ),
    Bug(
        "hidden_repeat",
        "aiohttp repeats a request by itself",
        (
            Edit(
                "webex/transport.py",
                "            self._session._retry_connection = False",
                "            self._session._retry_connection = True",
            ),
        ),
        ("tests/webex/test_transport_bodies.py",),
    ),
    Bug(
        "foreign_address_allowed",
        "the address that is connected to is not checked",
        (
            Edit(
                "webex/transport.py",
                "        if self._address_check is not None and not self._address_check(str(where[0])):\n",
                "        if False:\n",
            ),
        ),
        ("tests/webex/test_transport_requests.py",),
    ),
    Bug(
        "killed_workers_uploads_stay",
        "what the bucket alone knows to be open is left open",
        (
            Edit(
                "recovery.py",
                "                await self._sweeper.sweep(target.key)\n",
                "                pass\n",
            ),
        ),
        ("tests/flow/test_recovery.py", "tests/flow/test_backfill.py"),
    ),
    Bug(
        "begun_keys_stay_at_home",
        "a fleet's workers are not told which keys somebody began",
        (
            Edit(
                "remote/records.py",
                "            begun=[(each.recording_id, each.key) for each in interrupted.started],\n",
                "            begun=[],\n",
            ),
        ),
        ("tests/scaleout/test_books.py",),
    ),
    Bug(
        "recovery_trusts_the_size",
        "after a crash an object of the right size counts as stored",
        (
            Edit(
                "recovery.py",
                "    return found if found and same_object(found, size=upload.size, crc=upload.crc32) else None\n",
                "    return found if found and found.size == upload.size else None\n",
            ),
        ),
        ("tests/flow/test_recovery.py",),
    ),
    Bug(
        "stored_is_overwritten",
        "a later failure takes a stored recording back",
        (
            Edit(
                "ledger/recordings.py",
                "           WHERE task = ? AND id = ? AND state NOT IN ('stored', 'gone')\"\"\",\n        (words(reason)",
                '           WHERE task = ? AND id = ?""",\n        (words(reason)',
            ),
        ),
        ("tests/ledger/test_contract_sqlite.py", "tests/ledger/test_model.py"),
    ),
    Bug(
        "required_search_ignored",
        "a day is certified without the Search that the settings require",
        (
            Edit(
                "rules/reconciling.py",
                "    return heard is SearchState.PRESENT if required else heard is not SearchState.PARTIAL\n",
                "    return heard is not SearchState.PARTIAL\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "named_before_forgotten",
        "fewer recordings than captures once named pass for all",
        (Edit("rules/reconciling.py", "    if facts.named > len(facts.recordings):\n", "    if False:\n"),),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "deleted_by_one_voice",
        "Search alone says deleted, captures was not asked",
        (
            Edit(
                "rules/reconciling.py",
                "    confirmed = facts.asked in (Asked.FOUND, Asked.SILENT) or not _fewer_than_search(facts)\n",
                "    confirmed = True\n",
            ),
        ),
        ("tests/rules/test_reconciling.py",),
    ),
    Bug(
        "tasks_uncounted",
        "the file of tasks may name others than are counted",
        (Edit("rules/evidence.py", "        if counted != named:\n", "        if counted < named:\n"),),
        ("tests/rules/test_evidence_words.py",),
    ),
    Bug(
        "stored_times_overwritten",
        "the times of a stored recording become those of another one under its id",
        (
            Edit(
                "ledger/recordings.py",
                "start_ms = CASE WHEN state = 'stored' THEN coalesce(start_ms, excluded.start_ms)",
                "start_ms = CASE WHEN state = 'x' THEN coalesce(start_ms, excluded.start_ms)",
            ),
        ),
        ("tests/ledger/test_contract_sqlite.py",),
    ),
    Bug(
        "gone_for_ever",
        "what captures names again stays gone",
        (
            Edit(
                "ledger/recordings.py",
                '           WHERE task = ? AND id = ? AND state = \'gone\'""",\n        (now_ms, n, kept)',
                '           WHERE task = ? AND id = ? AND state = \'x\'""",\n        (now_ms, n, kept)',
            ),
        ),
        ("tests/ledger/test_contract_sqlite.py",),
    ),
)
