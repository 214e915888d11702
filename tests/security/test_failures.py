"""What goes wrong at the five connections, as the rest of the program sees it: our failures, and nothing foreign."""

from __future__ import annotations

import itertools

import pytest

from tests.auth.auth_kit import tree
from tests.canaries import found_in
from tests.outputs import pieces_of
from tests.security.test_tls import CONNECTIONS
from tests.webex.kit import Connection, Request, Script, cut, head, serving, whole
from wxrec_async.auth import refresher
from wxrec_async.errors import WxrecError
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import retry

pytestmark = pytest.mark.anyio

FOREIGN = {"httpx", "httpcore", "aiohttp", "botocore", "aiobotocore", "ssl", "json", "xml"}


def echoing(status: str) -> Script:
    """Answer with the request itself: its head with the token or the signature, and its body."""

    async def script(connection: Connection, request: Request) -> None:
        said = request.head + request.body
        await connection.send(head(status, length=len(said)) + said)

    return script


FAULTS: dict[str, Script] = {
    "reset": cut(b"x" * 50, 10, end="rst"),
    "cut": cut(b'{"data": [', 10),
    "html": whole(b"<html><body>Bearer CANARY-AT-9</body></html>", "Content-Type: text/html"),
    "refusal that echoes": echoing("400 Bad Request"),
    "outage that echoes": echoing("503 Service Unavailable"),
    "success that echoes": echoing("200 OK"),
}


# A recording may be any bytes at all, and one that is cut is gone on with.
NO_FAILURES = {("media", "success that echoes"), ("media", "cut")}
PAIRS = [pair for pair in itertools.product(CONNECTIONS, FAULTS) if pair not in NO_FAILURES]


@pytest.mark.fault("X04")
@pytest.mark.parametrize(("connection", "fault"), PAIRS)
async def test_a_failure_is_ours_with_nothing_foreign_behind_it(
    connection: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause, context, notes and attributes of every failure: no SDK's exception is left, and no secret."""
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "CANARY-SK-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(retry, "MAX_FRESH_TRIES", 1)
    monkeypatch.setattr(refresher, "MAX_TRIES", 1)
    connect, _ = CONNECTIONS[connection]
    async with serving(FAULTS[fault]) as server:
        with pytest.raises((WxrecError, OperationFailed)) as failed:
            await connect(server.url(""), None)
    failures = list(tree(failed.value))
    assert [type(each) for each in failures if type(each).__module__.split(".")[0] in FOREIGN] == []
    assert found_in("\n".join(pieces_of(failed.value))) == []
