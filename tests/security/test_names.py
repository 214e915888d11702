"""Names from the other side: they become keys, never paths; and no bucket, flag or file is chosen by them."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from tests.auth.auth_kit import CREDENTIALS, ORG, MemoryStore, pair
from tests.canaries import PHONE_NUMBER
from tests.webex.kit import Connection, Request, serving, whole
from wxrec_async import Backfill, load_config
from wxrec_async.model import DAY_MS
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio

HOSTILE = (
    "../../../../etc/passwd",
    "..",
    "/etc/cron.d/x",
    "a\x00b",
    "C:\\windows\\x",
    "\u202egnp.exe",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "x'; DROP TABLE tasks;--",
    "-rf ~",
    "%2e%2e%2f",
    "_evidence",
    "y" * 1000,
    "\r\nX-Amz-Acl: public-read",
    "s3://other-bucket/key",
    "task\u200b",
)
AUDIO = b"RIFF" + (36 + 4000).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little") + bytes(16)
AUDIO += b"data" + (4000).to_bytes(4, "little") + bytes(range(250)) * 16
EMPTY = json.dumps({"meta": {"orgId": ORG}, "data": []}).encode()
KEY = re.compile(r"call-detail/[A-Za-z0-9%~._-]+/recording(-[A-Za-z0-9%~._-]+)?\.wav")


def tasks(created_ms: int) -> bytes:
    rows = [
        {
            "id": name,
            "attributes": {
                "channelType": "telephony", "createdTime": created_ms, "endedTime": created_ms + 1000,
                "captureRequested": True, "origin": PHONE_NUMBER, "queue": {"id": name, "name": name},
                "owner": {"id": name, "name": name}, "status": name, "direction": name,
            },
        }
        for name in HOSTILE
    ]  # fmt: skip
    return json.dumps({"meta": {"orgId": ORG}, "data": rows}).encode()


def captures(body: bytes, origin: str) -> bytes:
    ids = json.loads(body)["query"]["taskIds"]
    rows = [
        {
            "taskId": each,
            "recording": [
                {
                    "id": name,
                    "attributes": {
                        "fileName": f"{name}.wav", "filePath": f"{origin}/a.wav?X-Amz-Signature=CANARY-SIG-1",
                        "startTime": time.time_ns() // 1_000_000, "callType": name, "channel1": name,
                        "participants": [name, PHONE_NUMBER],
                    },
                }
                for name in (each, "../escape", "/absolute")
            ],
        }
        for each in ids
    ]  # fmt: skip
    return json.dumps({"meta": {"orgId": ORG}, "data": rows}).encode()


@pytest.mark.fault("X18", "X17", "X22", "W32")
async def test_hostile_names_reach_the_bucket_as_safe_keys_and_the_disk_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids, queues, agents, file names: every recording is stored, all in one bucket, and no file is named after one."""
    created = time.time_ns() // 1_000_000 - DAY_MS
    paths: list[str] = []

    async def answer(connection: Connection, request: Request) -> None:
        paths.append(request.target)
        if request.target.startswith("/v1/tasks"):
            begin, end = (int(found) for found in re.findall(r"(?:from|to)=(\d+)", request.target))
            await whole(tasks(created) if begin < created < end else EMPTY)(connection, request)
        elif request.target.startswith("/v1/captures"):
            await whole(captures(request.body, api.url("")))(connection, request)
        else:
            await whole(AUDIO)(connection, request)

    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    async with Sandbox(Options(tasks=0)) as bucket, serving(answer) as api:
        for name, value in bucket.environment().items():
            monkeypatch.setenv(name, value)
        overrides = {
            "webex.base_url": api.url("/v1"), "webex.org_id": ORG, "webex.search": "off",
            "webex.count_other_channels": False, "ledger.path": str(home / "wxrec.db"), "backfill.days_back": 2,
        }  # fmt: skip
        settings = load_config(bucket.write_config(tmp_path), overrides=overrides)
        store = MemoryStore(pair(1, time.time() + 3600))
        async with Backfill(settings, credentials=CREDENTIALS, token_store=store) as backfill:
            summary = await backfill.run()
        keys = list(await bucket.objects())
    assert summary.counts.stored == len(keys) == len(set(keys)) == 3 * len(HOSTILE)
    assert [key for key in keys if not KEY.fullmatch(key)] == []
    assert {path.name for path in home.rglob("*")} <= {"wxrec.db", "wxrec.db-wal", "wxrec.db-shm", "wxrec.db.lock"}
    assert not [name for name in os.listdir(tmp_path) if "escape" in name]  # noqa: PTH208
