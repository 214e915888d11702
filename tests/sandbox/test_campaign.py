"""A campaign is a pure function of its plan, whatever the interleaving, and says what it never got to do."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from wxrec_async.sandbox.campaign import Campaign
from wxrec_async.sandbox.fault_kinds import Fault
from wxrec_async.sandbox.faults import Faults

PLAN = {
    "seed": 5,
    "rates": {"media.get": [0.7, 0.4], "captures": [0.3]},
    "menu": {
        "media.get": [{"kind": "expired", "weight": 3}, {"kind": "html"}, {"kind": "wrong_range"}],
        "captures": [{"kind": "error", "status": 503}, {"kind": "token_401"}],
    },
    "fates": [
        {"operation": "media.get", "key": "doomed", "kind": "missing"},
        {"operation": "captures", "key": "t1", "kind": "no_url"},
        {"operation": "captures", "key": "t2", "kind": "expire_token", "attempts": [1]},
        {"operation": "captures", "key": "t3", "kind": "error", "status": 500, "attempts": [1]},
    ],
}


def decisions(order: list[str], campaign: Campaign) -> dict[tuple[str, int], str]:
    """What happens to each download, by its key and attempt, when they come in this order."""
    seen: dict[str, int] = {}
    found = {}
    for key in order:
        seen[key] = seen.get(key, 0) + 1
        found[key, seen[key]] = str(campaign.decide("media.get", key, ranged=True))
    return found


def test_the_order_of_requests_changes_nothing() -> None:
    """Any interleaving of the same requests meets the same faults."""
    order = [str(number) for number in range(200)] * 3
    shuffled = random.Random(1).sample(order, len(order))
    assert decisions(order, Campaign.read(PLAN)) == decisions(shuffled, Campaign.read(PLAN))


def test_rates_hold_and_end() -> None:
    """The share of an attempt is that of the plan, and behind the last figure nothing goes wrong, unless endless."""
    campaign = Campaign.read(PLAN)
    shares = [sum(campaign.decide("media.get", str(n), ranged=True) is not None for n in range(1000)) for _ in range(3)]
    assert 650 < shares[0] < 750
    assert 350 < shares[1] < 450
    assert shares[2] == 0
    endless = Campaign.read(PLAN | {"endless": True})
    for _ in range(4):
        last = sum(endless.decide("media.get", str(n), ranged=True) is not None for n in range(1000))
    assert 350 < last < 450


def test_faults_of_ranges_wait_for_a_range() -> None:
    """A request without a range never meets a fault that needs one."""
    campaign = Campaign.read(PLAN)
    for number in range(500):
        campaign.decide("media.get", str(number), ranged=False)
    assert {kind for _, kind in campaign.hits} == {"expired", "html"}


def test_a_fate_goes_before_chance_and_stays() -> None:
    """What is settled for a key happens every time."""
    campaign = Campaign.read(PLAN)
    assert {str(campaign.decide("media.get", "doomed", ranged=True)) for _ in range(9)} == {"missing"}


def batch(campaign: Campaign, *keys: str) -> Fault | None:
    return campaign.decide("captures", ",".join(keys), ranged=False)


def test_the_tasks_of_a_batch_meet_their_own_faults_one_after_the_other() -> None:
    """Whoever has to wait keeps its attempt; what concerns single entries comes when nothing stops the whole."""
    campaign = Campaign.read(PLAN | {"rates": {}})
    assert [str(batch(campaign, "t1", "t2", "t3")) for _ in range(2)] == ["expire_token", "error status=500"]
    last = batch(campaign, "t1", "t2", "t3")
    assert last is not None
    assert last.kind == "per_entry"
    assert {key: str(fault) for key, fault in last.get("entries").items()} == {"t1": "no_url"}
    assert campaign.unhit() == ["captures error status=503", "captures token_401", *media_lines()]


def test_what_harms_nothing_hides_nothing() -> None:
    """A pause does not make a lasting fault of one entry disappear; it comes when its turn is."""
    fates = [
        {"operation": "captures", "key": "a", "kind": "certificate", "which": "expired"},
        {"operation": "captures", "key": "b", "kind": "pause", "attempts": [1]},
    ]
    campaign = Campaign.read(PLAN | {"rates": {}, "fates": fates})
    first = batch(campaign, "a", "b")
    assert first is not None
    assert list(first.get("entries")) == ["a"]
    assert str(batch(campaign, "b")) == "pause"


def media_lines() -> Iterator[str]:
    yield from ("media.get expired", "media.get html", "media.get missing", "media.get wrong_range")


def test_two_refusals_of_the_token_do_not_follow_each_other() -> None:
    """A renewed token that is refused at once is another fault, and not what two drawn refusals mean."""
    fates = [{"operation": "captures", "key": key, "kind": "token_401", "attempts": [1]} for key in ("a", "b")]
    campaign = Campaign.read(PLAN | {"rates": {}, "fates": fates})
    assert str(batch(campaign, "a", "b")) == "token_401"
    assert batch(campaign, "a", "b") is None


@pytest.mark.parametrize(
    "row", [{"kind": "reset"}, {"kind": "flip_bit"}, {"kind": "not_ready"}], ids=lambda row: row["kind"]
)
def test_a_fault_the_operation_does_not_know_is_refused(row: dict[str, str]) -> None:
    """A plan with a typing mistake does not begin."""
    with pytest.raises(ValueError, match="fault"):
        Campaign.read(PLAN | {"menu": {"tasks": [row]}})


def test_a_script_goes_before_the_campaign() -> None:
    """A test may let one thing more go wrong than the plan has."""
    faults = Faults(1, campaign=Campaign.read(PLAN))
    faults.add("media.get", "gzip", key="doomed", attempts=(1,))
    assert [str(faults.decide("media.get", "doomed", n)) for n in (1, 2)] == ["gzip", "missing"]
