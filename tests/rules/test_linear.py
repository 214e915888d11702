"""No expression over a server's text costs more than its length: a blocked event loop hears no signal."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

import wxrec_async
from wxrec_async.rules.redact import one_line, redact_text
from wxrec_async.rules.tokens import refuses_token, server_words
from wxrec_async.webex.parse import cut_words, read_error, read_s3_error

LENGTH = 64 << 10
QUICK_S = 0.5  # what a linear one takes on a machine that is ten times slower than usual
AT_ONCE_S = 0.02  # for a quarter of the text; one that grows with the square needs a hundred times as much
ANCHORED = (  # `match` and `fullmatch` only
    "media_head._RANGE", "media_head._NO_RANGE", "media_head._NOT_MEDIA", "media_head._S3_ERROR",
)  # fmt: skip
ATOMS = (
    "a", "_", "9", " ", "-", ".", "a.", "a ", "%40", "a@", "@", "+1", "(", "(555) 555-5555", "555.", "token ", "not ",
    "invalid_", "invalid ", "expired token", "<Code>", "<Code> ", "<Message>", "https://", "https:\\/\\/", "\\", '"',
    "'",
    "eyJ", "eyJaaaaaaaa.", "access_token=", "token: ", "x-amz-a", "Bearer ", "authorization: ", "ani:1 ", "tel:", "a:",
    "\\u0026", "bytes 1-", "text/", "+xml", "application/a", "a/b?c=d", "0x", "a-b_c", "\u00e9", "\n", "}", "~" * 20,
)  # fmt: skip
TEXTS = [*ATOMS, *map("".join, pairwise(ATOMS)), "x" * 50 + "_" + "0" * 8 + "-"]


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Every compiled expression of the program; what a sandbox reads comes from us."""
    for found in pkgutil.walk_packages(wxrec_async.__path__, "wxrec_async."):
        if any(part in found.name for part in (".sandbox", ".temporal", "__main__")):
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            for number, each in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(each, re.Pattern):
                    yield f"{found.name}.{name}.{number}", each


def took(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def is_linear(call: Callable[[str], object], atom: str) -> bool:
    """Compare a long text with one of a quarter of its length, unless it is quick anyway."""
    whole = (atom * (LENGTH // len(atom) + 1))[:LENGTH]
    if took(lambda: call(whole[: LENGTH // 16])) > QUICK_S:
        return False
    seconds = took(lambda: call(whole[: LENGTH // 4]))
    if seconds < AT_ONCE_S or seconds > QUICK_S:
        return seconds < AT_ONCE_S
    return took(lambda: call(whole)) < max(QUICK_S, seconds * 9)


@pytest.mark.parametrize("pattern", [each for _, each in patterns()], ids=[name for name, _ in patterns()])
def test_an_expression_costs_its_length(
    pattern: re.Pattern[str] | re.Pattern[bytes], request: pytest.FixtureRequest
) -> None:
    """Over whatever is repeated in it, searched from the beginning and from each of its places."""
    anchored = any(name in request.node.name for name in ANCHORED)

    def run(text: str) -> None:
        subject = text.encode() if isinstance(pattern.pattern, bytes) else text
        for _ in () if anchored else pattern.finditer(subject):  # type: ignore[arg-type]
            pass
        pattern.match(subject)  # type: ignore[arg-type]

    assert [atom for atom in TEXTS if not is_linear(run, atom)] == []


@pytest.mark.parametrize(
    "reader",
    [
        refuses_token, server_words, redact_text, one_line, cut_words,
        lambda text: read_error(text.encode()), lambda text: read_s3_error(text.encode()),
    ],
    ids=["refuses_token", "server_words", "redact_text", "one_line", "cut_words", "read_error", "read_s3_error"],
)  # fmt: skip
def test_a_reader_of_words_costs_their_length(reader: Callable[[str], object]) -> None:
    """As they are used, one after the other."""
    assert [atom for atom in TEXTS if not is_linear(reader, atom)] == []
