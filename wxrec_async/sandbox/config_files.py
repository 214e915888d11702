"""A ready configuration for the client, and the files it names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

UNLIMITED = 1_000_000
# Written down a second time: the sandbox imports nothing of the client, not even what both must know.
WEBEX_LIMIT = 300
CLIENT_DEFAULT = 250


def write(
    folder: Path,
    ledger: Path | str | None,
    *,
    credentials: dict[str, Any],
    tokens: dict[str, Any],
    sections: dict[str, dict[str, Any]],
    more: dict[str, Any],
) -> Path:
    """Write the three files and return the path of config.toml.

    ``credentials`` and ``tokens`` (a reply of the token endpoint) go into private files of their own, ``sections``
    and ``more``, which goes before, into config.toml.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Absolute paths from here on: the client may be started in any folder.
    secrets, kept = folder / "secrets.json", folder / "tokens.json"
    _write_secret(secrets, credentials)
    _write_secret(kept, tokens | {"expires_at": time.time() + tokens["expires_in"], "scope": ""})
    ledger = folder / "wxrec.db" if ledger is None else Path(ledger).resolve()
    written = sections | {
        "auth": {"credentials": str(secrets), "tokens": str(kept)},
        "ledger": {"path": str(ledger)},
    }
    for name, values in more.items():
        written[name] = written.get(name, {}) | values
    path = folder / "config.toml"
    path.write_text("# A simulated organisation on this machine.\n" + _toml(written), encoding="utf-8")
    return path


def client_rate(per_minute: int) -> int:
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
    # Left by a process of the same number that was killed.
    spare.unlink(missing_ok=True)
    # O_EXCL: what somebody else puts there meanwhile, a link for one, is not written through.
    handle = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    spare.replace(path)
