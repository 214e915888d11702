"""A short soak in every run of the suite, and that the judge is not fooled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak import curve, real, virtual
from tests.soak.real import Sample, Soaked
from tests.soak.virtual import Lived

KEYS = {f"c/{number}/recording.wav": f"{number:064x}" for number in range(9)}


@pytest.mark.fault("R11", "C16", "L10", "L20", "T11", "D01", "W23")
def test_two_days_of_ended_tokens_and_urls_wrong_clocks_and_stopped_processes_lose_nothing() -> None:
    """Every recording is stored once and whole, none fails on the way, and nobody is asked more often than need be."""
    lived = virtual.run(days=2, an_hour=6)
    assert virtual.judge(lived).broken == []


def hour(**steps: float) -> list[Sample]:
    """Return an hour's samples, growing by ``steps`` from one to the next, as a process in order gives them."""
    first = Sample(
        at_s=0, rss_mib=100, descriptors=20, threads=4, tasks=12, blocks=500_000, cpu_s=0, stored=0, ledger_mib=9
    )
    return [
        replace(first, at_s=13.0 * number, **{
            name: type(getattr(first, name))(getattr(first, name) + step * number) for name, step in steps.items()
        })
        for number in range(277)
    ]  # fmt: skip


def soaked() -> Soaked:
    """Return a soak with nothing wrong in it."""
    found = Soaked(calls=len(KEYS), minutes=60, samples=hour(), code=143, truth=dict(KEYS), bucket=dict(KEYS))
    found.states["stored"] = len(KEYS)
    found.requests.update({("token", 200, ""): 60, ("media.get", 403, "expired"): 9})
    found.rounds = 60
    return found


@pytest.mark.fault("R12")
def test_a_soak_without_blemish_is_green() -> None:
    """What the other tests of the judge begin with."""
    assert real.judge(soaked()).green


@pytest.mark.fault("R12")
@pytest.mark.parametrize(
    ("figure", "step", "word"),
    [
        ("rss_mib", 0.03, "MiB more in ten minutes"),
        ("descriptors", 0.1, "descriptors at rest"),
        ("tasks", 0.1, "tasks at rest"),
        ("threads", 0.1, "threads at rest"),
    ],
)
def test_a_figure_that_creeps_up_is_a_broken_promise(figure: str, step: float, word: str) -> None:
    """A MiB and a half in ten minutes, or one descriptor or task more every two, is a leak."""
    found = soaked()
    found.samples = hour(**{figure: step})
    assert any(word in each for each in real.judge(found).broken)


@pytest.mark.parametrize("wrong", ["lost", "other bytes", "unasked", "leak", "open", "failed", "crashed"])
def test_one_recording_or_one_word_too_many_is_red(wrong: str) -> None:
    """Each kind of damage is seen by itself."""
    found = soaked()
    match wrong:
        case "lost":
            found.bucket.popitem()
        case "other bytes":
            found.bucket["c/3/recording.wav"] = "0" * 64
        case "unasked":
            found.bucket["c/stranger"] = "0" * 64
        case "leak":
            found.leaks.append("out: a phone number")
        case "open":
            found.uploads = 1
        case "failed":
            found.states.update({"stored": -1, "failed": 1})
        case "crashed":
            found.code = 1
    assert not real.judge(found).green


def test_a_virtual_soak_in_which_nothing_happened_is_red() -> None:
    """It is not enough that nothing was lost: the edges must have been crossed."""
    day = virtual.Day(at_s=0, stored=5, owed=0, refreshes=0, expired=0, descriptors=20, tasks=3)
    idle = Lived(days=2, an_hour=6, rounds=[day] * 60, calls=5, naps=(100, 1.0, 30.0))
    idle.puts["c/1/recording.wav"] = 1
    broken = " ".join(virtual.judge(idle).broken)
    assert all(
        word in broken for word in ("URLs expired", "tokens renewed", "clock jumps", "stopped", "asleep", "starts")
    )


def test_a_picture_shows_every_figure_it_was_asked_for() -> None:
    """One line each, as wide as time went on."""
    drawn = curve.draw(curve.Picture(hour(rss_mib=0.1), real.STRIPS), "an hour")
    assert drawn.count("<polyline") == len(real.STRIPS)
    assert all(words in drawn for _, words, _ in real.STRIPS)
