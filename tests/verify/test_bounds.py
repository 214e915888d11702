"""How `verify` goes through a ledger: in pages, so many at once, and by what a store names."""

from __future__ import annotations

import anyio
import pytest

from wxrec_async.config import BackfillSettings
from wxrec_async.errors import HTTPStatusError
from wxrec_async.ledger import StoredRow
from wxrec_async.maintenance.verify import Level, ObjectFinding, ObjectVerdict, _Verification
from wxrec_async.model import StoredObject, Window
from wxrec_async.s3.api import ObjectDigest

pytestmark = pytest.mark.anyio


class Rows:
    """A ledger of ``count`` recordings that are made as they are asked for."""

    def __init__(self, count: int) -> None:
        self.count, self.handed = count, 0

    async def stored_rows(
        self, period: Window | None = None, *, after: StoredRow | None = None, limit: int = 1000
    ) -> list[StoredRow]:
        first = after.row + 1 if after else 0
        page = [row(number) for number in range(first, min(first + limit, self.count))]
        self.handed += len(page)
        return page


class Bucket:
    """A bucket that answers what it was told to, and counts."""

    def __init__(self, rows: Rows | None = None, answer: StoredObject | Exception | None = None) -> None:
        self.rows, self.answer = rows, answer
        self.asked = self.read = self.busy = self.most = self.ahead = 0

    async def head(self, key: str) -> StoredObject | None:
        self.asked += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        if self.rows is not None:
            self.ahead = max(self.ahead, self.rows.handed - self.asked)
        await anyio.lowlevel.checkpoint()
        self.busy -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or StoredObject(key, 10, crc32=7)

    async def digest(self, key: str, size: int) -> ObjectDigest:
        self.read += 1
        return ObjectDigest(10, 7, "0" * 64)


def unheard(finding: ObjectFinding) -> None:
    """Listen to nothing."""


def row(number: int = 0, crc32: int | None = 7) -> StoredRow:
    return StoredRow(number, f"t{number}", f"r{number}", f"k{number}", 10, crc32, '"e"')


async def test_pages_and_workers_are_bounded() -> None:
    """Of many thousand recordings no more than a page and what the workers hold is ever in memory, each asked once."""
    rows = Rows(7_500)
    bucket = Bucket(rows)
    report = await _Verification(bucket, rows, Level.HEAD, unheard).run(None, BackfillSettings(concurrency=8))
    assert report.checked == bucket.asked == 7_500
    assert bucket.most <= 8
    assert bucket.ahead <= 1000 + 2 * 8
    assert report.findings == []


@pytest.mark.parametrize(
    ("found", "read"),
    [
        (StoredObject("k0", 10, crc32=7, etag='"other"'), 0),
        (StoredObject("k0", 10, etag='"e"'), 0),
        (StoredObject("k0", 10, etag="e"), 0),
        (StoredObject("k0", 10, etag='"other"'), 1),
        (StoredObject("k0", 10), 1),
    ],
)
async def test_without_a_checksum_the_etag_decides_and_then_the_bytes(found: StoredObject, read: int) -> None:
    """A store that names no checksum is believed by an unchanged ETag; else it is read back, at level head too."""
    bucket = Bucket(answer=found)
    finding = await _Verification(bucket, Rows(1), Level.HEAD, unheard)._judge(row())
    assert (finding.verdict, bucket.read) == (ObjectVerdict.OK, read)


async def test_an_archived_object_is_unknown_but_no_lack_of_permission() -> None:
    """S3 answers 403 InvalidObjectState to reading what lies in Glacier."""
    bucket = Bucket(answer=HTTPStatusError(403, code="InvalidObjectState"))
    finding = await _Verification(bucket, Rows(1), Level.FULL, unheard)._judge(row())
    assert (finding.verdict, finding.denied) == (ObjectVerdict.UNKNOWN, False)
