"""The contract of an object store, on moto and on OpenStack Swift (http and https)."""

from __future__ import annotations

import os
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from contracts.object_store import *  # noqa: F403 - the suite
from contracts.object_store import Bench
from moto.server import ThreadedMotoServer

from s3 import swift_server
from s3.benches import store_on, tls_in_front_of
from wxrec_async.config import S3Settings
from wxrec_async.s3.client import open_client

Server = tuple[str, str, str, Path | None, frozenset[str]]  # endpoint, access key, secret key, CA, abilities
SWIFT_CAN = frozenset({"verifies", "authenticates", "knows NoSuchUpload"})


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}", "test", "test", None, frozenset()
    server.stop()


@pytest.fixture(scope="session")
def swift_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = os.environ.get("WXREC_SWIFT_BIN")
    if not folder:
        pytest.skip("WXREC_SWIFT_BIN does not name the bin folder of a virtualenv with swift (see .ci/swift.sh)")
    with swift_server.swift(Path(folder), tmp_path_factory.mktemp("swift")) as endpoint:
        yield endpoint, swift_server.ACCESS_KEY, swift_server.SECRET_KEY, None, SWIFT_CAN


@pytest.fixture(scope="session")
def swift_https(swift_http: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    with tls_in_front_of(urlsplit(swift_http[0]).port or 0, context) as port:
        yield f"https://localhost:{port}", swift_server.ACCESS_KEY, swift_server.SECRET_KEY, ca_file, SWIFT_CAN


@pytest.fixture(
    params=[
        "moto_server",
        pytest.param("swift_http", marks=pytest.mark.swift),
        pytest.param("swift_https", marks=pytest.mark.swift),
    ]
)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def bench(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Give each test a bucket of its own."""
    endpoint, access_key, secret_key, ca_file, can = server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    bucket = f"wxrec-{uuid.uuid4().hex[:12]}"
    settings = S3Settings(bucket=bucket, region="us-east-1", endpoint_url=endpoint)
    nowhere = settings.model_copy(update={"bucket": f"{bucket}-nowhere"})
    async with open_client(settings, connections=8, ca_bundle=ca_file) as client:
        await client.create_bucket(Bucket=bucket)
        yield Bench(store_on(client, settings, []), store_on(client, nowhere, []), client, bucket, can)
