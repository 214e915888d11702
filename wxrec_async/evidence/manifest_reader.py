"""A manifest, or its file of tasks, read from the bucket line by line and hashed on the way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable

from wxrec_async.rules.evidence import MAX_LINE, Manifest, NamedObject, TasksFile, Unsound, read_ended, read_line
from wxrec_async.s3.reader import S3ReadStore

Take = Callable[[NamedObject], Awaitable[None]]


async def read_manifest(bucket: S3ReadStore, manifest: Manifest, take: Take | None = None) -> bool:
    """Hand every line to ``take``; False when there is no such object.

    Raises `Unsound` when it is not what its certificate says, which for the hash
    shows only at the end: what was handed out by then may not be trusted.
    """
    said = TasksFile(manifest.key, manifest.sha256, manifest.size, manifest.recordings)

    async def read(lines: list[bytes]) -> str:
        return await _hand_on(lines, take) if take is not None else ""

    return await _read(bucket, said, read)


async def count_tasks(bucket: S3ReadStore, file: TasksFile) -> Counter[str] | None:
    """Return how many tasks the file names in each state; None when there is no such object; raises `Unsound`."""
    states: Counter[str] = Counter()
    last = ""

    async def read(lines: list[bytes]) -> str:
        nonlocal last
        for line in lines:
            try:
                ended = read_ended(line)
            except Unsound as unsound:
                return str(unsound)
            # In order, so that a task named twice is found without remembering all of them.
            if ended.task_id <= last:
                return "it names a task twice, or not in order"
            last = ended.task_id
            states[ended.state] += 1
        return ""

    return states if await _read(bucket, file, read) else None


async def _read(bucket: S3ReadStore, file: TasksFile, read: Callable[[list[bytes]], Awaitable[str]]) -> bool:
    """Hand whole lines to ``read``, which says what is wrong with them."""
    found = await bucket.head(file.key)
    if found is None:
        return False
    sha256, lines, rest, odd = hashlib.sha256(), 0, b"", ""
    async for block in bucket.blocks(file.key, found.size):
        sha256.update(block)
        *whole, rest = (rest + block).split(b"\n")
        lines += len(whole)
        # A file without line ends would be gathered in memory as a whole.
        if len(rest) > MAX_LINE:
            raise Unsound("one of its lines is too long")
        # Kept until the hash is known: a changed byte explains the odd line, and is what the report should name.
        odd = odd or await read(whole)
    if sha256.hexdigest() != file.sha256:
        raise Unsound(f"its SHA-256 is {sha256.hexdigest()}, not {file.sha256} as its certificate says")
    # Below a hash that agrees only the certificate's own numbers can be wrong.
    if found.size != file.size or lines != file.lines or rest:
        raise Unsound(f"it has {found.size} bytes and {lines} lines, which is not what its certificate says")
    if odd:
        raise Unsound(odd)
    return True


async def _hand_on(lines: list[bytes], take: Take) -> str:
    """Return what is wrong with the first line that cannot be read."""
    odd = ""
    for line in lines:
        try:
            named = read_line(line)
        except Unsound as unsound:
            odd = odd or str(unsound)
        else:
            await take(named)
    return odd
