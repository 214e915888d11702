"""TLS on every side, trusted by a CA of one's own, and refused without it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from wxrec_async import Backfill, ConfigError, load_config
from wxrec_async.config import Settings
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
async def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Sandbox, Path]]:
    """A sandbox that speaks TLS only, and the CA that signed its certificate."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    organisation = Organisation(20, 3, seconds=(1, 5))
    async with Sandbox(Options(organisation=organisation, ssl_context=context)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield sandbox, tmp_path


def settings(sandbox: Sandbox, folder: Path, **more: object) -> Settings:
    return load_config(sandbox.write_config(folder), overrides=more)


async def test_a_backfill_runs_over_tls_with_a_ca_of_ones_own(secure: tuple[Sandbox, Path]) -> None:
    """Token, API, media and S3 are all reached over https, certificates verified."""
    sandbox, folder = secure
    async with Backfill(settings(sandbox, folder, ca_bundle=str(folder / "ca.pem"))) as backfill:
        summary = await backfill.run()
    assert summary.exit_code == 0
    assert summary.counts.stored == len(sandbox.truth()) > 0


@pytest.mark.fault("D20", "X16", "S26")
async def test_an_unknown_ca_is_refused_before_anything_is_sent(secure: tuple[Sandbox, Path]) -> None:
    """Without the CA the bucket cannot be checked, so nothing is asked and no ledger appears."""
    sandbox, folder = secure
    with pytest.raises(ConfigError, match=r"certificate|TLS"):
        async with Backfill(settings(sandbox, folder)):
            pass
    assert not list(folder.glob("*.db"))
    assert not list(sandbox.log.lines())


async def test_a_ca_bundle_that_is_not_there_is_named(secure: tuple[Sandbox, Path]) -> None:
    """The line names the flag's value."""
    sandbox, folder = secure
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        async with Backfill(settings(sandbox, folder, ca_bundle=str(folder / "nowhere.pem"))):
            pass
