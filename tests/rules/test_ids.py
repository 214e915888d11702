"""Ids: opaque, but for the case of a UUID."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.ids import canonical, is_uuid

UPPER = "99A53828-6A11-4BEE-A257-8730A56963CE"


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        (UPPER, True),
        (UPPER.lower(), True),
        (UPPER[:-1], False),
        (UPPER + "0", False),
        (UPPER.replace("-", ""), False),
        ("{" + UPPER[1:-1] + "}", False),
        ("G" + UPPER[1:], False),
        (UPPER[:-1] + "\n", False),
        ("load-bulk-api-Contact-1", False),
        ("", False),
    ],
)
def test_a_uuid_is_one_as_it_is_usually_written(text: str, uuid: bool) -> None:
    """Five groups of hexadecimal digits in either case; anything else stays as it came."""
    assert is_uuid(text) is uuid
    assert canonical(text) == (text.lower() if uuid else text)


@given(st.uuids(), st.data())
def test_every_spelling_of_a_uuid_is_the_same_id(uuid: object, data: st.DataObject) -> None:
    """RFC 9562, section 4: output in lower case, input in either."""
    spelt = "".join(data.draw(st.sampled_from([sign.lower(), sign.upper()])) for sign in str(uuid))
    assert canonical(spelt) == str(uuid)
