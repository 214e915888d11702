"""The two ready-made organisations in which things go wrong: mild and storm."""

from __future__ import annotations

import hashlib
from typing import Literal

from wxrec_async.sandbox.fault_kinds import ON_RANGES, Fault

Profile = Literal["none", "mild", "storm"]
RATES: dict[str, float] = {"none": 0.0, "mild": 0.04, "storm": 0.20}
ATTEMPTS: dict[str, int] = {"none": 0, "mild": 2, "storm": 3}


def _fault(kind: str, /, **parameters: object) -> Fault:
    return Fault(kind, parameters)


COMMON = (_fault("reset_before"), _fault("close_before"), _fault("pause", seconds=0.1))
UNAVAILABLE = tuple(_fault("error", status=status) for status in (500, 502, 503, 504))
# Per operation: what may happen on any attempt, and what only on the first.
API = (*COMMON, *UNAVAILABLE, _fault("throttle"), _fault("truncated_json"), _fault("html"), _fault("empty_body"))
# On a first attempt only (below): a token that is refused a second time ends the run.
REFUSED = (_fault("token_401"), _fault("token_400"), _fault("token_403"))
MENU: dict[str, tuple[tuple[Fault, ...], tuple[Fault, ...]]] = {
    "token": ((*COMMON, *UNAVAILABLE), ()),
    "media.get": (
        (
            *COMMON,
            _fault("slow_down"),
            _fault("short_body", at="first"),
            _fault("short_body", at="middle"),
            _fault("short_body", at="middle", end="rst"),
            _fault("short_body", at="last"),
            _fault("short_body", at="last", end="rst"),
            _fault("stall_body", at="middle", seconds=0.3),
            _fault("drip", at="middle"),
            _fault("range_ignored"),
            _fault("wrong_range"),
            _fault("changed_etag"),
        ),
        (
            _fault("expired"),
            _fault("html"),
            _fault("zero_bytes"),
            _fault("header_only"),
            _fault("chunked", at="middle"),
            _fault("bad_chunk", at="middle"),
            _fault("gzip", at="middle"),
        ),
    ),
    "s3.PutObject": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("reset_after"), _fault("request_timeout")),
        # Once: bytes that arrive damaged a second time mean that the path damages them, and the recording fails.
        (_fault("flip_bit"), _fault("conflict")),
    ),
    "s3.UploadPart": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("reset_after"), _fault("request_timeout")),
        (_fault("flip_bit"),),
    ),
    "s3.CompleteMultipartUpload": (
        (*COMMON, _fault("slow_down"), _fault("internal_error"), _fault("error_in_200"), _fault("reset_after")),
        (),
    ),
    "s3.*": ((*COMMON, _fault("slow_down"), _fault("internal_error")), ()),
}
MENU |= {"tasks": ((*API, _fault("gaps")), REFUSED), "captures": ((*API, _fault("text_times")), REFUSED)}
MENU |= dict.fromkeys(("organization", "search", "search.meta"), (API, REFUSED))


def from_profile(
    seed: int, profile: Profile, operation: str, key: str, attempt: int, *, ranged: bool = True
) -> Fault | None:
    """Decide one request of a profile; the same arguments always give the same answer.

    ``ranged`` says whether a range was asked for; some faults need one.

    After a few attempts on one thing nothing goes wrong with it any more, so
    every recording can be had in the end.
    """
    menu = MENU.get(operation) or (MENU["s3.*"] if operation.startswith("s3.") else None)
    if menu is None or attempt > ATTEMPTS[profile]:
        return None
    digest = hashlib.blake2b(f"{seed}|{operation}|{key}|{attempt}".encode(), digest_size=16).digest()
    if int.from_bytes(digest[:8], "big") / 2**64 >= RATES[profile]:
        return None
    choices = [f for f in menu[0] + menu[1] * (attempt == 1) if ranged or f.kind not in ON_RANGES]
    return choices[int.from_bytes(digest[8:], "big") % len(choices)]
