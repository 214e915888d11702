"""The twenty moments of the catalogue, each hit exactly: by the servers, by the ledger's own commits, by a rename.

What a server can see (a request came, was carried out, its answer did not leave yet) is a rule of the sandbox that
kills the client and waits for its death.  What only the ledger knows (a row is committed or is not, half of it is
written) is watched by `dying_client`, which stands beside the program and not within it.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.kill.dying_client import FRAME, Moment
from tests.kill.site import Site, site
from wxrec_async.sandbox.token_service import Rotation

pytestmark = pytest.mark.anyio

TASKS_ADDED = "SELECT EXISTS (SELECT 1 FROM tasks)"
CAPTURED = "SELECT EXISTS (SELECT 1 FROM recordings)"
STARTED = "SELECT EXISTS (SELECT 1 FROM recordings WHERE state = 'started')"
UPLOAD_NOTED = "SELECT EXISTS (SELECT 1 FROM open_uploads)"
COMPLETING = "SELECT EXISTS (SELECT 1 FROM open_uploads WHERE size IS NOT NULL)"
RUN_ENDED = "SELECT EXISTS (SELECT 1 FROM runs WHERE ended_ms IS NOT NULL)"
LARGE_STORED = "SELECT EXISTS (SELECT 1 FROM recordings WHERE state = 'stored' AND size > 5000000)"


def parts_kept(there: Site) -> int:
    return sum(len(upload.parts) for upload in there.sandbox.uploads())


@pytest.mark.fault("K1", "P5", "C4")
async def test_killed_before_the_first_page_of_tasks(tmp_path: Path) -> None:
    """Nothing is known yet; the next run lists."""
    async with site(tmp_path) as there:
        there.kill_at("tasks", done=False)
        await there.dies()
        assert there.number("tasks") == there.number("closed_windows") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K2", "P4", "P5", "C4")
async def test_killed_with_a_page_in_hand_and_its_rows_not_committed(tmp_path: Path) -> None:
    """The page is gone with the process; its window is not closed, so it is listed again, without a gap."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("before commit", TASKS_ADDED))
        assert there.count("tasks", 200) > 0
        assert there.number("tasks") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K3", "P4", "P5", "C4")
async def test_killed_with_rows_committed_and_captures_not_asked(tmp_path: Path) -> None:
    """What is listed is asked for by the next run, wherever the listing of its window stood."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("after commit", TASKS_ADDED))
        assert there.number("tasks WHERE state = 'listed'") > 0
        assert there.count("captures") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K4", "P5", "P9", "C4")
@pytest.mark.parametrize("at", ["before commit", "after commit"])
async def test_killed_with_captures_in_memory(tmp_path: Path, at: str) -> None:
    """The signed URLs were in memory only and are in no file; captures are asked again."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment(at, CAPTURED))  # type: ignore[arg-type]
        assert there.count("captures", 200) > 0
        assert there.count("media.get") == 0
        assert bool(there.number("recordings")) == (at == "after commit")
        assert b"X-Amz-" not in there.written()
        await there.ends_as_undisturbed()


@pytest.mark.fault("K5", "P5", "C4", "C4b")
async def test_killed_with_the_intent_written_and_create_not_sent(tmp_path: Path) -> None:
    """The row says ``started``, the bucket knows nothing: the recording is fetched again from its first byte."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("after commit", STARTED))
        assert there.number("recordings WHERE state = 'started'") == 1
        assert there.count("s3.CreateMultipartUpload") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K6", "P5", "P10", "C4", "C4b", "C5")
async def test_killed_with_create_carried_out_and_its_answer_not_received(tmp_path: Path) -> None:
    """An upload is open whose id never arrived; the sweep of the started key finds and aborts it."""
    async with site(tmp_path) as there:
        there.kill_at("s3.CreateMultipartUpload", done=True)
        await there.dies()
        assert len(there.sandbox.uploads()) == 1
        assert there.number("open_uploads") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K7", "P5", "P10", "C4", "C4b", "C5")
async def test_killed_with_the_upload_id_received_and_not_written_down(tmp_path: Path) -> None:
    """The id was known to the process alone: the same sweep."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("before commit", UPLOAD_NOTED))
        assert there.count("s3.CreateMultipartUpload", 200) == len(there.sandbox.uploads()) == 1
        assert there.number("open_uploads") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K8", "P5", "P10", "C4", "C4b", "C5")
