"""Tests of the ledger: a contract any implementation can run, and what is SQLite's own."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.contract")
