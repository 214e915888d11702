"""The twelve bugs that the suite was asked to catch."""

from __future__ import annotations

from tests.teeth.bug import Bug, Edit

SMALL_NEMESIS = "tests/nemesis/test_nemesis.py::test_fifty_recordings_under_every_kind_of_fault"
UPLOAD_FILEOBJ = """\
        class Source:
            async def read(self, _size: int = -1) -> bytes:
                if reader._filled is None:
                    if not await reader.more():
                        return b""
                    await reader.fill()
                part, room = reader.take()
                data = b"".join(bytes(chunk) for chunk in part.chunks)
                room.release()
                return data

        await self._give_way(order)
        target = order.target
        client, bucket = self._store._client, self._store._settings.bucket  # type: ignore[attr-defined]
        extra = {"ContentType": target.content_type, "Metadata": target.metadata}
        await client.upload_fileobj(Source(), bucket, target.key, ExtraArgs=extra)
        flags = self._judge(reader, witness)
        found = await self._store.head(target.key)
        assert found is not None
        stored = replace(found, crc32=reader.crc32)
        return Stored(stored, main_place=order.fallback is not None, flags=flags)
"""

LISTED = (
    Bug(
        "pipe_close_is_finish",
        "what was read before a failure passes for the whole",
        (
            Edit(
                "plumbing/pipe.py",
                "        self._failure = failure\n        self._wake()\n",
                "        self._finished = True\n        self._wake()\n",
            ),
        ),
        ("tests/plumbing/test_pipe.py", "tests/flow/test_transfer_failures.py"),
    ),
    Bug(
        "no_length_check",
        "a body that is shorter than it was said to be is stored",
        (
            Edit(
                "rules/parts.py",
                "if sniffer.size != sent or (length is not None and sniffer.size != length):",
                "if False:",
            ),
            Edit(
                "webex/media_stream.py",
                "        if self.length is not None and self.offset < self.length:\n",
                "        if False:\n",
            ),
        ),
        ("tests/rules/test_parts.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "decoded_bytes",
        "compressed bodies are inflated by httpx, which takes half of one for all of it",
        (
            Edit(
                "webex/media_head.py",
                'any(coding != "identity" for coding in codings)',
                'any(coding == "never" for coding in codings)',
            ),
            Edit("webex/media_head.py", "    return stream.__aiter__()\n", "    return response.aiter_bytes()\n"),
        ),
        ("tests/webex/test_media_resume.py", "tests/webex/test_transport_bodies.py"),
    ),
    Bug(
        "no_condition",
        "an object that is there is replaced",
        (
            Edit(
                "s3/requests.py",
                '    return {} if overwrite else {"IfNoneMatch": "*"}\n',
                "    return {}\n",
            ),
        ),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "stored_before_it_is",
        "the ledger says stored before the object is there",
        (
            Edit(
                "orchestrator.py",
                "        outcome = await batch.carry(order, self._carrier)\n",
                "        from wxrec_async.model import Stored, StoredObject\n\n"
                '        early = Stored(StoredObject(order.target.key, 0, 0, etag="x"))\n'
                "        await self._log.record_outcome(recording, early)\n"
                "        outcome = await batch.carry(order, self._carrier)\n",
            ),
        ),
        ("tests/flow/test_crash.py", "tests/flow/test_orchestrator.py"),
    ),
    Bug(
        "no_abort_when_cancelled",
        "an upload stays open when its worker is cancelled",
        (
            Edit(
                "transfer.py",
                "        except BaseException:\n            await self._abort(key, upload_id)\n            raise\n",
                "        except Exception:\n            await self._abort(key, upload_id)\n            raise\n",
            ),
        ),
        ("tests/flow/test_transfer_failures.py", "tests/flow/test_backfill.py", "tests/flow/test_orchestrator.py"),
    ),
    Bug(
        "no_refresh_lock",
        "everybody renews the token",
        (
            Edit(
                "auth/refresher.py",
                "        rounds = self._rounds\n        async with self._lock:\n",
                "        rounds = self._rounds\n        async with anyio.Lock():\n",
            ),
        ),
        ("tests/auth/test_refresher.py",),
    ),
    Bug(
        "token_saved_after_use",
        "a rotated token is used before it is written down",
        (
            Edit(
                "auth/keeper.py",
                "            tokens = await self._kept(tokens)\n            self._adopt(tokens)\n",
                "            self._adopt(tokens)\n            self._emit(TokenRefreshed(tokens.expires_at))\n"
                "            tokens = await self._kept(tokens)\n",
            ),
        ),
        ("tests/auth/test_refresher.py", "tests/auth/test_processes.py"),
    ),
    Bug(
        "one_worker_ignores_the_wait",
        "every fifth request goes past the gate",
        (
            Edit(
                "plumbing/pacer.py",
                "                await passage.enter_async_context(self.gate.passage())\n",
                "                if self.passed % 5 != 4:\n"
                "                    await passage.enter_async_context(self.gate.passage())\n",
            ),
        ),
        ("tests/plumbing/test_pacer.py", "tests/webex/test_pacing.py"),
    ),
    Bug(
        "raw_exception_logged",
        "a failure is logged as it came, with the signed URL in it",
        (
            Edit(
                "webex/transport.py",
                "            failure = _translated(exc)\n        else:\n            return _as_httpx",
                '            __import__("logging").getLogger("wxrec_async").warning("%s: %r", request.url, exc)\n'
                "            failure = _translated(exc)\n        else:\n            return _as_httpx",
            ),
        ),
        ("tests/webex/test_transport_requests.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "unbounded_pipe",
        "a source that is faster than S3 fills the memory",
        (
            Edit(
                "plumbing/pipe.py",
                "        return waits and not self._ended and not self._abandoned\n",
                "        return waits and False\n",
            ),
        ),
        ("tests/plumbing/test_pipe.py", "tests/flow/test_transfer_bytes.py"),
    ),
    Bug(
        "upload_fileobj",
        "aioboto3's own upload in place of ours",
        (
            Edit(
                "transfer.py",
                '        """Upload part by part; before the first one, look whether there is anything to upload at all."""\n',
                '        """Leave it to the library."""\n' + UPLOAD_FILEOBJ + "\n    async def _multipart_of_ours(\n"
                "        self, order: Order, reader: PartReader, witness: _Fingerprint | None\n    ) -> Stored:\n",
            ),
        ),
        (SMALL_NEMESIS,),
    ),
)
