"""The key for hashed numbers: made, made anew, and missed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from wxrec_async.auth.open_store import load_credentials
from wxrec_async.config import Settings, load_config
from wxrec_async.errors import ConfigError
from wxrec_async.rules.phone_numbers import key_id
from wxrec_async.setup.doctor.phone_key import examine_phone_key
from wxrec_async.wiring.account import Injected, number_hash_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name a credentials file without a key."""
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"client_id": "C1", "client_secret": "s" * 20, "org_id": "o", "ours": 5}))
    path.chmod(0o600)
    return load_config(None, overrides={"auth.credentials": str(path), "ledger.phone_numbers": "hashed"})


def path_of(settings: Settings) -> Path:
    return Path(settings.auth.credentials)


def mode_of(settings: Settings) -> int:
    return stat.S_IMODE(path_of(settings).stat().st_mode)


def shorten(settings: Settings) -> None:
    path_of(settings).write_text(json.dumps(kept(settings) | {"phone_key": "short"}))


def lose(settings: Settings) -> None:
    path_of(settings).unlink()


def kept(settings: Settings) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(settings.auth.credentials).read_text("utf-8"))
    return found


async def test_a_missing_key_is_named_with_the_way_to_make_one(settings: Settings) -> None:
    """Before anything is listed, not at the first number."""
    finding = await examine_phone_key(settings, Injected(), make=False)
    assert (finding.ok, finding.exit_code) == (False, 2)
    assert "--make-phone-key" in finding.todo
    with pytest.raises(ConfigError, match="--make-phone-key"):
        number_hash_of(settings, await load_credentials(settings.auth.credentials))


async def test_a_key_is_made_and_the_one_before_goes_on_finding(settings: Settings) -> None:
    """The file stays private, everything else in it stays, and no key is in what is said."""
    before = kept(settings)
    first = await examine_phone_key(settings, Injected(), make=True)
    one = str(kept(settings)["phone_key"])
    assert first.ok and key_id(one) in first.words and one not in first.words  # noqa: PT018 - one finding
    second = await examine_phone_key(settings, Injected(), make=True)
    two = str(kept(settings)["phone_key"])
    assert kept(settings) == before | {"phone_key": two, "earlier_phone_keys": [one]}
    assert (one != two, "and 1 earlier" in second.words) == (True, True)
    assert mode_of(settings) == 0o600
    credentials = await load_credentials(settings.auth.credentials)
    hashed = number_hash_of(settings, credentials)
    assert hashed is not None
    assert (hashed("+15550100123") or "").startswith(f"{key_id(two)}:")
    assert [each.reveal() for each in credentials.earlier_phone_keys] == [one]
    assert two not in repr(credentials)


async def test_without_the_setting_there_is_nothing_to_hash(settings: Settings) -> None:
    """And nothing is asked of the credentials."""
    plain = settings.model_copy(update={"ledger": settings.ledger.model_copy(update={"phone_numbers": "masked"})})
    assert number_hash_of(plain, await load_credentials(settings.auth.credentials)) is None


async def test_a_short_key_and_a_missing_file_are_refused(settings: Settings) -> None:
    """A key that can be guessed hides nothing."""
    shorten(settings)
    finding = await examine_phone_key(settings, Injected(), make=False)
    assert (finding.ok, "shorter than 32" in finding.words) == (False, True)
    lose(settings)
    assert "does not exist" in (await examine_phone_key(settings, Injected(), make=True)).words
