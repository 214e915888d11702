"""A ready configuration for the client, and the files it names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wxrec_async.sandbox.server import Sandbox

UNLIMITED = 1_000_000
WEBEX_LIMIT = 300
CLIENT_DEFAULT = 250


def write(sandbox: Sandbox, folder: Path, ledger: Path | str | None, more: dict[str, Any]) -> Path:
    """Write the three files and return the path of config.toml."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    credentials, tokens = folder / "secrets.json", folder / "tokens.json"
    names = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret, "org_id": sandbox.org_id}
    _write_secret(credentials, names)
    expires_at = time.time() + sandbox.tokens["expires_in"]
    _write_secret(tokens, sandbox.tokens | {"expires_at": expires_at, "scope": ""})
    ledger = folder / "wxrec.db" if ledger is None else Path(ledger).resolve()
    sections: dict[str, dict[str, Any]] = {
        "webex": {
            "base_url": sandbox.api_url,
            "auth_url": sandbox.auth_url,
            "org_id": sandbox.org_id,
            "requests_per_minute": _rate(sandbox.options.requests_per_minute),
        },
        "auth": {"credentials": str(credentials), "tokens": str(tokens)},
        "s3": {"bucket": sandbox.bucket, "region": sandbox.region, "endpoint_url": sandbox.s3_url},
        "backfill": {"days_back": sandbox.organisation.days},
        "ledger": {"path": str(ledger)},
    }
    for name, values in more.items():
        sections[name] = sections.get(name, {}) | values
    path = folder / "config.toml"
    path.write_text("# A simulated organisation on this machine.\n" + _toml(sections), encoding="utf-8")
    return path


def _rate(per_minute: int) -> int:
    """Return what a client may ask for: a little less than the budget, the usual figure when it is Webex's own."""
    if not per_minute:
        return UNLIMITED
    return CLIENT_DEFAULT if per_minute == WEBEX_LIMIT else max(1, per_minute * 9 // 10)


def _toml(sections: dict[str, dict[str, Any]]) -> str:
    return "".join(
        f"\n[{name}]\n" + "".join(_line(*item) for item in values.items()) for name, values in sections.items()
    )


def _line(name: str, value: object) -> str:
    """Write one key; JSON and TOML agree on strings, numbers, booleans and flat lists of them."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items())
        return f"{name} = {{ {inner} }}\n"
    return f"{name} = {json.dumps(str(value) if isinstance(value, Path) else value)}\n"


def _write_secret(path: Path, content: dict[str, Any]) -> None:
    """Replace a file that only its owner may read, whole or not at all."""
    spare = path.with_name(f".{path.name}.{os.getpid()}")
    spare.unlink(missing_ok=True)
    handle = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    spare.replace(path)
