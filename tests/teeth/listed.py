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
client, bucket = self._store._client, self._store._settings.bucket
extra = {"ContentType": target.content_type, "Metadata": target.metadata}
await client.upload_fileobj(Source(), bucket, target.key, ExtraArgs=extra)
flags = self._judge(order.recording, reader, witness)
found = await self._store.head(target.key)
assert found is not None
stored = replace(found, crc32=reader.crc32)
return Stored(stored, main_place=order.fallback is not None, flags=flags)
"""

LISTED = (
    Bug(
        "pipe_close_is_finish",
        "what was read before a failure passes for the whole",
        (Edit("Pipe.fail", "self._failure = failure", "self._finished = True"),),
        ("tests/plumbing/test_pipe.py", "tests/flow/test_transfer_failures.py"),
    ),
    Bug(
        "no_length_check",
        "a body that is shorter than it was said to be is stored",
        (
            Edit("check_whole", "sniffer.size != sent or (length is not None and sniffer.size != length)", "False"),
            Edit("ResumingStream._ended", "self.length is not None and self.offset < self.length", "False"),
        ),
        ("tests/rules/test_parts.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "decoded_bytes",
        "compressed bodies are inflated by httpx, which takes half of one for all of it",
        (
            Edit("_check_kind", "coding != 'identity'", "coding == 'never'"),
            Edit("stream_of", "stream.__aiter__", "response.aiter_bytes"),
        ),
        ("tests/webex/test_media_resume.py", "tests/webex/test_transport_bodies.py"),
    ),
    Bug(
        "no_condition",
        "an object that is there is replaced",
        (Edit("_condition", "{} if overwrite else {'IfNoneMatch': '*'}", "{}"),),
        ("tests/s3/test_uploads_faults.py", "tests/s3/test_contract.py"),
    ),
    Bug(
        "stored_before_it_is",
        "the ledger says stored before the object is there",
        (
            Edit(
                "Orchestrator._carry",
                "outcome = await batch.carry(order, self._carrier)",
                "from wxrec_async.model import Stored, StoredObject\nearly = Stored(StoredObject(order.target.key, 0, 0, etag='x'))\nawait self._log.record_outcome(recording, early)\noutcome = await batch.carry(order, self._carrier)",
            ),
        ),
        ("tests/flow/test_crash.py", "tests/flow/test_orchestrator.py"),
    ),
    Bug(
        "no_abort_when_cancelled",
        "an upload stays open when its worker is cancelled",
        (
            Edit(
                "Transfer._multipart",
                "BaseException",
                "Exception",
            ),
        ),
        ("tests/flow/test_transfer_failures.py", "tests/flow/test_backfill.py", "tests/flow/test_orchestrator.py"),
    ),
    Bug(
        "no_refresh_lock",
        "everybody renews the token",
        (Edit("Refresher._one_at_a_time", "async with self._lock: ...", "async with anyio.Lock(): ..."),),
        ("tests/auth/test_refresher.py",),
    ),
    Bug(
        "token_saved_after_use",
        "a rotated token is used before it is written down",
        (
            Edit(
                "TokenManager._exchange",
                "tokens = await self._saved(tokens)\nself._adopt(tokens)",
                "self._adopt(tokens)\n"
                "self._emit(TokenRefreshed(tokens.expires_at))\n"
                "tokens = await self._saved(tokens)",
            ),
        ),
        ("tests/auth/test_refresher.py", "tests/auth/test_processes.py"),
    ),
    Bug(
        "one_worker_ignores_the_wait",
        "every fifth request goes past the gate",
        (
            Edit(
                "Pacer.turn",
                "await passage.enter_async_context(self.gate.request())",
                "if self.passed % 5 != 4:\n    await passage.enter_async_context(self.gate.request())",
            ),
        ),
        ("tests/plumbing/test_pacer.py", "tests/webex/test_pacing.py"),
    ),
    Bug(
        "raw_exception_logged",
        "a failure is logged as it came, with the signed URL in it",
        (
            Edit(
                "AiohttpTransport.handle_async_request",
                "failure = _translated(exc)",
                "__import__('logging').getLogger('wxrec_async').warning('%s: %r', request.url, exc)\nfailure = _translated(exc)",
            ),
        ),
        ("tests/webex/test_transport_requests.py", "tests/webex/test_media_resume.py"),
    ),
    Bug(
        "unbounded_pipe",
        "a source that is faster than S3 fills the memory",
        (Edit("Pipe._is_full", "waits and (not self._ended) and (not self._abandoned)", "waits and False"),),
        ("tests/plumbing/test_pipe.py", "tests/flow/test_transfer_bytes.py"),
    ),
    Bug(
        "upload_fileobj",
        "aioboto3's own upload in place of ours",
        (Edit("Transfer._multipart", "await self._give_way(order)", UPLOAD_FILEOBJ),),
        (SMALL_NEMESIS,),
    ),
)
