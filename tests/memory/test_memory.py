"""The quick part of ``python -m tests.memory``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory import ceiling, slope

pytestmark = pytest.mark.anyio


@pytest.mark.fault("R01", "R09", "P6", "C7")
@pytest.mark.parametrize("load", ceiling.QUICK, ids=str)
async def test_peak_stays_under_the_printed_ceiling_with_a_source_faster_than_s3(
    tmp_path: Path, load: ceiling.Load
) -> None:
    """The pool of parts fills and the rest waits; what is printed at the start is what is held to."""
    peak = await ceiling.press(tmp_path, load)
    assert peak.ceiling_mib > 0, peak.said
    assert peak.kept, peak


@pytest.mark.fault("R03", "D28", "P6", "C7")
async def test_a_huge_recording_takes_no_more_memory_than_a_large_one(tmp_path: Path) -> None:
    """The process is as large at the end of a GiB as it was after its first tenth."""
    found = await ceiling.carry(tmp_path, 0.5)
    assert found.code == 0, found.said
    assert found.peak_mib < found.ceiling_mib
    steps = dict(found.steps())
    assert steps[100] < steps[30] + 24


@pytest.mark.fault("R01", "P6", "C7")
async def test_one_recording_gets_through_the_smallest_budget(tmp_path: Path) -> None:
    """One part is all the memory there is, and the recording is stored, part after part."""
    found = await ceiling.carry(tmp_path, 0.06, memory_mib=16, part_size_mib=16)
    assert found.code == 0, found.said
    assert 0 < found.peak_mib < found.ceiling_mib


@pytest.mark.fault("R04", "P6", "C7")
async def test_memory_does_not_grow_with_the_number_of_tasks(tmp_path: Path) -> None:
    """25,000 tasks more take less than 4 MiB more: nothing is kept of a task that is done with, not even its id.

    A million, and the slope itself, are measured by hand: one run of this size is as noisy as what it looks for.
    """
    found = await slope.measure(tmp_path, 40_000, days=7)
    assert found.code == 0, found.said
    at = max(mib for listed, mib in found.curve if listed <= 15_000)
    assert found.peak_mib < at + 6
    assert found.peak_mib < found.ceiling_mib
