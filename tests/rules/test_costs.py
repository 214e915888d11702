"""What a rule may cost: no text from outside makes one work for more than its length."""

from __future__ import annotations

import time

import pytest

from wxrec_async.rules.redact import redact_text


@pytest.mark.parametrize(
    "piece",
    [
        "/",
        "/?",
        "a.",
        "a-",
        "eyJ-",
        "eyJa",
        "+1",
        "+",
        "(",
        "a@",
        "@a",
        "a@a.",
        "https://",
        "token",
        "token=",
        "token ",
        "=",
        "?=",
        "Bearer ",
        "\\",
        '\\"',
        "tel:",
        "%40",
        "%2B1",
        "cookie:",
        "origin:",
        "1-",
        "1 ",
        'secret="',
        "A",
        "a_",
        "1eb65fdf-",
        "*",
        "https:\\/\\/",
        "\\u0026",
        "555-010-",
    ],
)
def test_a_long_hostile_line_costs_no_more_than_its_length(piece: str) -> None:
    """Twice the length takes about twice the time, not four times."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.thread_time()
        redact_text(text)
        return time.thread_time() - begun

    assert min(seconds(40_000) for _ in range(2)) < 0.5
