"""The ten mistakes that `doctor` has to name, and their neighbours."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from wxrec_async.sandbox import Sandbox
from wxrec_async.sandbox.options import Options
from wxrec_async.setup.doctor import examine_file, exit_code_of

from .kit import Clinic, clinic

pytestmark = pytest.mark.anyio
ELSEWHERE = "0a1b2c3d-1111-2222-3333-444455556666"
HOUR = 3600.0


async def test_the_wrong_region_is_named(ward: Clinic) -> None:
    """Another region's server does not know the token, although it lives: that is no matter of logging in."""
    async with Sandbox(Options(tasks=3, seed=2)) as elsewhere:
        found = await ward.findings(ward.settings(webex__base_url=elsewhere.api_url))
    assert found.failed == ["region"]
    assert "although the token lives" in found["region"].words
    assert "[webex] region" in found["region"].todo
    assert {"tasks", "captures"} <= set(found.unknown)
    assert found.exit_code == 2


@pytest.mark.fault("W31")
async def test_the_wrong_tenant_is_named(ward: Clinic) -> None:
    """A token of another organisation: both are named, and what can be looked at is looked at."""
    _save(ward, ward.sandbox.desk.issue(org_id=ELSEWHERE))
    found = await ward.findings()
    assert found.failed == ["organisation"]
    assert ELSEWHERE in found["organisation"].words
    assert ward.sandbox.org_id in found["organisation"].words
    assert found.exit_code == 4


@pytest.mark.parametrize(
    ("call", "scopes"), [("captures", "cjp:config_read"), ("tasks", "cjp:config or cjp:config_read")]
)
async def test_a_missing_scope_is_named(ward: Clinic, call: str, scopes: str) -> None:
    """403 to one call while others are answered: the scope it needs is named."""
    ward.sandbox.faults.add(call, "error", status=403, code="403", message="Forbidden", attempts=None)
    found = await ward.findings()
    assert found.failed == [call]
    assert scopes in found[call].words
    assert found.exit_code == 4


async def test_a_dead_refresh_token_is_named(ward: Clinic) -> None:
    """The access token has ended and nothing renews it: log in."""
    ward.sandbox.desk.revoke_refresh()
    found = await ward.findings(clock=lambda: time.time() + 1_209_599 + HOUR)
    assert "refresh" in found.failed
    assert "invalid_grant" in found["refresh"].words
    assert found["refresh"].todo == "run `wxrec-async login`"


async def test_a_refresh_token_that_died_unseen_is_named_too(ward: Clinic) -> None:
    """The file says that the token lives, Webex says that it does not, and it cannot be renewed."""
    ward.sandbox.desk.expire_access()
    ward.sandbox.desk.revoke_refresh()
    found = await ward.findings()
    assert found.failed == ["refresh"]
    assert {"region", "tasks", "captures"} <= set(found.unknown)
    assert found.exit_code == 4


@pytest.mark.fault("T14")
async def test_a_refresh_token_that_dies_is_found_while_the_access_token_lives(ward: Clinic) -> None:
    """With ``renew`` a dead refresh token is found before it hurts; the other calls are made all the same."""
    ward.sandbox.desk.revoke_refresh()
    found = await ward.findings(renew=True)
    assert found.failed == ["refresh"]
    assert found["captures"].ok
    assert found.exit_code == 4


async def test_a_missing_bucket_is_named(ward: Clinic) -> None:
    """404, and nothing below it is guessed at."""
    found = await ward.findings(ward.settings(s3__bucket="no-such-bucket"))
    assert found.failed == ["bucket"]
    assert "no-such-bucket is not there" in found["bucket"].words
    assert found.exit_code == 2


async def test_the_wrong_bucket_region_is_named(ward: Clinic) -> None:
    """The region the bucket is in is what to write."""
    found = await ward.findings(ward.settings(s3__region="eu-west-1"))
    assert found.failed == ["bucket_region"]
    assert found["bucket_region"].todo == 'set [s3] region = "us-east-1"'
    assert found.exit_code == 2


async def test_a_missing_abort_permission_is_named(ward: Clinic) -> None:
    """It is found without beginning an upload that could then not be given up."""
    ward.sandbox.s3.denied = frozenset({"s3:AbortMultipartUpload"})
    found = await ward.findings()
    assert found.failed == ["abort"]
    assert "s3:AbortMultipartUpload" in found["abort"].todo
    assert found["write"].ok
    assert found.exit_code == 4
    assert ward.sandbox.log.of("s3.CreateMultipartUpload") == []
    await ward.assert_nothing_left()


@pytest.mark.fault("W34")
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_an_hour_off_is_named(ward: Clinic, hours: int) -> None:
    """Both servers' dates are compared; nothing else is blamed for it."""
    found = await ward.findings(clock=lambda: time.time() + hours * HOUR)
    assert found.failed == ["clock"]
    assert found["clock"].words.count("60 minutes") == 2
    assert ("ahead" in found["clock"].words) == (hours > 0)
    assert found.exit_code == 3


@pytest.mark.fault("S18")
async def test_a_clock_that_s3_refuses_is_named(tmp_path: Path) -> None:
    """S3 refuses signatures of another hour: that is the clock, and not the bucket."""
    async with clinic(tmp_path, clock=lambda: time.time() + HOUR) as ward:
        found = await ward.findings()
    assert found.failed == ["clock"]
    assert "refuses requests because of the time" in found["clock"].words
    assert "bucket" in found.unknown


