"""`doctor` as it is typed: its screen, JSON lines and exit codes, and no secret in any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.login.kit import CANARY, call, place

pytestmark = pytest.mark.anyio


async def test_doctor_before_and_after_the_login(tmp_path: Path) -> None:
    """Exit 4 and what to do first, as JSON; exit 0 and one line each when that is done."""
    async with place(tmp_path) as here:
        first = await call(here, "doctor", "--json")
        await here.paste()
        second = await call(here, "doctor")
    found = {record.get("name"): record for record in first.records}
    assert first.code == first.records[-1]["exit_code"] == 4
    assert found["access_token"]["todo"] == "run `wxrec-async login`"
    assert first.records[-1]["event"] == "doctor"
    lines = second.out.splitlines()
    assert second.code == 0, second.out
    assert lines[-1] == "exit 0: nothing is wrong"
    assert {line.split(maxsplit=1)[0] for line in lines[:-1]} == {"ok", "?"}
    assert CANARY not in first.out + first.err + second.out + second.err
