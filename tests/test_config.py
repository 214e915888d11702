"""Settings: where they come from, what is refused, and the memory they promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.config import (
    MIB,
    Loaded,
    Settings,
    is_loopback,
    known_keys,
    load_config,
    load_config_with_origins,
    plan_memory,
    secret_free,
)
from wxrec_async.errors import ConfigError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the configuration or the environment of whoever runs it."""
    import os  # noqa: PLC0415 - only to clear what is there

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WXREC_")]:
        monkeypatch.delenv(name)


def loaded(text: str, **overrides: object) -> Loaded:
    Path("config.toml").write_text(text, "utf-8")
    return load_config_with_origins(overrides={key.replace("__", "."): value for key, value in overrides.items()})


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as failure:
        loaded(text)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_flag_beats_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """And for each value it is known where it came from."""
    text = "[backfill]\nconcurrency = 2\ndays_back = 2\nmemory_mib = 128\n"
    monkeypatch.setenv("WXREC_BACKFILL__CONCURRENCY", "3")
    monkeypatch.setenv("WXREC_BACKFILL__DAYS_BACK", "3")
    result = loaded(text, backfill__concurrency=4)
    chosen = result.settings.backfill
    assert (chosen.concurrency, chosen.days_back, chosen.memory_mib, chosen.grace_seconds) == (4, 3, 128, 30)
    assert result.origins["backfill.concurrency"] == "flag"
    assert result.origins["backfill.days_back"] == "WXREC_BACKFILL__DAYS_BACK"
    assert result.origins["backfill.memory_mib"] == "config.toml"
    assert "backfill.grace_seconds" not in result.origins


def test_without_a_file_the_defaults_hold() -> None:
    """config.toml of the working folder is optional; a file that was named is not."""
    assert load_config() == Settings()
    with pytest.raises(ConfigError, match=r"other\.toml is not there"):
        load_config("other.toml")


def test_every_documented_key_is_known() -> None:
    """cli.md's table is a contract."""
    documented = """
    webex.region webex.base_url webex.auth_url webex.org_id webex.channel_types webex.requests_per_minute
    webex.retention_days webex.media_hosts auth.credentials auth.tokens auth.redirect_uri s3.bucket s3.region
    s3.key s3.part_size_mib s3.endpoint_url s3.addressing_style s3.profile s3.expected_bucket_owner
    s3.storage_class s3.sse s3.kms_key_id s3.tags s3.object_lock_mode s3.object_lock_days backfill.days_back
    backfill.from backfill.to backfill.concurrency backfill.memory_mib backfill.settle_minutes
    backfill.owed_null_hours backfill.owed_days backfill.grace_seconds ledger.path
    """
    assert set(documented.split()) <= set(known_keys())


@pytest.mark.fault("L12")
@pytest.mark.parametrize(
    ("text", "named", "nearest"),
    [
        ("[backfill]\nconcurency = 3", "[backfill] concurency", "[backfill] concurrency"),
        ("[backfil]\nconcurrency = 3", "[backfil] concurrency", "[backfill] concurrency"),
        ("concurrency = 3", "concurrency", "[backfill] concurrency"),
        ("[s3]\nbuckets = 'x'", "[s3] buckets", "[s3] bucket"),
        ("[webex]\nclient_secret = 'x'", "[webex] client_secret", ""),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_named(text: str, named: str, nearest: str) -> None:
    """A typing error must not leave a default in force unseen."""
    message = refused(text)
    assert f"unknown key {named}" in message
    assert nearest in message
    assert "config.toml" in message


@pytest.mark.fault("L12")
def test_an_unknown_environment_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """WXREC_ with two underscores is ours; others belong to others."""
    monkeypatch.setenv("WXREC_HOME", "x")
    load_config()
    monkeypatch.setenv("WXREC_BACKFILL__CONCURENCY", "3")
    with pytest.raises(ConfigError, match=r"WXREC_BACKFILL__CONCURENCY.*did you mean \[backfill\] concurrency"):
        load_config()


def test_lists_and_dates_come_in_their_usual_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas in the environment, TOML's own dates in the file."""
    monkeypatch.setenv("WXREC_WEBEX__CHANNEL_TYPES", "telephony, email")
    monkeypatch.setenv("WXREC_BACKFILL__TO", "2026-02-01")
    settings = loaded("[backfill]\nfrom = 2026-01-31\n").settings
    assert settings.webex.channel_types == ("telephony", "email")
    assert (settings.backfill.from_, settings.backfill.to) == ("2026-01-31", "2026-02-01")
    assert loaded("[backfill]\nfrom = 2026-01-31T08:00:00+01:00").settings.backfill.from_ == "2026-01-31T08:00:00+01:00"


@pytest.mark.fault("X11", "X29")
@pytest.mark.parametrize("key", ["base_url", "auth_url"])
@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://127.evil.example.com/v1",
        "http://127.0.0.1.example.com",
        "ftp://h/x",
        "api.test",
        "https://",
        "https://user@h/v1",
        "https://:pass@h/v1",
        "https://h/v1?x=1",
        "https://h/#f",
        "https://h:99999/v1",
        "https://h:port/v1",
        "http://10.0.0.1/v1",
        "http://169.254.169.254",
        "http://localhost.example.com",
        "http://[::2]/",
    ],
)
def test_a_url_off_loopback_is_https_and_carries_nothing_else(key: str, url: str) -> None:
    """Plain http only to this machine; no user name, no query, a port that exists."""
    message = refused(f"[webex]\n{key} = '{url}'")
    assert f"[webex] {key}" in message
    assert "pass@" not in message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/v1/", "http://localhost:1", "http://[::1]:9/v1", "https://h.test/v1"]
)
def test_loopback_and_https_are_accepted(url: str) -> None:
    """A trailing slash goes; the rest stays as it was written."""
    assert loaded(f"[webex]\nbase_url = '{url}'").settings.webex.api_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("127.0.0.1.example.com", False),
        ("127.a.b.c", False),
        ("128.0.0.1", False),
        ("localhost.example.com", False),
        ("", False),
        ("0.0.0.1", False),
        ("::2", False),
    ],
)
@pytest.mark.fault("X11")
def test_what_is_this_machine(host: str, local: bool) -> None:
    """A name that only looks like a loopback address is somebody else's."""
    assert is_loopback(host) is local


