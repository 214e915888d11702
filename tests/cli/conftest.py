"""The command line in an empty folder, with a `Backfill` that is none."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wxrec_async.cli import session

from .kit import Cli, FakeBackfill


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Give logging back as it was: the program takes all of it over."""
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raises
    logging.captureWarnings(False)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return the program, which finds a bucket in its config.toml."""
    for name in [name for name in os.environ if name.startswith(("WXREC_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text('[s3]\nbucket = "b"\n', encoding="utf-8")
    backfill = FakeBackfill()
    monkeypatch.setattr(session, "open_backfill", backfill.open)
    return Cli(tmp_path, backfill)
