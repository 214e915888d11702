"""A world as it is set up: the truth, the ways of those who answer, the moment it begins, the program's settings."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.worlds.bucket import Bucket
from tests.worlds.grammar import Choice, Draft
from tests.worlds.media_door import Media, MediaWays
from tests.worlds.truth import (
    DAY_MS,
    DAY_ONE_MS,
    DAYS,
    HOUR_MS,
    MINUTE_MS,
    Call,
    Truth,
    add_call,
    add_recording,
    make,
    wav,
    wav_of,
)  # fmt: skip
from tests.worlds.webex_door import Ways, Webex

TEN_ON_DAY_FOUR_MS = DAY_ONE_MS + DAYS * DAY_MS + 10 * HOUR_MS
SKEWS = {
    "ahead_14min": 840.0,
    "behind_14min": -840.0,
    "ahead_40s": 40.0,
    "behind_40s": -40.0,
    "ahead_over_midnight": 840.0,
}
UNHELPFUL = (("run",), ("run", "reconcile"), ("run", "run", "reconcile"), ("run", "reconcile", "run", "reconcile"))


@dataclass(slots=True)
class Setting:
    """Everything that answers, and how the program is set up."""

    truth: Truth
    webex: Webex
    media: Media
    bucket: Bucket
    now_ms: int
    commands: tuple[str, ...]
    gaps_s: tuple[float, ...]
    skew_s: float = 0.0
    token_life_s: float = 1e6
    config: dict[str, dict[str, object]] = field(default_factory=lambda: {"backfill": {"from": "2027-03-12"}})


def set_up(draft: Draft) -> Setting:
    """Make the world of a draft; each choice draws from dice of its own, so that others may be taken out."""
    dice = random.Random(f"truth {draft.seed}")
    truth = make(dice, TEN_ON_DAY_FOUR_MS)
    commands = dice.choice(UNHELPFUL)
    gaps = tuple(dice.choice((5.0, 60.0, 3600.0)) for _ in commands)
    webex = Webex(truth, Ways())
    found = Setting(truth, webex, Media(webex, MediaWays()), Bucket(), TEN_ON_DAY_FOUR_MS, commands, gaps)
    for choice in draft.choices:
        if choice.door == "token":
            found.token_life_s = -60.0  # nobody would ask for one otherwise
        elif choice.door == "time":
            _set_clock(found, choice)
        elif choice.door == "world":
            WAYS_OF[choice.what](found, random.Random(f"way {choice.dice}"))
    truth.calls.sort(key=lambda call: call.created_ms)
    return found


def _set_clock(found: Setting, choice: Choice) -> None:
    found.skew_s = SKEWS[choice.what]
    if choice.what == "ahead_over_midnight":
        found.now_ms = DAY_ONE_MS + DAYS * DAY_MS - 10 * MINUTE_MS
        found.config["backfill"] = {**found.config["backfill"], "settle_minutes": 1}
        dice = random.Random(f"midnight {choice.dice}")
        _new_call(found, dice, found.now_ms + 5 * MINUTE_MS)


def _new_call(found: Setting, dice: random.Random, created_ms: int) -> Call:
    """Add a call with one recording that is promised."""
    call = add_call(dice, created_ms, 1)
    call.recordings, call.requested = [], True
    call.recordings.append(add_recording(dice, call, main=True))
    found.truth.calls.append(call)
    return call


def _ways(**values: object) -> Callable[[Setting, random.Random], None]:
    def change(found: Setting, _: random.Random) -> None:
        for name, value in values.items():
            setattr(found.webex.ways, name, value)

    return change


def _media(**values: object) -> Callable[[Setting, random.Random], None]:
    def change(found: Setting, _: random.Random) -> None:
        for name, value in values.items():
            setattr(found.media.ways, name, value)

    return change


def _bucket(**values: object) -> Callable[[Setting, random.Random], None]:
    def change(found: Setting, _: random.Random) -> None:
        for name, value in values.items():
            setattr(found.bucket.ways, name, value)

    return change


def _small_pages(found: Setting, dice: random.Random) -> None:
    found.webex.ways.page_cap = dice.randint(3, 4)
    day = DAY_ONE_MS + dice.randrange(DAYS) * DAY_MS
    for _ in range(5):
        _new_call(found, dice, day + dice.randrange(DAY_MS))


def _filter_after_limit(found: Setting, dice: random.Random) -> None:
    """Cut pages before other channels are taken out, with room for a new row on each of them."""
    found.webex.ways.page_cap, found.webex.ways.filter_last = 6, True
    day = DAY_ONE_MS + dice.randrange(DAYS) * DAY_MS
    for number in range(9):
        call = _new_call(found, dice, day + dice.randrange(DAY_MS))
        if number < 2:
            call.channel, call.recordings, call.requested = "email", [], False


def _on_edge(found: Setting, dice: random.Random) -> None:
    _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS) * DAY_MS)


def _before_edge(found: Setting, dice: random.Random) -> None:
    _new_call(found, dice, DAY_ONE_MS + dice.randint(1, DAYS) * DAY_MS - 1)


def _same_moment(found: Setting, dice: random.Random) -> None:
    moment = DAY_ONE_MS + dice.randrange(DAYS * DAY_MS)
    for _ in range(2):
        _new_call(found, dice, moment)


def _open_call(found: Setting, dice: random.Random) -> None:
    """Add a call that goes on for hours yet; captures names what there is of it."""
    call = _new_call(found, dice, found.now_ms - 2 * HOUR_MS)
    call.ended_ms = found.now_ms + 6 * HOUR_MS
    for recording in call.recordings:
        recording.ready_ms, recording.stop_ms = call.created_ms + MINUTE_MS, call.ended_ms


def _search_only(found: Setting, dice: random.Random) -> None:
    _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS * DAY_MS)).listed = False


def _late_row(found: Setting, dice: random.Random) -> None:
    call = _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS * DAY_MS))
    call.appears_ms, call.late = found.now_ms + 4000, True


def _late_recording(found: Setting, dice: random.Random) -> None:
    call = _new_call(found, dice, DAY_ONE_MS + 2 * DAY_MS + dice.randrange(DAY_MS))
    call.recordings[0].ready_ms = found.now_ms + 8 * HOUR_MS


def _same_recording_id(found: Setting, dice: random.Random) -> None:
    call = _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS * DAY_MS))
    other = add_recording(dice, call, main=False)
    other.id, other.place, other.start_ms = (
        call.recordings[0].id,
        str(uuid.UUID(int=dice.getrandbits(128))),
        other.start_ms + 500,
    )
    call.recordings.append(other)


def _odd_list_chunk(found: Setting, dice: random.Random) -> None:
    call = _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS * DAY_MS))
    chunk = b"LIST" + (7).to_bytes(4, "little") + b"INFOabc"
    call.recordings[0].bodies = [wav_of(dice.randbytes(2000), chunk)]


def _large(found: Setting, dice: random.Random) -> None:
    """Add a recording of two parts; it costs, so it is rare."""
    call = _new_call(found, dice, DAY_ONE_MS + dice.randrange(DAYS * DAY_MS))
    recording = call.recordings[0]
    recording.bodies = [wav(dice, (5 << 20) + dice.randrange(1 << 16))]
    recording.stop_ms = recording.start_ms + len(recording.body) // 16
    call.ended_ms = max(call.ended_ms, recording.stop_ms)
    found.config["s3"] = {**found.config.get("s3", {}), "part_size_mib": 5}


def _sidecar(found: Setting, _: random.Random) -> None:
    found.config["s3"] = {**found.config.get("s3", {}), "sidecar": True}


def _old_token(found: Setting, _: random.Random) -> None:
    found.token_life_s = -60.0


WAYS_OF: dict[str, Callable[[Setting, random.Random], None]] = {
    "strict_bounds": _ways(strict=True), "small_pages": _small_pages, "reverse_captures": _ways(reverse_captures=True),
    "text_times": _ways(text_times=True), "sparse_rows": _ways(sparse_rows=True),
    "small_search_pages": _ways(search_page=2),
    "shuffled_search": _ways(shuffled_search=True), "refuses_future": _ways(refuses_future=True),
    "old_token": _old_token,
    "etag_weak": _media(etag="weak"), "etag_none": _media(etag="none"), "no_last_modified": _media(last_modified=False),
    "media_chunked": _media(chunked=True), "no_ranges": _media(ranges=False),
    "media_text_plain": _media(content_type="text/plain"), "media_no_type": _media(content_type=None),
    "media_octets": _media(content_type="application/octet-stream"),
    "media_aws_chunked": _media(encoding="aws-chunked"),
    "media_close": _media(close=True), "bucket_without_checksums": _bucket(checksums=False),
    "bucket_weak_etags": _bucket(weak_etags=True), "no_search": _ways(has_search=False), "call_on_edge": _on_edge,
    "call_before_edge": _before_edge, "same_moment": _same_moment, "open_call": _open_call, "search_only": _search_only,
    "late_row": _late_row, "late_recording": _late_recording, "same_recording_id": _same_recording_id,
    "upper_case_captures": _ways(upper_captures=True), "upper_case_search": _ways(upper_search=True),
    "no_status": _ways(no_status=True), "filter_after_limit": _filter_after_limit,
    "odd_list_chunk": _odd_list_chunk, "sidecar": _sidecar, "large": _large,
}  # fmt: skip
