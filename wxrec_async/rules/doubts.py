"""What is said of a recording against what arrived: its RIFF header, and how long Webex says that it is.

None of it is a proof that bytes are missing.  So a doubtful recording is fetched
once more, and stored under a flag when the same bytes come again.
"""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.model import Recording

SHORTEST, LONGEST = 0.5, 2.0  # of what Webex says: a call that was paused is shorter than its span
# Of a short call a few seconds of ringing or hanging up are already half.
MIN_DIFFERENCE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """``flag`` is what a recording is stored under, ``reason`` what it fails with when other bytes come each time."""

    flag: str
    reason: str
    words: str


def list_doubts(recording: Recording, *, riff_agrees: bool, duration_ms: int | None) -> list[Doubt]:
    """Name what speaks against the bytes that arrived; ``duration_ms`` is how long they sound, None if nobody knows."""
    doubts = [] if riff_agrees else [Doubt("riff_size", "media_mismatch", "the RIFF header states another size")]
    said_ms = span_ms(recording)
    if said_ms is not None and duration_ms is not None and is_far_off(duration_ms, said_ms):
        words = f"it is {duration_ms / 1000:.1f} s long, and Webex says {said_ms / 1000:.1f} s"
        doubts.append(Doubt("length_doubtful", "length_doubtful", words))
    return doubts


def span_ms(recording: Recording) -> int | None:
    """Return how long Webex says that a recording took; None where it does not say, or the times cannot be true."""
    if recording.start_ms is None or recording.stop_ms is None or recording.stop_ms <= recording.start_ms:
        return None
    return recording.stop_ms - recording.start_ms


def is_far_off(duration_ms: int, said_ms: int) -> bool:
    """Say whether two lengths are so far apart that one of them is not the recording's."""
    if abs(duration_ms - said_ms) <= MIN_DIFFERENCE_MS:
        return False
    return duration_ms < SHORTEST * said_ms or duration_ms > LONGEST * said_ms
