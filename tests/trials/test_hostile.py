"""Answers that cost more than they say: each is refused at a price that is known before."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web

from tests.memory.watching import resident_mib
from tests.trials.judges import AUTH, FAILED, OWED, failed_by_name
from tests.trials.trial import QUICK, Trial, open_trial
from tests.trials.webex import s3_error

LONG = 64_000
WITHIN_S = 60.0
MOST_MIB = 1024


def refusal(words: str, key: str = "400") -> str:
    return json.dumps({"trackingId": "T", "error": {"key": key, "message": [{"description": words}]}})


REFUSALS = {
    "underscores": "invalid" + "_" * LONG,
    "blanks": "invalid" + " " * LONG + "x",
    "the same word": "access " * (LONG // 7),
    "a URL that never ends": "https://a.example/?X-Amz-Signature=" + "%25" * (LONG // 3),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_a_long_refusal_is_read_as_fast_as_a_short_one(trial: Trial, slow: float, words: str) -> None:
    """Whatever is repeated in it: the run ends within a minute, by itself."""
    trial.organisation.add()

    async def tasks(_: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=refusal(REFUSALS[words]), content_type="application/json")

    trial.webex.tasks = tasks
    told = trial.call("run", *trial.span, "--json", within_s=WITHIN_S * slow)
    assert told.code in (FAILED, AUTH), told


def test_long_refusals_everywhere(trial: Trial, slow: float) -> None:
    """Of captures, of the media host and of the store."""
    made = [trial.organisation.add(seconds=0.3).task_id for _ in range(11)]

    async def captures(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["query"]["taskIds"]
        if made[0] not in asked:
            return await trial.webex.plain_captures(request)
        return web.Response(status=400, text=refusal(REFUSALS["underscores"]), content_type="application/json")

    async def media(request: web.Request) -> web.StreamResponse:
        bad = {made[1 + number]: words for number, words in enumerate(REFUSALS.values())}
        words = bad.get(request.match_info["recording"])
        return s3_error(403, "AccessDenied", words) if words else await trial.webex.plain_media(request)

    async def s3(request: web.Request) -> web.StreamResponse:
        if made[10] not in request.path or request.method != "PUT":
            return await trial.bucket.plain_s3(request)
        await request.read()
        return s3_error(400, "InvalidArgument", REFUSALS["underscores"])

    trial.webex.captures, trial.webex.media, trial.bucket.s3 = captures, media, s3
    told = trial.call("run", *trial.span, "--json", within_s=WITHIN_S * slow)
    failed_by_name(told, *made[: 1 + len(REFUSALS)], made[10])


class Peak(NamedTuple):
    """How a run ended, and the most memory that it had."""

    code: int
    mib: int
    err: str


def measured(trial: Trial, within_s: float) -> Peak:
    """Run the program; fail when it does not end in time."""
    words = [sys.executable, "-m", "wxrec_async", "run", *trial.span, "--json"]
    out, err = trial.folder / "out.log", trial.folder / "err.log"
    trial.organisation.step += 1
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(words, cwd=trial.folder, env=trial.environment, stdout=to_out, stderr=to_err)
    deadline = time.monotonic() + within_s
    most = 0.0
    while (code := process.poll()) is None:
        # Not ru_maxrss: it begins with what the process was forked from, and a worker of the tests is large.
        most = max(most, resident_mib(process.pid, "VmHWM"))
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            pytest.fail(f"not ended after {within_s} s: {err.read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)
    assert most, "ended before it could be looked at"
    return Peak(code, round(most), err.read_text(errors="replace")[-3000:])


MANY_ROWS = b'{"meta":{},"data":[' + b"{}," * (((64 << 20) - 100) // 3) + b"{}]}"
Served = Callable[[], web.Response]


def _json(body: bytes, **head: str) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=head)


HUGE: dict[str, Served] = {
    "rows without end": lambda: _json(MANY_ROWS),
    "lists in lists": lambda: _json(b"[" * (8 << 20) + b"]" * (8 << 20)),
    "packed": lambda: _json(gzip.compress(MANY_ROWS, 1), **{"Content-Encoding": "gzip"}),
    "packed, and within every cap": lambda: _json(
        gzip.compress(b'{"meta":{},"data":[' + b" " * (200 << 20) + b"]}", 6), **{"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("body", HUGE)
def test_a_list_larger_than_any_is_refused(tmp_path: Path, slow: float, body: str) -> None:
    """In seconds, and in bounded memory: not tried eight times over, and never parsed."""
    with open_trial(tmp_path / "folder", QUICK) as trial:
        trial.organisation.add()
        answer = HUGE[body]()
        payload, head = answer.body, dict(answer.headers)

        async def tasks(_: web.Request) -> web.StreamResponse:
            return web.Response(body=payload, headers=head)

        trial.webex.tasks = tasks
        peak = measured(trial, WITHIN_S * slow)
        assert peak.code in (FAILED, AUTH), peak
        assert peak.mib < MOST_MIB, peak


def test_captures_larger_than_any_are_refused(tmp_path: Path, slow: float) -> None:
    """The same for what captures answers."""
    with open_trial(tmp_path / "folder", QUICK) as trial:
        trial.organisation.add()

        async def captures(_: web.Request) -> web.StreamResponse:
            return _json(MANY_ROWS)

        trial.webex.captures = captures
        peak = measured(trial, WITHIN_S * slow)
        assert peak.code in (FAILED, AUTH, OWED), peak
        assert peak.mib < MOST_MIB, peak
