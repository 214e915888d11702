"""How long hypothesis walks through a state machine: a little in every commit, long before a release.

``HYPOTHESIS_PROFILE=release python -m pytest tests -k Machine`` runs 20,000 examples of each, from new seeds.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

RELEASE = os.environ.get("HYPOTHESIS_PROFILE") == "release"
COMMIT_EXAMPLES, RELEASE_EXAMPLES = 100, 20_000


def walks(steps: int) -> settings:
    """Return the settings of a machine that takes up to ``steps`` steps an example."""
    return settings(
        max_examples=RELEASE_EXAMPLES if RELEASE else COMMIT_EXAMPLES,
        stateful_step_count=2 * steps if RELEASE else steps,
        deadline=None,
        derandomize=not RELEASE,
        print_blob=RELEASE,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