@pytest.mark.fault("X11")
@pytest.mark.parametrize(
    ("section", "line"),
    [("s3", 'endpoint_url = "http://s3.example.com"'), ("webex", 'base_url = "http://api.test/v1"')],
)
async def test_http_off_loopback_is_named(tmp_path: Path, section: str, line: str) -> None:
    """The settings are refused before anything is sent, naming key and host."""
    config = tmp_path / "config.toml"
    config.write_text(f"[{section}]\n{line}\n")
    found = await examine_file(config)
    assert [(finding.name, finding.ok) for finding in found] == [("configuration", False)]
    assert "plain http is accepted only for loopback" in found[0].words
    assert line.split(maxsplit=1)[0] in found[0].words
    assert exit_code_of(found) == 2


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _link(path: Path) -> None:
    path.rename(path.with_name("secrets-elsewhere.json"))
    path.symlink_to(path.with_name("secrets-elsewhere.json"))


def _garbage(path: Path) -> None:
    path.write_text('{"client_id": "CANARY')


@pytest.mark.parametrize(
    ("spoil", "name", "finding"),
    [
        (_open_to_all, "secrets.json", "credentials"),
        (_link, "secrets.json", "credentials"),
        (_garbage, "secrets.json", "credentials"),
        (Path.unlink, "secrets.json", "credentials"),
        (_open_to_all, "tokens.json", "access_token"),
        (Path.unlink, "tokens.json", "access_token"),
    ],
)
async def test_an_unreadable_secret_is_named(ward: Clinic, spoil: object, name: str, finding: str) -> None:
    """The file and what is wrong with it are named, and the bucket is examined all the same."""
    path = ward.config.parent / name
    assert callable(spoil)
    spoil(path)
    found = await ward.findings()
    assert found.failed == [finding]
    assert name in found[finding].words
    assert {"organisation", "region", "captures"} <= set(found.unknown)
    assert found["write"].ok
    assert found.exit_code == (4 if spoil is Path.unlink and name == "tokens.json" else 2)


@pytest.mark.fault("S13", "X22")
async def test_another_owner_of_the_bucket_is_named(ward: Clinic) -> None:
    """A 403 that goes away without the expected owner is no missing permission."""
    found = await ward.findings(ward.settings(s3__expected_bucket_owner="999999999999"))
    assert found.failed == ["bucket_owner"]
    assert found.exit_code == 2
    ours = await ward.findings(ward.settings(s3__expected_bucket_owner="123456789012"))
    assert ours["bucket_owner"].words == "it belongs to 123456789012"


@pytest.mark.fault("S12")
async def test_permissions_that_are_missing_are_named_each(ward: Clinic) -> None:
    """Writing is needed; listing uploads and reading the lifecycle are not, and only said."""
    ward.sandbox.s3.denied = frozenset(
        {"s3:PutObject", "s3:ListBucketMultipartUploads", "s3:ListBucket", "s3:GetLifecycleConfiguration"}
    )
    found = await ward.findings()
    assert found.failed == ["write"]
    assert found["list_uploads"].state == "warn"
    assert {"bucket", "checksum", "conditional_write", "lifecycle"} <= set(found.unknown)
    assert found.exit_code == 4


@pytest.mark.fault("S23")
async def test_a_store_that_takes_any_checksum_is_named(ward: Clinic) -> None:
    """A part with a wrong CRC-32 is acknowledged: damage would pass unseen."""
    ward.sandbox.faults.add("s3.UploadPart", "html", attempts=(1,))
    found = await ward.findings()
    assert found.failed == ["checksum"]
    await ward.assert_nothing_left()


async def test_no_lifecycle_rule_is_a_warning(ward: Clinic) -> None:
    """The rule is recommended, and no exit code asks for it."""
    ward.sandbox.s3.lifecycle_days = 0
    found = await ward.findings()
    assert found["lifecycle"].state == "warn"
    assert found.exit_code == 0


@pytest.mark.fault("T14")
async def test_a_refresh_token_near_its_end_is_a_warning(ward: Clinic) -> None:
    """Less than 14 days are left: log in before that."""
    _save(ward, ward.sandbox.tokens | {"refresh_token_expires_at": time.time() + 13.4 * 86_400})
    found = await ward.findings()
    assert found["refresh_token"].state == "warn"
    assert "13 days" in found["refresh_token"].words


async def test_servers_that_cannot_be_reached_are_named(ward: Clinic) -> None:
    """Nothing listens: each is named once, and the rest goes on."""
    nobody = "http://127.0.0.1:9"
    found = await ward.findings(ward.settings(webex__base_url=f"{nobody}/v1", s3__endpoint_url=nobody))
    assert found.failed == ["region", "bucket"]
    assert found["ledger"].ok


async def test_a_ledger_of_another_bucket_or_without_a_folder_is_named(ward: Clinic, tmp_path: Path) -> None:
    """The ledger is looked at without its lock."""
    found = await ward.findings(ward.settings(ledger__path=str(tmp_path / "no" / "wxrec.db")))
    assert found.failed == ["ledger"]
    assert found.exit_code == 7


def _save(ward: Clinic, tokens: dict[str, object]) -> None:
    path = ward.config.parent / "tokens.json"
    path.write_text(json.dumps({"expires_at": time.time() + 86_400} | tokens))
