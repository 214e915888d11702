"""What a test may do behind everybody's back: to the bucket, and to the organisation."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from typing import Any

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.organisation import DAY_MS, Organisation
from wxrec_async.sandbox.s3.state import BucketState


@dataclass(slots=True)
class Tampering:
    """Changes the truth; raises KeyError for what is not there, ValueError and TypeError for what makes no sense."""

    organisation: Organisation
    bucket: BucketState

    async def objects(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Do ``{"remove": [key, …], "replace": [key, …]}``: the latter with other bytes of the same size."""
        removed, replaced = list(wanted.get("remove", ())), list(wanted.get("replace", ()))
        for key in removed:
            await self.bucket.objects.pop(key).blob.drop()
        for key in replaced:
            await self._replace(key)
        return {"removed": removed, "replaced": replaced}

    async def _replace(self, key: str) -> None:
        """Put an object as another program would: with a checksum that is right for it, and the same metadata."""
        there, blob = self.bucket.objects[key], self.bucket.storage.new()
        size = there.size
        for piece in itertools.repeat(b"replaced", -(-size // 8)):
            await blob.write(piece[: size - blob.size])
        await blob.close()
        whole = b"".join([piece async for piece in blob.read(0, size)])
        digest = checksums.crc32(whole).to_bytes(4, "big")
        other = replace(
            there,
            blob=blob,
            etag=hashlib.md5(whole, usedforsecurity=False).hexdigest(),
            checksums={"crc32": checksums.encode(digest)},
            checksum_type="FULL_OBJECT",
        )
        before = list(self.bucket.replaced)
        await self.bucket.commit(other, [blob], only_new=False, seen=True)
        self.bucket.replaced[:] = before  # nobody who uses the bucket has overwritten anything

    def organise(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Change the organisation; ids are those of tasks.

        ``{"days_ahead": 2, "delete": [id, …], "hide_from_list": [id, …], "hide_from_search": [id, …]}``: captures
        come so many days earlier, recordings are deleted at Webex, one of the lists does not have a task.
        """
        organisation = self.organisation
        ids = [*wanted.get("delete", ()), *wanted.get("hide_from_list", ()), *wanted.get("hide_from_search", ())]
        # Before anything is changed: all of it is done, or nothing.
        if unknown := [task_id for task_id in ids if organisation.get(task_id) is None]:
            raise KeyError(unknown[0])
        if "days_ahead" in wanted:
            organisation.ahead_ms = round(float(wanted["days_ahead"]) * DAY_MS)
        for task_id in wanted.get("delete", ()):
            organisation.purge(task_id)
        for task_id in wanted.get("hide_from_list", ()):
            organisation.hide(task_id, from_list=True)
        for task_id in wanted.get("hide_from_search", ()):
            organisation.hide(task_id, from_search=True)
        return organisation.planted()
