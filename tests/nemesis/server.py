"""The sandbox of a nemesis run, in a process of its own: ``python -m tests.nemesis.server FOLDER``.

``FOLDER/plan.json`` says what organisation, which faults, and what lies in the
bucket beforehand.  It prints one JSON line when it is ready.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from tests.nemesis.plan import organisation
from wxrec_async.sandbox import Options, Sandbox, TruthRecording
from wxrec_async.sandbox.campaign import Campaign
from wxrec_async.sandbox.s3.state import StoredBody

HOST = "127.0.0.1"
OTHER = b"these bytes were here before"


def certificates(folder: Path) -> dict[str, ssl.SSLContext]:
    """Make an authority the client trusts (``ca.pem``), and three certificates it must not."""
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    past = datetime.now(UTC) - timedelta(days=2)
    found = {
        "unknown": stranger.issue_cert(HOST),
        "expired": ca.issue_cert(HOST, not_before=past - timedelta(days=30), not_after=past),
        "wrong_name": ca.issue_cert("other.example.com"),
    }
    contexts = {}
    for name, certificate in found.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(contexts[name])
    return contexts


async def put(sandbox: Sandbox, item: TruthRecording, content: bytes) -> None:
    """Let an object lie in the bucket before anybody began."""
    blob = sandbox.store.storage.new()
    await blob.write(content)
    await blob.close()
    headers = {"content-type": item.content_type, "x-amz-server-side-encryption": "AES256"}
    await sandbox.store.commit(
        StoredBody(item.key, blob, len(content), "planted", headers, {}), [blob], only_new=True, seen=False
    )


async def prepare(sandbox: Sandbox, given: dict[str, Any]) -> None:
    truth = {item.key: item for item in sandbox.truth()}
    for key in given["there"]:
        await put(sandbox, truth[key], truth[key].audio.slice())
    for key in given["taken"]:
        await put(sandbox, truth[key], OTHER)
    for task_id in given["purged"]:
        sandbox.organisation.purge(task_id)


async def serve(folder: Path) -> None:
    given = json.loads((folder / "plan.json").read_text())
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    options = Options(
        organisation=organisation(given["seed"], given["tasks"], given["large_every"]),
        campaign=Campaign.read(given["campaign"]),
        untrusted=certificates(folder),
        requests_per_minute=0,
    )
    async with Sandbox(options) as sandbox:
        await prepare(sandbox, given)
        config = sandbox.write_config(folder, webex={"page_size": 100}, s3={"part_size_mib": 5})
        ready = sandbox.addresses() | {"config": str(config), "environment": sandbox.environment()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
