"""What the process asks of the operating system."""

from __future__ import annotations

import resource

import pytest

from wxrec_async.cli import rlimits
from wxrec_async.config import Settings, load_config


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """Stand for the limit of open files."""
    held = {"limit": (64, 64)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: held["limit"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: held.update(limit=limit))
    return held


def settings(concurrency: int) -> Settings:
    return load_config(overrides={"backfill.concurrency": concurrency})


@pytest.mark.fault("R05")
def test_the_limit_of_files_is_raised_as_far_as_needed(files: dict[str, tuple[int, int]]) -> None:
    """A soft limit below what the workers need is no reason to be slow."""
    files["limit"] = (64, 4096)
    assert rlimits.raise_file_limit(settings(32)) == 32
    soft, hard = files["limit"]
    assert rlimits.files_for(settings(32), 32) <= soft * 0.8
    assert soft < hard == 4096


@pytest.mark.fault("R05")
def test_concurrency_is_lowered_to_what_the_hard_limit_allows(files: dict[str, tuple[int, int]]) -> None:
    """Fewer at once is better than failing for want of a file descriptor."""
    files["limit"] = (256, 256)
    fitting = rlimits.raise_file_limit(settings(500))
    assert 1 < fitting < 500
    assert rlimits.files_for(settings(500), fitting) <= 256 * 0.8 < rlimits.files_for(settings(500), fitting + 1)


@pytest.mark.parametrize("limit", [(resource.RLIM_INFINITY, resource.RLIM_INFINITY), (100_000, 100_000)])
def test_a_generous_limit_is_left_alone(files: dict[str, tuple[int, int]], limit: tuple[int, int]) -> None:
    """Nothing is changed without need."""
    files["limit"] = limit
    assert rlimits.raise_file_limit(settings(500)) == 500
    assert files["limit"] == limit


@pytest.mark.fault("X05")
def test_there_are_no_core_dumps(files: dict[str, tuple[int, int]]) -> None:
    """A crash file would hold the tokens."""
    rlimits.forbid_core_dumps()
    assert files["limit"] == (0, 0)
