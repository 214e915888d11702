"""A signal with grace 0 ends the program within five seconds, whatever it waits for, and leaves nothing open."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kill.site import Site, site
from tests.slowness import slowness

pytestmark = pytest.mark.anyio

WITHIN_S = 5.0
USUAL_START_S = 2.0
FOR_EVER: dict[str, Any] = {"attempts": None}
# What the program waits for: the operation that shows that it has come to it, and how the sandbox holds it there.
WAITS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a page of tasks": ("tasks", "stall", {}),
    "captures": ("captures", "stall", {}),
    "a source that stalls": ("media.get", "stall_body", {"at": "middle"}),
    "S3 that stops reading": ("s3.UploadPart", "stall_reading", {"seconds": 600}),
    "the answer to Create": ("s3.CreateMultipartUpload", "stall", {}),
    "the answer to Complete": ("s3.CompleteMultipartUpload", "stall", {}),
    "the end of a Retry-After": ("captures", "throttle", {"retry_after": "60"}),
    "a token": ("token", "stall", {}),
    "the network": ("tasks", "reset_before", {}),
}
LATE = {"the answer to Create"}  # S3 begins the upload when we are gone: the next run sweeps the key


def expire(there: Site) -> None:
    tokens = json.loads(there.tokens_path.read_text())
    there.tokens_path.write_text(json.dumps(tokens | {"expires_at": time.time() - 60}))


@pytest.mark.fault("C6", "L01", "L02", "P10", "C5")
@pytest.mark.parametrize(("waits_for", "number"), list(zip(WAITS, itertools.cycle([signal.SIGINT, signal.SIGTERM]))))
async def test_a_signal_ends_the_program_while_it_waits(tmp_path: Path, waits_for: str, number: signal.Signals) -> None:
    """Exit 130 or 143 in time, no upload open, and the next run finishes the job."""
    operation, kind, options = WAITS[waits_for]
    async with site(tmp_path) as there:
        if operation == "token":
            expire(there)
        there.sandbox.faults.add(operation, kind, **FOR_EVER, **options)
        begun = time.monotonic()
        program = await there.start("--grace", "0")
        await there.sandbox.log.wait_for(operation, seconds=60)
        within_s = WITHIN_S * slowness(begun, USUAL_START_S)
        await asyncio.sleep(0.2)  # let an answer arrive, and the wait for what it asks begin
        program.process.send_signal(number)
        async with asyncio.timeout(within_s):
            code, _, err = await program.end()
        assert code == 128 + number, err[-2000:]
        there.sandbox.faults.clear()
        assert there.sandbox.uploads() == [] or waits_for in LATE
        await there.ends_as_undisturbed(kills=1)