async def test_killed_with_the_upload_id_written_down_and_no_part_sent(tmp_path: Path) -> None:
    """The upload is aborted by its id and begun anew."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("after commit", UPLOAD_NOTED))
        (upload,) = there.sandbox.uploads()
        assert there.rows("SELECT upload_id FROM open_uploads") == [(upload.id,)]
        assert there.count("s3.UploadPart") == 0
        await there.ends_as_undisturbed()
        assert there.count("s3.AbortMultipartUpload", 204) == 1


@pytest.mark.fault("K9", "S20", "P5", "P10", "C4", "C4b", "C5")
@pytest.mark.parametrize("part", [1, 2, 3])
async def test_killed_after_any_part(tmp_path: Path, part: int) -> None:
    """What was uploaded of a recording is thrown away with its upload, and uploaded again whole."""
    async with site(tmp_path) as there:
        there.kill_at("s3.UploadPart", key=f"*#{part}", done=True)
        await there.dies()
        assert parts_kept(there) >= 1
        await there.ends_as_undisturbed()


@pytest.mark.fault("K10", "P5", "P10", "C4", "C4b", "C5")
async def test_killed_with_all_parts_up_and_completing_not_written(tmp_path: Path) -> None:
    """Everything lies in the bucket, but nothing says that it was judged whole: aborted, and fetched again."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("before commit", COMPLETING))
        assert parts_kept(there) == 3
        assert there.rows("SELECT size FROM open_uploads") == [(None,)]
        assert there.count("s3.CompleteMultipartUpload") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K11", "P5", "P10", "C4", "C4b", "C5")
async def test_killed_with_completing_written_and_complete_not_sent(tmp_path: Path) -> None:
    """The bucket is asked and has no object: the upload is aborted, the recording fetched again."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("after commit", COMPLETING))
        assert there.number("open_uploads WHERE size > 5000000") == 1
        assert there.count("s3.CompleteMultipartUpload") == 0
        await there.ends_as_undisturbed()


@pytest.mark.fault("K12", "S04", "P3", "P5", "P10", "C4", "C4b", "C5")
@pytest.mark.parametrize("done", [False, True])
async def test_killed_with_complete_sent_and_no_answer(tmp_path: Path, done: bool) -> None:
    """Whether S3 made the object or not is found out by looking; when it did, nothing of it moves again."""
    async with site(tmp_path) as there:
        there.kill_at("s3.CompleteMultipartUpload", done=done)
        await there.dies()
        assert len(there.sandbox.uploads()) == (not done)
        large = there.sandbox.truth()[0]
        fetched, sent = len(there.sandbox.log.of("media.get", large.recording_id)), there.count("s3.UploadPart")
        assert (large.key in await there.sandbox.objects()) == done
        await there.ends_as_undisturbed()
        assert len(there.sandbox.log.of("media.get", large.recording_id)) == fetched + (not done)
        assert there.count("s3.UploadPart") == sent + (0 if done else 3)


@pytest.mark.fault("K13", "K14", "P2", "P3", "P5", "C4", "C4b", "C5")
async def test_killed_with_complete_answered_and_stored_not_committed(tmp_path: Path) -> None:
    """The object is there and the ledger lags: the next run looks, and neither fetches nor uploads it again.

    K13 and K14 are one moment here: an answer that names the checksum is proof, and no HEAD follows it.
    """
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("before commit", LARGE_STORED))
        assert there.count("s3.CompleteMultipartUpload", 200) == 1
        assert there.number("recordings WHERE state = 'stored' AND size > 5000000") == 0
        large = there.sandbox.truth()[0]
        sent = there.count("s3.UploadPart")
        await there.ends_as_undisturbed()
        assert len(there.sandbox.log.of("media.get", large.recording_id)) == 1
        assert there.count("s3.UploadPart") == sent
        assert there.count("s3.CompleteMultipartUpload") == 1


@pytest.mark.fault("K13", "P2", "P3", "P5", "C4")
async def test_killed_while_the_bucket_is_asked_what_it_made_of_complete(tmp_path: Path) -> None:
    """Complete was carried out, its answer lost; the process dies as it looks, and the next one finds the object."""
    async with site(tmp_path) as there:
        large = there.sandbox.truth()[0]

        def kill_at_the_next_look() -> None:
            there.kill_at("s3.HeadObject", key=large.key, done=True)

        there.sandbox.faults.add("s3.CompleteMultipartUpload", "reset_after", after=kill_at_the_next_look)
        await there.dies()
        sent = there.count("s3.UploadPart")
        await there.ends_as_undisturbed()
        assert there.count("s3.UploadPart") == sent


@pytest.mark.fault("K15", "P5", "P10", "C4", "C4b", "C5")
@pytest.mark.parametrize("done", [False, True])
async def test_killed_during_an_abort(tmp_path: Path, done: bool) -> None:
    """A drained run aborts its upload and is killed at that, by a platform out of patience; the next one repeats it."""
    async with site(tmp_path) as there:
        there.kill_at("s3.AbortMultipartUpload", done=done)
        there.sandbox.faults.add("s3.UploadPart", "stall", before=lambda: there.send(signal.SIGTERM), limit=1)
        await there.dies("--grace", "0")
        assert there.count("s3.AbortMultipartUpload") > 0
        assert len(there.sandbox.uploads()) <= (not done)
        assert there.number("open_uploads") == 1
        await there.ends_as_undisturbed()


@pytest.mark.fault("K16", "P3", "P5", "C4", "C4b")
@pytest.mark.parametrize("done", [False, True])
async def test_killed_with_a_single_put_sent_and_no_answer(tmp_path: Path, done: bool) -> None:
    """The key is taken or it is not: the next run's conditional write tells, and equal bytes are a success."""
    async with site(tmp_path) as there:
        there.kill_at("s3.PutObject", done=done)
        await there.dies()
        assert len(await there.sandbox.objects()) >= done
        assert there.number("recordings WHERE state = 'stored'") == 0
        await there.ends_as_undisturbed()


