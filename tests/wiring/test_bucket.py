"""The bucket is opened in one way: whose it is, is known before any command works on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.site import open_site

pytestmark = pytest.mark.anyio

ANOTHER = "999988887777"


@pytest.mark.fault("S13", "X22")
@pytest.mark.parametrize(
    "command",
    [
        "run --no-progress",
        "verify",
        "verify --evidence",
        "cleanup",
        "cleanup --all-under-prefix",
        "reconcile",
        "ledger rebuild",
    ],
)
async def test_a_bucket_of_somebody_else_is_named_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Exit 2 and the one line of `run`; nothing is taken for missing, unknown or a lacking permission."""
    async with open_site(tmp_path, monkeypatch, tasks=3) as site:
        assert (await site.run()).exit_code == 0
        if command == "ledger rebuild":
            site.lose_ledger()
        monkeypatch.setenv("WXREC_S3__EXPECTED_BUCKET_OWNER", ANOTHER)
        told = await site.call(*command.split())
        assert (told.code, told.out) == (2, ""), told
        assert told.err == (
            f"error: [s3] expected_bucket_owner: bucket {site.sandbox.bucket} does not belong to account {ANOTHER}; "
            "correct [s3] bucket or expected_bucket_owner\n"
        )
        assert site.ledger.exists() == (command != "ledger rebuild")
