"""Credentials and tokens in Secrets Manager: the program as a user runs it, moto in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.vault import REGION, Vault, secrets_manager
from tests.e2e.world import World, finish, sandbox

LIFE_S = 2  # of an access token; it is renewed when half of that is over
EXPIRIES = 5


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with secrets_manager() as opened:
        yield opened


@dataclass
class Site:
    """A sandbox whose two secrets are in Secrets Manager and nowhere else."""

    world: World
    vault: Vault
    credentials: str
    tokens: str
    secret: dict[str, Any]
    first: dict[str, Any]

    def written(self) -> list[dict[str, Any]]:
        """Every successful write of tokens."""
        return [row for row in self.vault.seen(self.tokens, "PutSecretValue", "AWSCURRENT") if row["status"] == 200]


@contextmanager
def site(folder: Path, vault: Vault, *options: str, **tokens: object) -> Iterator[Site]:
    """Start a sandbox and move its secrets; ``tokens`` are put over those it wrote."""
    with sandbox(folder, *options) as world:
        home, names = world.config.parent, {}
        for kind in ("credentials", "tokens"):
            names[kind] = f"wx/{kind}/{uuid.uuid4()}"
        secret, first = (json.loads((home / f"{name}.json").read_text()) for name in ("secrets", "tokens"))
        first |= tokens
        vault.create(names["credentials"], secret)
        vault.create(names["tokens"], first)
        for name in ("secrets", "tokens"):
            (home / f"{name}.json").unlink()
        _point(world, names)
        world.environment |= {"AWS_ENDPOINT_URL_SECRETS_MANAGER": vault.url, "AWS_EC2_METADATA_DISABLED": "true"}
        yield Site(world, vault, names["credentials"], names["tokens"], secret, first)


def _point(world: World, names: dict[str, str]) -> None:
    """Let config.toml name the secrets."""
    text = world.config.read_text()
    for kind, name in names.items():
        text = re.sub(rf"^{kind} = .*$", f'{kind} = "aws-secretsmanager:{name}"', text, flags=re.MULTILINE)
    assert f'region = "{REGION}"' in text
    world.config.write_text(text)


def secret_texts(here: Site) -> list[str]:
    """Everything that must not be found anywhere."""
    tokens = [here.first, here.vault.read(here.tokens)]
    return [
        here.secret["client_secret"],
        *(value[key] for value in tokens for key in ("access_token", "refresh_token")),
    ]


def holding(folder: Path, texts: list[str]) -> list[str]:
    """The files that hold one of the texts."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".wav", ".mp3")]
    return [str(path) for path in files if any(text.encode() in path.read_bytes() for text in texts)]


@pytest.mark.fault("T15", "X02")
def test_a_whole_backfill_with_both_secrets_there_leaves_none_here(tmp_path: Path, vault: Vault) -> None:
    """Every recording arrives; no file, ledger or debug line holds a secret, also when the token is renewed."""
    with site(tmp_path, vault, "--tasks", "30", "--seconds", "0.5", "2", expires_at=time.time() + 60) as here:
        done = here.world.run("--json", "--log-level", "debug")
        assert done.code == 0, done.err
        assert here.world.bucket() == here.world.truth()
        assert here.vault.read(here.tokens)["access_token"] != here.first["access_token"]
        texts = secret_texts(here)
        assert here.world.ledger.exists()
        assert holding(tmp_path, texts) == []
        assert not [text for text in texts if text in done.out + done.err]
        assert "CANARY" not in done.out + done.err
        assert vault.seen(here.credentials, "PutSecretValue") == []


@pytest.mark.fault("T04", "T15")
def test_an_expired_token_is_renewed_once_and_stored_before_it_is_used(tmp_path: Path, vault: Vault) -> None:
    """The new version is AWSCURRENT, the old one AWSPREVIOUS, and the API saw neither before it was there."""
    with site(tmp_path, vault, "--tasks", "60", "--seconds", "0.2", "0.5", expires_at=time.time() - 1) as here:
        done = here.world.run("--concurrency", "64")
        assert done.code == 0, done.err
        (asked,) = here.world.requests("token")
        (written,) = here.written()
        calls = [row["wall"] for row in here.world.ask("log") if row["server"] == "api"]
        assert asked["wall"] < written["wall"] < written["done"] < min(calls)
        assert {row["status"] for row in here.world.requests("captures")} == {200}
        assert here.vault.read(here.tokens, "AWSPREVIOUS") == here.first
        assert here.vault.read(here.tokens)["refresh_token"] != here.first["refresh_token"]
        labels = sorted(label for labels in vault.versions(here.tokens).values() for label in labels)
        assert labels == ["AWSCURRENT", "AWSPREVIOUS", "wxrec-async-lease"]


