"""One server for all tests that do not kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.temporal.kit import Server, temporal


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Temporal server; what is on it is told apart by organisation."""
    with temporal(tmp_path_factory.mktemp("temporal")) as running:
        yield running
