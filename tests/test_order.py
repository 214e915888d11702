"""The order in which the suite is run."""

from __future__ import annotations

from tests import conftest


def test_what_is_slow_or_long_names_what_there_is() -> None:
    """A room that was renamed would fall into the quick tier, and its long tests to the end."""
    assert [name for name in conftest.SLOW if not (conftest.TESTS / name).is_dir()] == []
    assert [name for name in conftest.LONGEST if not (conftest.TESTS / name).exists()] == []
    assert conftest._rank(conftest.TESTS / "e2e" / "test_tls.py") == conftest.LONGEST.index("e2e")
    assert conftest._rank(conftest.TESTS / "rules" / "test_ids.py") == len(conftest.LONGEST)