@pytest.mark.fault("X17", "W32")
@pytest.mark.parametrize(
    "template",
    [
        "call/recording{ext}",
        "{task}/x{ext}",
        "/{task_id}{ext}",
        "a//{task_id}",
        "../{task_id}",
        "a/./{task_id}",
        "{task_id}/",
        "{task_id",
        "{task_id:.3}{ext}",
        "{task_id!r}{ext}",
        "{task_id}/{{ext}}",
        "{task_id.real}",
        "{task_id[0]}",
        "{}",
        "{task_id}/" + "x" * 1000,
        "_evidence/{task_id}",
        "a/_x/{task_id}",
        "a\\n/{task_id}",
    ],
)
def test_a_key_template_that_could_mix_up_recordings_is_refused(template: str) -> None:
    """Keys must differ by task, stay below their prefix and within 1,024 bytes, and keep off what is ours."""
    assert "[s3] key" in refused(f'[s3]\nkey = "{template}"')


def test_other_key_templates_are_accepted() -> None:
    """Date folders, another name, no extension."""
    for template in ("{year}/{month}/{day}/{task_id}{ext}", "calls/{task_id}", "x/{task_id}/{recording_id}{ext}"):
        assert loaded(f"[s3]\nkey = '{template}'").settings.s3.key == template


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[s3]\npart_size_mib = 64\n[backfill]\nmemory_mib = 32", "memory_mib must be at least"),
        ("[s3]\npart_size_mib = 4", "[s3] part_size_mib"),
        ("[backfill]\nconcurrency = 0", "[backfill] concurrency (from config.toml)"),
        ("[backfill]\ndays_back = inf", "[backfill] days_back"),
        ("[backfill]\nsettle_minutes = nan", "[backfill] settle_minutes"),
        ("[s3]\nobject_lock_mode = 'GOVERNANCE'", "go together"),
        ("[webex]\nregion = 'xx9'", "[webex] region"),
        ("[webex\n", "not valid TOML"),
        (f"a = {'[' * 5000}", "cannot be used as TOML"),
        (f"a = {'9' * 5000}", "cannot be used as TOML"),
        ("[webex]\nrequests_per_minute = 0", "[webex] requests_per_minute"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_one_line(text: str, words: str) -> None:
    """Key, where it was set, and what is wrong."""
    assert words in refused(text)


def test_a_rate_above_what_webex_allows_is_accepted_with_a_warning() -> None:
    """Limits can be negotiated, and simulators have none."""
    assert not loaded("[webex]\nrequests_per_minute = 300").warnings
    (warning,) = loaded("[webex]\nrequests_per_minute = 6000").warnings
    assert "requests_per_minute = 6000" in warning


@pytest.mark.fault("X15")
@pytest.mark.parametrize("scheme", ["http://", "", "//", "http:"])
def test_what_is_shown_of_the_configuration_holds_no_password(scheme: str) -> None:
    """A proxy's credentials are a secret, though they stand in the configuration, and without a scheme as well."""
    settings = loaded(f"[webex]\nproxy = '{scheme}user:hunter22@proxy.test:3128'").settings
    shown = str(secret_free(settings))
    assert "hunter22" not in shown
    assert "proxy.test:3128" in shown


@pytest.mark.fault("R01")
@given(st.integers(16, 8192), st.integers(1, 1024), st.integers(5, 5120))
def test_the_memory_is_divided_within_the_budget(memory_mib: int, workers: int, part_mib: int) -> None:
    """At least one part and one open body, open bodies take at most half, and the ceiling covers it all."""
    plan = plan_memory(memory_mib, workers, part_mib)
    total, buffers = memory_mib * MIB, plan.bodies * (2 * plan.read_buffer + plan.pipe)
    assert plan.pool >= part_mib * MIB
    assert 1 <= plan.bodies <= workers
    assert 32 << 10 <= plan.read_buffer <= 128 << 10
    assert plan.pipe >= plan.read_buffer
    assert buffers <= total // 2
    if total // 2 >= part_mib * MIB:
        assert plan.pool + buffers <= total
    assert plan.ceiling_mib * MIB >= plan.pool + buffers + 100 * MIB


def test_the_ceiling_of_the_default_is_the_promised_one() -> None:
    """120 MiB and a quarter more than the budget."""
    assert Settings().memory.ceiling_mib == round(256 * 1.25 + 120)
