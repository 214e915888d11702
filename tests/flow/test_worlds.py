"""Whose recordings they are, and how many connections they take."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.auth.auth_kit import MemoryStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, ConfigError
from wxrec_async.events import Event, Warned
from wxrec_async.ledger import Counts, Everything, Identity, open_ledger
from wxrec_async.model import Secret, Window
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import Injected, WebexAccount, load_secrets, organisation_of
from wxrec_async.wiring.bucket import SPARE_CONNECTIONS, s3_connections
from wxrec_async.wiring.clients import trusted_tls_context
from wxrec_async.wiring.storage import ledger_view

A = "aaaaaaaa-1111-2222-3333-444444444444"
B = "bbbbbbbb-1111-2222-3333-444444444444"


def tokens(org: str = "") -> Tokens:
    return Tokens(Secret(f"opaque_{org}" if org else "ey.jwt.shaped"), None, 0.0)


@pytest.mark.fault("W31")
@pytest.mark.parametrize(
    ("configured", "in_credentials", "of_token", "expected"),
    [
        (A, A, A, A),
        (A, "", A, A),
        ("", A, A, A),
        ("", "", A, A),
        (A, "", "", A),
        ("", A, "", A),
        (A, A, "", A),
        (A.upper(), A, A, A),
        (A, "", B, AuthError),
        ("", A, B, AuthError),
        (A, A, B, AuthError),
        (A, B, A, ConfigError),
        (A, B, B, ConfigError),
        (A, B, "", ConfigError),
        ("", "", "", ConfigError),
    ],
)
def test_organisation_is_the_one_all_agree_on(
    configured: str, in_credentials: str, of_token: str, expected: str | type[Exception]
) -> None:
    """Configuration, credentials and token are held against each other before anything is asked of Webex."""
    if isinstance(expected, str):
        assert organisation_of(configured, in_credentials, tokens(of_token)) == expected
        return
    with pytest.raises(expected) as refusal:
        organisation_of(configured, in_credentials, tokens(of_token))
    assert "opaque" not in str(refusal.value)
    assert "org_id" in str(refusal.value)


def test_organisation_is_the_same_in_any_case_of_letters() -> None:
    """The token's id is lower case; written in capitals in the configuration it is no other organisation."""
    assert organisation_of(A.upper(), "", tokens(A)) == organisation_of("", "", tokens(A))


@pytest.mark.parametrize(
    ("concurrency", "parts", "memory", "expected"),
    [(32, 4, 256, 32), (1, 4, 256, 4), (4, 4, 256, 16), (1, 64, 128, 15), (8, 1, 1024, 8)],
)
def test_connections_to_the_bucket_follow_workers_and_memory(
    concurrency: int, parts: int, memory: int, expected: int
) -> None:
    """Never fewer than workers, never more than parts can be under way, and a few to spare."""
    settings = Settings.model_validate(
        {"backfill": {"concurrency": concurrency, "memory_mib": memory}, "s3": {"part_concurrency": parts}}
    )
    assert s3_connections(settings) == expected + SPARE_CONNECTIONS


def test_unusable_ca_bundle_is_refused_by_name(tmp_path: Path) -> None:
    """A CA bundle that is missing or no certificate is a line that names it."""
    with pytest.raises(ConfigError, match="--ca-bundle"):
        trusted_tls_context(Settings(ca_bundle=tmp_path / "none.pem"))
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="--ca-bundle"):
        trusted_tls_context(Settings(ca_bundle=tmp_path / "text.pem"))


@pytest.mark.anyio
async def test_plan_looks_at_the_ledger_as_it_lies_there(tmp_path: Path) -> None:
    """No ledger counts as an empty one and is not made; an existing one is read."""
    path = tmp_path / "ledger.db"
    async with ledger_view(path, None) as nothing:
        assert await nothing.counts(Everything(), None) == Counts()
        assert await nothing.closed_windows(Window(0, 9)) == []
    assert not path.exists()
    async with open_ledger(path, Identity("o", "b", "{task_id}"), mask=str, emit=lambda _event: None) as ledger:
        await ledger.close_window(Window(0, 5), 9)
    async with ledger_view(path, None) as there:
        assert await there.closed_windows(Window(0, 9)) == [Window(0, 5)]


@pytest.mark.anyio
@pytest.mark.fault("D25", "L11")
async def test_media_that_answer_show_that_the_network_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that gets an answer ends an outage as an API call does: all share one `NetworkMonitor`."""
    given: dict[str, object] = {}
    monkeypatch.setattr(clients, "WebexMedia", lambda *_args, **named: given.update(named))
    settings, reach = Settings(), NetworkMonitor()
    secrets = WebexAccount(Credentials("id", Secret("s"), "org"), None, "org")  # type: ignore[arg-type]
    async with clients.open_webex(
        settings, secrets, trusted_tls_context(settings), lambda _event: None, reach, time.time
    ):
        pass
    assert given["gate"] is not None
    assert given.get("reach") is reach


@pytest.mark.anyio
@pytest.mark.fault("T14")
@pytest.mark.parametrize(("days_left", "warned"), [(None, False), (13.9, True), (14.1, False), (-1.0, True)])
async def test_run_warns_of_a_refresh_token_that_is_about_to_die(days_left: float | None, warned: bool) -> None:
    """Whoever reads the log of a nightly run hears of it while there is time for a person to log in."""
    now, told = 1_800_000_000.0, list[Event]()
    ends = None if days_left is None else now + days_left * 86_400
    settings = Settings.model_validate({"s3": {"bucket": "b"}})
    store = MemoryStore(Tokens(Secret(f"opaque_{A}"), Secret("r"), now + 3600, refresh_expires_at=ends))
    given = Injected(token_store=store, credentials=Credentials("id", Secret("s"), A))
    await load_secrets(settings, given, told.append, lambda: now)
    assert [event.code for event in told if isinstance(event, Warned)] == ["refresh_token_ends"] * warned
