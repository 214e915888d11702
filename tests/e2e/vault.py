"""A Secrets Manager beside the sandbox, and what can be seen in it from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import get_session

SERVER = Path(__file__).with_name("secrets_server.py")
REGION = "us-east-1"


class Vault:
    """The server's address, its secrets, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sdk: Any = get_session().create_client(
            "secretsmanager",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="operator",
            aws_secret_access_key="operator",
            config=Config(proxies={}),
        )

    def create(self, name: str, value: dict[str, Any] | None) -> str:
        """Make a secret, without any value when it is None; return its name."""
        text = {} if value is None else {"SecretString": json.dumps(value)}
        self.sdk.create_secret(Name=name, **text)
        return name

    def read(self, name: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
        """Return what lies under a staging label."""
        found = self.sdk.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
        value: dict[str, Any] = json.loads(found)
        return value

    def versions(self, name: str) -> dict[str, list[str]]:
        """Return the staging labels of each version."""
        found: dict[str, list[str]] = self.sdk.describe_secret(SecretId=name)["VersionIdsToStages"]
        return found

    def seen(self, name: str, action: str, stage: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of one kind for one secret, in order of arrival."""
        with urllib.request.urlopen(f"{self.url}/_seen") as answer:  # noqa: S310 - loopback
            rows = [json.loads(line) for line in answer.read().decode().splitlines()]
        return [
            row for row in rows if (row["action"], row["secret"]) == (action, name) and stage in (None, row["stage"])
        ]

    def rule(self, *rules: dict[str, Any]) -> None:
        """Let calls go wrong; none given, none do any more."""
        request = urllib.request.Request(f"{self.url}/_rules", data=json.dumps(rules).encode())  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - loopback


@contextmanager
def secrets_manager() -> Iterator[Vault]:
    """Start the server in a process of its own and end it afterwards."""
    process = subprocess.Popen([sys.executable, str(SERVER)], text=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield Vault(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.communicate(timeout=60)
