"""What goes wrong is decided by seed, operation, key and attempt alone."""

from __future__ import annotations

import pytest

from wxrec_async.sandbox import Options, Sandbox
from wxrec_async.sandbox.faults import ON_RANGES, Faults, NeverHit, Profile, Rule, from_profile

OPERATIONS = ("tasks", "captures", "token", "media.get", "s3.PutObject", "s3.UploadPart", "s3.HeadObject")


def plan(seed: int, profile: Profile, attempt: int = 1) -> list[object]:
    return [from_profile(seed, profile, op, f"key {n}", attempt) for op in OPERATIONS for n in range(400)]


def test_a_seed_repeats_and_another_differs() -> None:
    """A campaign can be replayed whatever the interleaving was."""
    assert plan(1, "storm") == plan(1, "storm")
    assert plan(1, "storm") != plan(2, "storm")


def test_profiles_have_their_rates() -> None:
    """Mild is a few per cent, storm a fifth, none nothing."""
    shares = {p: sum(f is not None for f in plan(1, p)) / 2800 for p in ("none", "mild", "storm")}
    assert shares["none"] == 0
    assert 0.03 < shares["mild"] < 0.05
    assert 0.17 < shares["storm"] < 0.23


def test_everything_can_be_had_in_the_end() -> None:
    """After a few attempts on one thing no profile harms it any more."""
    assert any(plan(1, "storm", attempt=3))
    assert not any(plan(1, "storm", attempt=4))
    assert not any(plan(1, "mild", attempt=3))


def test_a_rule_hits_its_operation_key_and_attempt_only() -> None:
    """Patterns, attempts and limits are honoured, and every hit is counted."""
    faults = Faults(1)
    rule = faults.add("s3.*", "error", key="a/*", attempts=(2,), status=503)
    assert faults.decide("s3.PutObject", "a/b", 1) is None
    assert faults.decide("media.get", "a/b", 2) is None
    hit = faults.decide("s3.PutObject", "a/b", 2)
    assert hit is not None
    assert (hit.kind, hit.get("status"), rule.hits) == ("error", 503, 1)
    limited = faults.add("tasks", "html", attempts=None, limit=2)
    assert [faults.decide("tasks", "", n) is not None for n in range(4)] == [True, True, False, False]
    assert limited.hits == 2


def test_rules_that_never_applied_are_named() -> None:
    """A script with a typing mistake cannot pass for a passed test."""
    faults = Faults(1, rules=[Rule("tasks", "html"), Rule("taks", "html")])
    faults.decide("tasks", "", faults.count("tasks", ""))
    assert [rule.operation for rule in faults.unhit()] == ["taks"]


@pytest.mark.anyio
async def test_a_sandbox_whose_script_was_not_played_fails() -> None:
    """Leaving it names the fault that never happened; a failure that is under way is not covered up."""
    with pytest.raises(NeverHit, match=r"media\.get html key=nobody"):
        async with Sandbox(Options(tasks=1)) as sandbox:
            sandbox.faults.add("media.get", "html", key="nobody")
    with pytest.raises(KeyError):
        async with Sandbox(Options(tasks=1, script=[Rule("tasks", "html")])):
            raise KeyError


def test_a_kind_that_does_not_exist_is_refused() -> None:
    """A misspelt fault fails at once instead of doing nothing, and so does one that its operation does not know."""
    with pytest.raises(ValueError, match="'reset'"):
        Rule("tasks", "reset")
    with pytest.raises(ValueError, match="tasks knows no fault 'flip_bit'"):
        Rule("tasks", "flip_bit")
    assert Rule("s3.*", "flip_bit").kind == "flip_bit"


def test_faults_of_ranges_wait_for_a_range() -> None:
    """A first request is never spoilt by a fault that only a resumed one can have, so every hit counts."""
    kinds = set()
    for number in range(3000):
        fault = from_profile(1, "storm", "media.get", str(number), 1, ranged=False)
        kinds.add(fault.kind if fault else "")
    assert not kinds & ON_RANGES
    assert "short_body" in kinds


def test_a_share_is_drawn_the_same_way_every_time() -> None:
    """A rule may take a part of the requests, and it is always the same part."""
    draws = []
    for _ in range(2):
        faults = Faults(3, rules=[Rule("media.get", "expired", share=0.5)])
        draws.append([faults.decide("media.get", str(n), 1) is not None for n in range(200)])
    assert draws[0] == draws[1]
    assert 60 < sum(draws[0]) < 140
