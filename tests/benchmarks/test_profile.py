"""Stacks are added up by place."""

from __future__ import annotations

import pytest

from tests.benchmarks.profile import place_of, read, table

SITE = "/venv/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        (f"put_object ({SITE}/aiobotocore/client.py:412)", "aiobotocore"),
        (f"wait ({SITE}/anyio/_backends/_asyncio.py)", "anyio"),
        (f"main ({SITE}/six.py:1)", "six"),
        ("carry (/home/me/wxrec_async/wxrec_async/flow/transfer.py:90)", "wxrec_async/flow/transfer.py"),
        (f"carry ({SITE}/wxrec_async/s3/uploads.py:90)", "wxrec_async/s3/uploads.py"),
        ("_run_once (/usr/lib/python3.11/asyncio/base_events.py:1922)", "python: asyncio"),
        ("dumps (/usr/lib/python3.11/ssl.py:2)", "python: ssl"),
        ("_find_and_load (<frozen importlib._bootstrap>:1176)", "importlib"),
        ("PyEval_EvalFrame", "interpreter"),
    ],
)
def test_place_of_a_frame(frame: str, place: str) -> None:
    """Ours by module, others by library, Python's own by module."""
    assert place_of(frame) == place


def test_samples_count_once_for_each_place_and_imports_apart() -> None:
    """A library that calls itself is there once; what lies under an import is paid once a process and left out."""
    ours, boto = "carry (/x/wxrec_async/flow/transfer.py:1)", f"call ({SITE}/botocore/client.py:1)"
    shares = read([
        f"process 7:\"python\";thread (0x1);{ours};{boto};{boto} 3",
        f"{ours} 1",
        f"_load (<frozen importlib._bootstrap>:1);{boto} 6",
        "",
    ])  # fmt: skip
    assert (shares.total, shares.importing) == (4, 6)
    assert shares.own == {"botocore": 3, "wxrec_async/flow/transfer.py": 1}
    assert shares.inclusive == {"botocore": 3, "wxrec_async/flow/transfer.py": 4}
    told = table("100k", shares)
    assert "wxrec_async/flow/transfer.py" in told
    assert " 25.0%     100.0%" in told