def expire(there: Site) -> str:
    """Let the access token be dead, here and there; return the text of the file."""
    there.sandbox.desk.expire_access()
    tokens = json.loads(there.tokens_path.read_text())
    there.tokens_path.write_text(json.dumps(tokens | {"expires_at": time.time() - 60}))
    return there.tokens_path.read_text()


def log_in_again(there: Site) -> None:
    """Write what `login` would."""
    fresh = there.sandbox.desk.issue()
    there.tokens_path.write_text(json.dumps(fresh | {"expires_at": time.time() + fresh["expires_in"]}))


async def check_token_lost(there: Site, rotation: Rotation) -> None:
    """A server that keeps the old refresh token costs nothing; one that revoked it costs a login, said in one line."""
    if rotation == "old_revoked":
        code, out, err = await (await there.start("--no-progress")).end()
        assert code == 4
        assert "login" in out + err
        assert there.number("tasks") == 0
        log_in_again(there)
    await there.ends_as_undisturbed()


@pytest.mark.fault("K17", "T04", "P7", "C4")
@pytest.mark.parametrize("rotation", ["old_stays_valid", "old_revoked"])
async def test_killed_with_a_rotated_token_answered_and_not_saved(tmp_path: Path, rotation: Rotation) -> None:
    """The file is as it was, whole; the old refresh token is tried, and where it is dead a login is asked for."""
    async with site(tmp_path, rotation) as there:
        before = expire(there)
        there.kill_at("token", done=True)
        await there.dies()
        assert there.tokens_path.read_text() == before
        assert there.count("tasks") == 0  # a token is written down before it is used
        await check_token_lost(there, rotation)


@pytest.mark.fault("K18", "T04", "P7", "C4")
@pytest.mark.parametrize("rotation", ["old_stays_valid", "old_revoked"])
async def test_killed_with_the_new_token_file_written_and_not_renamed(tmp_path: Path, rotation: Rotation) -> None:
    """The old file is whole, the new one is a private leftover, and the next save removes it."""
    async with site(tmp_path, rotation) as there:
        before = expire(there)
        await there.dies(moment=Moment("before rename", "*/tokens.json"))
        (left,) = there.files(".tokens.json.*.tmp")
        assert left.stat().st_mode & 0o077 == 0
        assert there.tokens_path.read_text() == before
        assert there.count("token", 200) == 1
        assert there.count("tasks") == 0
        if rotation == "old_revoked":
            await check_token_lost(there, rotation)
            return
        await there.ends_as_undisturbed()
        assert not there.files(".tokens.json.*.tmp")


@pytest.mark.fault("K19", "P2", "P5", "C4")
@pytest.mark.parametrize(
    ("when", "bytes_in"),
    [(TASKS_ADDED, 0), (TASKS_ADDED, 20), (TASKS_ADDED, FRAME + 1000), (LARGE_STORED, 24), (LARGE_STORED, FRAME - 1)],
    ids=["listing-0", "listing-20", "listing-5120", "storing-24", "storing-4119"],
)
async def test_killed_within_a_commit(tmp_path: Path, when: str, bytes_in: int) -> None:
    """Part of the transaction lies in the write-ahead log: it never happened, and the ledger is whole."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("in commit", when, bytes_in), by=signal.SIGXFSZ)
        assert there.rows("PRAGMA integrity_check") == [("ok",)]
        assert there.rows(when) == [(0,)]
        await there.ends_as_undisturbed()


@pytest.mark.fault("K19", "P5", "C4")
async def test_killed_while_the_log_is_copied_into_the_ledger(tmp_path: Path) -> None:
    """The run had ended and SQLite was tidying up: half of the pages are copied, all of them are there."""
    async with site(tmp_path) as there:
        await there.dies(moment=Moment("in checkpoint", RUN_ENDED), by=signal.SIGXFSZ)
        assert await there.sandbox.differences() == []
        moved = there.count("media.get")
        await there.ends_as_undisturbed()
        assert there.count("media.get") == moved
