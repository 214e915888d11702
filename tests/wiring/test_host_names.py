"""A host that is misnamed, and a network that is away."""

from __future__ import annotations

import pytest

from wxrec_async.plumbing.host_names import is_misnamed

pytestmark = pytest.mark.anyio

# RFC 6761: the first is never a host, and the second is always this one.
NOBODY, OURSELVES = "nobody.invalid", "localhost"


@pytest.mark.parametrize(
    ("host", "other", "misnamed"),
    [
        (NOBODY, OURSELVES, True),
        (NOBODY, "other.invalid", False),
        (OURSELVES, NOBODY, False),
        ("a" * 70, OURSELVES, True),
    ],
)
async def test_a_name_is_wrong_only_while_others_have_an_address(host: str, other: str, misnamed: bool) -> None:
    """Without any address the network is away, and nobody's settings are to blame."""
    assert await is_misnamed(host, other) is misnamed