@pytest.mark.fault("C12", "T09")
def test_two_processes_share_one_secret_with_one_refresh_per_expiry(tmp_path: Path, vault: Vault) -> None:
    """Half of the tasks each, own ledgers, a used refresh token dead at once: no request too many, nothing missing."""
    options = ("--tasks", "180", "--seconds", "2", "3", "--no-large", "--media-rate", "600000")
    rotation = ("--rotation", "old_revoked", "--token-expires-in", str(LIFE_S))
    with site(tmp_path, vault, *options, *rotation) as here:
        pause(here.world, "token", 0.6)  # so that the other one wants a token, too, before this one has it
        halves = [start_half(here, tmp_path, number) for number in range(2)]
        with ThreadPoolExecutor() as pool:  # a pipe that nobody reads would hold a process up, lease and all
            ended = list(pool.map(finish, halves))
        assert [half.code for half in ended] == [0, 0], [half.err[-3000:] for half in ended]
        assert here.world.bucket() == here.world.truth()
        asked = here.world.requests("token")
        assert len(asked) >= EXPIRIES
        assert {row["status"] for row in asked} == {200}
        gaps = [after["wall"] - before["wall"] for before, after in pairwise(asked)]
        assert min(gaps) > LIFE_S / 2 - 0.5
        assert len(here.written()) == len(asked)
        leases = [row for row in vault.seen(here.tokens, "PutSecretValue", "wxrec-async-lease") if row["status"] == 200]
        assert len(leases) == len(asked)


def pause(world: World, operation: str, seconds: float) -> None:
    """Let the sandbox think before it carries an operation out."""
    rule = {"operation": operation, "kind": "pause", "seconds": seconds, "attempts": None}
    body = json.dumps({"profile": "none", "rules": [rule]}).encode()
    request = urllib.request.Request(f"{world.told['control_url']}/faults", data=body)  # noqa: S310 - loopback
    urllib.request.urlopen(request).close()  # noqa: S310


def start_half(here: Site, folder: Path, number: int) -> subprocess.Popen[str]:
    """Start a run on every other task."""
    tasks = sorted({row["task_id"] for row in here.world.ask("truth")})[number::2]
    ids = folder / f"half-{number}.txt"
    ids.write_text("\n".join(tasks) + "\n")
    ledger = folder / f"half-{number}.db"
    return here.world.start("--task-ids-from", str(ids), "--ledger", str(ledger), "--concurrency", "1", "--json")


@pytest.mark.fault("T15")
def test_login_fills_a_secret_that_holds_nothing(tmp_path: Path, vault: Vault) -> None:
    """An empty object, or a secret that was just created and has no value at all; a run can begin at once."""
    with site(tmp_path, vault, "--tasks", "8", "--seconds", "0.2", "0.5") as here:
        empty, created = vault.create(f"wx/new/{uuid.uuid4()}", {}), vault.create(f"wx/new/{uuid.uuid4()}", None)
        _point(here.world, {"credentials": here.credentials, "tokens": empty})
        log_in(here.world)
        assert vault.read(empty)["refresh_token"]
        _point(here.world, {"credentials": here.credentials, "tokens": created})
        log_in(here.world)
        assert vault.read(created)["refresh_token"]
        done = here.world.run()
        assert done.code == 0, done.err
        assert here.world.bucket() == here.world.truth()


def log_in(world: World) -> None:
    """Do what `login --no-browser` asks for, and see that it shows no secret."""
    command = world.command("login", "--no-browser", "--json", "--config", str(world.config))
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=world.environment, cwd=world.folder, text=True, stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    shown = process.stdout.readline()
    out, err = process.communicate(sent_to(json.loads(shown)["url"]) + "\n", timeout=360)
    assert process.returncode == 0, err
    assert "CANARY" not in out + err


def sent_to(url: str) -> str:
    """Open a URL; return where the server sends the browser."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: Any) -> None:
            """Go nowhere."""

    try:
        urllib.request.build_opener(Stay, urllib.request.ProxyHandler({})).open(url)
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["Location"])
    raise AssertionError("no redirect")


@pytest.mark.fault("T15", "X16")
def test_a_missing_secret_and_plain_http_elsewhere_are_refused_before_anything_is_sent(
    tmp_path: Path, vault: Vault
) -> None:
    """Exit 2 and one line that names the secret, or the host and where it may come from."""
    with site(tmp_path, vault, "--tasks", "3", "--seconds", "0.2", "0.5") as here:
        here.world.environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = "http://secrets.test:4566"
        plain = here.world.run()
        assert plain.code == 2
        assert "not for secrets.test" in plain.err
        assert "AWS_ENDPOINT_URL_SECRETS_MANAGER" in plain.err
        here.world.environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = vault.url
        _point(here.world, {"credentials": "wx/absent", "tokens": here.tokens})
        absent = here.world.run()
        assert absent.code == 2
        assert "wx/absent does not exist" in absent.err
        assert here.world.ask("log") == []
