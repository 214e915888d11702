"""Secrets Manager in a process of its own: moto, told apart from AWS in nothing that matters here.

Three things are added.  Calls are carried out one at a time, as AWS does for one secret.  A secret without a
value is told from one that is not there, in AWS's own words; moto says the same of both.  And what came in can be
asked for (``GET /_seen``, JSON lines without any secret) and tampered with (``POST /_rules``, a JSON list of
``{"action", "stage", "code", "times", "delay_s"}``: refuse so many such calls with that code, or answer late).

Prints its URL as JSON when it is ready, and ends on SIGTERM.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.secretsmanager.exceptions import SecretHasNoValueException
from moto.secretsmanager.models import SecretsManagerBackend
from werkzeug.serving import WSGIRequestHandler, make_server

Environ = dict[str, Any]
Start = Callable[..., Any]


@dataclass
class Front:
    """What stands before moto."""

    moto: Callable[[Environ, Start], Iterable[bytes]]
    seen: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        match environ["PATH_INFO"]:
            case "/_seen":
                return _reply(start, "200 OK", "".join(json.dumps(row) + "\n" for row in self.seen))
            case "/_rules":
                self.rules = json.loads(body)
                return _reply(start, "200 OK", "")
        return self._call(environ, start, body)

    def _call(self, environ: Environ, start: Start, body: bytes) -> Iterable[bytes]:
        action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        asked = json.loads(body or b"{}")
        stage = (asked.get("VersionStages") or [asked.get("VersionStage") or ""])[0]
        row = {"action": action, "secret": asked.get("SecretId"), "stage": stage, "wall": time.time(), "status": 0}
        self.seen.append(row)
        rule = self._rule(action, stage)
        if rule.get("code"):
            row["status"] = 400
            return _reply(start, "400 Bad Request", json.dumps({"__type": rule["code"], "message": "not today"}))
        environ["wsgi.input"] = io.BytesIO(body)
        with self.lock:
            said = list(self.moto(environ, _noting(start, row)))
        row["done"] = time.time()
        time.sleep(rule.get("delay_s", 0))
        return said

    def _rule(self, action: str, stage: str) -> dict[str, Any]:
        for rule in self.rules:
            if (rule["action"], rule.get("stage", stage)) == (action, stage) and rule.get("times", 1) > 0:
                rule["times"] = rule.get("times", 1) - 1
                return rule
        return {}


def _noting(start: Start, row: dict[str, Any]) -> Start:
    def note(status: str, *rest: Any) -> Any:
        row["status"] = int(status[:3])
        return start(status, *rest)

    return note


def _reply(start: Start, status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(text.encode())))])
    return [text.encode()]


def tell_no_value() -> None:
    """Let moto answer for a secret without the wanted version as AWS does."""
    plain = SecretsManagerBackend.get_secret_value

    def get(self: SecretsManagerBackend, secret_id: str, version_id: str, version_stage: str) -> dict[str, Any]:
        if version_stage and not version_id and self._is_valid_identifier(secret_id):
            stages = [
                stage for version in self.secrets[secret_id].versions.values() for stage in version["version_stages"]
            ]
            if version_stage not in stages:
                raise SecretHasNoValueException(version_stage)
        return plain(self, secret_id, version_id, version_stage)

    SecretsManagerBackend.get_secret_value = get  # type: ignore[method-assign]


class Silent(WSGIRequestHandler):
    """Says nothing of what it serves."""

    def log(self, *arguments: object) -> None:
        """Drop the line."""


def main() -> None:
    tell_no_value()
    front = Front(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Silent)
    sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}) + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
