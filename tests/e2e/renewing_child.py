"""A process that asks for the current token, kept in Secrets Manager, whenever a line with a time comes in."""

from __future__ import annotations

import hashlib
import os
import sys

import anyio
import httpx
from anyio import to_thread

from wxrec_async.auth.refresher import Refresher
from wxrec_async.auth.secrets_manager import SecretsManagerTokenStore
from wxrec_async.auth.token_store import AwsOptions
from wxrec_async.auth.token_values import Credentials
from wxrec_async.errors import AuthError
from wxrec_async.model import Secret


async def main(name: str, endpoint: str, url: str, client_secret: str, lease_s: float) -> None:
    at = [0.0]
    aws = AwsOptions("us-east-1", endpoint_url=endpoint)
    store = SecretsManagerTokenStore(name, aws, lease_s=lease_s, now=lambda: at[0])
    async with httpx.AsyncClient(trust_env=False) as client:
        refresher = Refresher(store, Credentials("client-1", Secret(client_secret)), client, url, now=lambda: at[0])
        while line := await to_thread.run_sync(sys.stdin.readline):
            at[0] = float(line)
            try:
                token = (await refresher.current()).access_token.reveal()
                said = hashlib.sha256(token.encode()).hexdigest()
            except AuthError as error:
                said = f"refused {error}"
            sys.stdout.write(said + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    name_, endpoint_, url_, lease_s_ = sys.argv[1:]
    secret_ = os.environ["CLIENT_SECRET"]
    anyio.run(main, name_, endpoint_, url_, secret_, float(lease_s_))
