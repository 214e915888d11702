"""A signature that the program itself has sent comes back in other writing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import takewhile
from urllib.parse import quote

from aiohttp import web

from tests.canaries import SIGNATURE
from tests.trials.judges import failed_by_name
from tests.trials.trial import Trial
from tests.trials.webex import s3_error

TELLING = 24
Writing = Callable[[str], str]


def _every(form: str) -> Writing:
    return lambda text: "".join(form.format(ord(sign)) for sign in text)


def _plain(text: str) -> str:
    return text


# How a proxy writes the signature (or the URL around it) in its words.
WRITINGS: dict[str, Writing] = {
    "as it is": _plain,
    "percent-encoded twice": lambda text: quote(quote(f"https://m/?X-Amz-Signature={text}", safe=""), safe=""),
    "percent-encoded thrice": lambda text: quote(quote(quote(f"?X-Amz-Signature={text}", safe=""), safe=""), safe=""),
    "each sign percent-encoded": _every("%{:02X}"),
    "each sign percent-encoded twice": _every("%25{:02x}"),
    "decimal references": _every("&#{};"),
    "hexadecimal references": _every("&#x{:x};"),
    "escapes of JSON": _every("\\u{:04x}"),
    "base64 of the URL": lambda text: base64.b64encode(f"https://m/?X-Amz-Signature={text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "lower case": str.lower,
    "behind another name": lambda text: f"sig={text}&next=1",
    "in words": lambda text: f"the request {text} was blocked",
}


def test_a_signature_in_a_refusal_is_masked(trial: Trial) -> None:
    """A filtering proxy names the URL that it blocked, percent-encoded twice."""
    names = [trial.organisation.add().task_id for _ in range(2)]
    refuse(trial, dict.fromkeys(names, WRITINGS["percent-encoded twice"]))
    failed_by_name(trial.run(), *names)
    shown = SIGNATURE in trial.everything_said
    assert not shown


def test_a_signature_is_masked_in_every_writing(trial: Trial) -> None:
    """It stands in no output, log or ledger, however the answer writes it, not even a piece of it."""
    made = {trial.organisation.add(seconds=0.3).task_id: name for name in WRITINGS}
    refuse(trial, {task: WRITINGS[name] for task, name in made.items()})
    failed_by_name(trial.run(), *made)
    trial.call("status")
    said = trial.everything_said.replace("\\\\", "\\")
    shown = [name for name in WRITINGS if any(piece in said for piece in _pieces(WRITINGS[name]))]
    assert not shown


def _pieces(writing: Writing) -> set[str]:
    """Return what would give the secret away: any few signs of it, in this writing, without what stands around it."""
    whole = writing(SIGNATURE)
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(whole, writing("~" * len(SIGNATURE)), strict=False))
    core = SIGNATURE if SIGNATURE in whole else whole[len(list(alike)) :]
    return {core[place : place + TELLING] for place in range(len(core) - TELLING + 1)}


def refuse(trial: Trial, writings: dict[str, Writing]) -> None:
    async def media(request: web.Request) -> web.StreamResponse:
        written = writings[request.match_info["recording"]](request.query["X-Amz-Signature"])
        return s3_error(403, "AccessDenied", f"Blocked by policy: {written.replace('&', '&amp;')}")

    trial.webex.media = media
