"""The sandbox as a whole: addresses, configuration, control port, a process of its own."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
import trustme

from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox import checksums as sums
from wxrec_async.sandbox.campaign import Campaign

from .kit import Webex, s3_client

pytestmark = pytest.mark.anyio


@pytest.mark.fault("X29")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", ""])  # noqa: S104 - what is refused
def test_it_answers_on_loopback_only(host: str) -> None:
    """Any other address is refused before a socket exists."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1 only"):
        Options(host=host)


def private_text(path: Path) -> str:
    """Return the content of a file that only its owner may read."""
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text()


async def test_the_configuration_is_complete_and_private(sandbox: Sandbox, tmp_path: Path) -> None:
    """The three files name the sandbox, secrets are readable by their owner only, and the token works."""
    config = tomllib.loads(sandbox.write_config(tmp_path, backfill={"concurrency": 4}).read_text())
    assert config["webex"]["base_url"] == sandbox.api_url
    assert config["s3"] == {"bucket": sandbox.bucket, "region": sandbox.region, "endpoint_url": sandbox.s3_url}
    assert config["backfill"] == {"days_back": 7, "concurrency": 4}
    tokens = [json.loads(private_text(Path(config["auth"][name]))) for name in ("credentials", "tokens")][1]
    assert set(tokens) >= {"access_token", "refresh_token", "expires_in", "expires_at", "token_type", "scope"}
    assert "CANARY" not in (tmp_path / "config.toml").read_text()


async def test_the_control_port_tells_the_truth_and_takes_faults(webex: Webex) -> None:
    """Truth, objects, uploads, log and faults can be had by a test in another process."""
    sandbox = webex.sandbox
    async with s3_client(sandbox) as client:
        await client.put_object(Bucket=sandbox.bucket, Key="a", Body=b"abc", Metadata={"m": "1"})
    rows = (await webex.http.get(f"{sandbox.control_url}/objects?sha256=1")).text.splitlines()
    assert json.loads(rows[0])["crc32"] == sums.crc32(b"abc")
    assert json.loads(rows[0])["metadata"] == {"m": "1"}
    truth = [json.loads(row) for row in (await webex.http.get(f"{sandbox.control_url}/truth")).text.splitlines()]
    assert [(row["key"], row["sha256"]) for row in truth] == [(item.key, item.sha256) for item in sandbox.truth()]
    rule = {"operation": "tasks", "kind": "error", "attempts": None, "status": 503}
    answer = await webex.http.post(f"{sandbox.control_url}/faults", json={"rules": [rule]})
    assert answer.status_code == 200
    assert (await webex.tasks()).status_code == 503
    assert (await webex.http.get(f"{sandbox.control_url}/faults")).json()["hits"] == {"tasks error": 1}
    assert (await webex.http.post(f"{sandbox.control_url}/faults", content=b"[]")).status_code == 400


async def test_differences_name_what_is_missing_and_what_is_wrong(sandbox: Sandbox, s3: object) -> None:
    """The checker is not satisfied with an empty bucket, other bytes or extra objects."""
    items = sandbox.truth()
    async with s3_client(sandbox) as client:
        for item, body in ((items[0], items[0].audio.slice()), (items[1], b"other")):
            await client.put_object(Bucket=sandbox.bucket, Key=item.key, Body=body, ContentType=item.content_type)
        await client.put_object(Bucket=sandbox.bucket, Key="extra", Body=b"")
    found = await sandbox.differences()
    assert f"other bytes {items[1].key}" in found
    assert "unexpected extra" in found
    assert len(found) == len(items) - 2 + 2


async def test_tls_when_a_context_is_handed_in() -> None:
    """Every port speaks TLS under the name localhost, and URLs say so."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    options = Options(tasks=5, ssl_context=server, name="localhost")
    async with Sandbox(options) as sandbox, httpx.AsyncClient(verify=client, trust_env=False) as http:
        webex, item = Webex(sandbox, http), sandbox.truth()[0]
        url = await webex.url(item.task_id)
        assert url.startswith("https://localhost:")
        assert len((await http.get(url)).content) == item.size


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """It says where it is in one line, serves, and ends on SIGTERM with exit 0."""
    command = [sys.executable, "-m", "wxrec_async.sandbox", "--tasks", "5", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert Path(ready["config"]).is_file()
        assert httpx.get(f"{ready['control_url']}/truth", trust_env=False).status_code == 200
        assert set(ready["environment"]) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


@pytest.mark.parametrize("algorithm", sorted(sums.CRC_WIDTHS))
def test_checksums_join_without_reading_again(algorithm: str) -> None:
    """The CRC of the whole follows from those of the pieces, empty ones included."""
    if not sums.available(algorithm):
        pytest.skip("needs awscrt")
    pieces = [b"one" * 1000, b"", b"two", b"three" * 77]

    def crc(data: bytes) -> bytes:
        digest = sums.new(algorithm)
        digest.update(data)
        return digest.digest()

    joined = sums.combine(algorithm, [(crc(piece), len(piece)) for piece in pieces])
    assert joined == crc(b"".join(pieces))


async def test_the_control_port_tells_tasks_and_what_a_campaign_did(webex: Webex) -> None:
    """Every contact with its recordings; what was drawn, and what is still to come."""
    sandbox = webex.sandbox
    plan = {"seed": 1, "menu": {}, "rates": {}, "fates": [{"operation": "organization", "key": "*", "kind": "html"}]}
    sandbox.faults.campaign = Campaign.read(plan)
    rows = [json.loads(line) for line in (await webex.http.get(f"{sandbox.control_url}/tasks")).text.splitlines()]
    assert [row["id"] for row in rows] == [task.id for task in sandbox.organisation.tasks]
    assert {name for row in rows for name in row["recordings"]} >= {item.recording_id for item in sandbox.truth()}
    told = (await webex.http.get(f"{sandbox.control_url}/faults")).json()
    assert (told["campaign"], told["never_hit"], told["replaced"]) == ({}, ["organization html"], [])


def test_an_organisation_without_calls_is_still_the_one_that_was_given() -> None:
    """It is empty, not absent: calls may be added to it later."""
    empty = Organisation(0, seed=3)
    assert Sandbox(Options(organisation=empty)).organisation is empty
