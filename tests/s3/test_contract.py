"""The contract of an object store: on moto, on the sandbox, and on OpenStack Swift over http and https."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from moto.server import ThreadedMotoServer

from tests.contracts.object_store import *  # noqa: F403 - the suite
from tests.contracts.object_store import Bench
from tests.s3 import swift_server
from tests.s3.benches import store_on
from tests.s3.tls_front import tls_in_front_of
from wxrec_async.config import S3Settings
from wxrec_async.s3.client import open_access
from wxrec_async.s3.uploads import S3Store
from wxrec_async.sandbox import Options, Sandbox


@dataclass(frozen=True)
class Server:
    """Where it is, how to get in, and what it can; ``bucket`` when it has just the one."""

    endpoint: str
    access_key: str = "test"
    secret_key: str = "test"
    ca_file: Path | None = None
    can: frozenset[str] = frozenset()
    bucket: str = ""


SWIFT_CAN = frozenset({"verifies", "authenticates", "knows NoSuchUpload"})


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Server(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
async def sandbox_server() -> AsyncIterator[Server]:
    async with Sandbox(Options(tasks=1)) as sandbox:
        yield Server(
            sandbox.s3_url,
            sandbox.access_key,
            sandbox.secret_key,
            can=frozenset({"verifies", "authenticates", "knows NoSuchUpload", "names checksums"}),
            bucket=sandbox.bucket,
        )


@pytest.fixture(scope="session")
def swift_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = os.environ.get("WXREC_SWIFT_BIN")
    if not folder:
        pytest.skip("WXREC_SWIFT_BIN does not name the bin folder of a virtualenv with swift (see .ci/swift.sh)")
    with swift_server.swift(Path(folder), tmp_path_factory.mktemp("swift")) as endpoint:
        yield Server(endpoint, swift_server.ACCESS_KEY, swift_server.SECRET_KEY, can=SWIFT_CAN)


@pytest.fixture(scope="session")
def swift_https(swift_http: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    with tls_in_front_of(urlsplit(swift_http.endpoint).port or 0, folder / "server.pem") as port:
        yield replace(swift_http, endpoint=f"https://localhost:{port}", ca_file=folder / "ca.pem")


@pytest.fixture(
    params=[
        "moto_server",
        "sandbox_server",
        pytest.param("swift_http", marks=pytest.mark.swift),
        pytest.param("swift_https", marks=pytest.mark.swift),
    ]
)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def bench(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Give each test a bucket of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    bucket = server.bucket or f"wxrec-{uuid.uuid4().hex[:12]}"
    settings = S3Settings(bucket=bucket, region="us-east-1", endpoint_url=server.endpoint)

    @asynccontextmanager
    async def stranger() -> AsyncIterator[S3Store]:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
        async with open_access(settings, connections=1, ca_bundle=server.ca_file) as access:
            yield store_on(access, settings, [])

    nowhere = settings.model_copy(update={"bucket": f"{bucket}-nowhere"})
    async with open_access(settings, connections=8, ca_bundle=server.ca_file) as access:
        if not server.bucket:
            await access.client.create_bucket(Bucket=bucket)
        yield Bench(
            store=store_on(access, settings, []),
            elsewhere=store_on(access, nowhere, []),
            stranger=stranger,
            client=access.client,
            bucket=bucket,
            can=server.can,
        )
