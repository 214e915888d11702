"""Every reader of untrusted bytes, for any bytes: its documented failures or an answer, nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import by_chance
from tests.fuzz.mutating import mutated
from tests.fuzz.targets import CORPUS, TARGETS, seeds

EXAMPLES = 60
BIGGEST_SEED = 20_000


@pytest.mark.fault("W12", "L12", "X20")
@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_passes(name: str) -> None:
    """Real shapes, and every input that once broke something."""
    for data in seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_pass(name: str) -> None:
    """Bytes without any sense, and the corpus with a few changes."""
    corpus = seeds(name)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.one_of(
            st.binary(max_size=400),
            st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.integers(0, 1 << 62).map(lambda seed: mutated(random.Random(seed), corpus)),
        )
    )
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


def test_the_corpus_stays_small() -> None:
    """Every target has one, of a few small files, and none belongs to a target that is gone."""
    assert {each.name for each in CORPUS.iterdir()} == set(TARGETS)
    for name in TARGETS:
        assert 0 < len(list((CORPUS / name).iterdir())) <= 24
        assert all(len(seed) <= BIGGEST_SEED for seed in seeds(name))


def test_a_crash_is_seen_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop has teeth: a reader that breaks on one byte is caught, and its input lies in a file."""

    def breaks(data: bytes) -> None:
        assert b"\0" not in data

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TARGETS, "tasks", breaks)
    assert by_chance("tasks", 60, seed=1) == 1
    (kept,) = tmp_path.glob("crash-*")
    assert b"\0" in kept.read_bytes()
    assert str(kept.name) in capsys.readouterr().out


def test_the_command_runs_a_target() -> None:
    """``python -m tests.fuzz`` ends with 0 and says how much it tried."""
    command = [sys.executable, "-m", "tests.fuzz", "retry-after", "--seconds", "1", "--without-atheris", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=360)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no crash" in done.stdout
