"""One trial: an organisation and a bucket on loopback, a folder with settings, and the program in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from anyio.from_thread import start_blocking_portal

from tests import warm
from tests.canaries import ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN
from tests.trials.bucket import NAME, Bucket
from tests.trials.organisation import HOUR_MS, Json, Organisation
from tests.trials.webex import Webex

PATIENCE_S = 600.0  # for what has no bound of its own, on a machine six times slower
AT_ONCE = 6
Sections = Mapping[str, Mapping[str, object]]
PLAIN: Sections = {
    "webex": {"requests_per_minute": 1_000_000},
    "s3": {"bucket": NAME, "region": "us-east-1"},
    "backfill": {"concurrency": 8},
}
QUICK: Sections = {"backfill": {"ask_again_minutes": 0.001}}  # what is owed or failed is due again at once


@dataclass(frozen=True, repr=False)
class Told:
    """A command that has ended: exit code, standard output, standard error, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self) -> list[Json]:
        """The lines of ``--json``."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def summary(self) -> Json:
        """The last line of ``--json``."""
        return self.lines[-1] if self.lines else {}

    def events(self, name: str) -> list[Json]:
        return [line for line in self.lines if line["event"] == name]

    def named(self, name: str) -> set[str]:
        """The tasks that lines of this event name."""
        return {line["task_id"] for line in self.events(name)}

    def __repr__(self) -> str:
        """Leave out what went well."""
        lines = [line for line in self.out.splitlines() if not line.startswith(('{"event": "stored', '{"event": "day'))]
        lines += [line for line in self.err.splitlines() if "[info" not in line and "requests_per_minute" not in line]
        return f"exit {self.code} after {self.seconds:.1f} s\n" + "\n".join(line[:1500] for line in lines[-30:])


class Trial:
    """What a test works with; `open_trial` makes one."""

    def __init__(self, folder: Path, organisation: Organisation, webex: Webex, bucket: Bucket) -> None:
        self.folder, self.organisation, self.webex, self.bucket = folder, organisation, webex, bucket
        self.span = ("--from", _iso(organisation.now_ms - 70 * HOUR_MS), "--to", _iso(organisation.now_ms - 60_000))
        self.told: list[Told] = []

    def run(self, *arguments: str) -> Told:
        """Run the backfill of the period."""
        return self.call("run", *self.span, "--json", *arguments)

    def retry(self) -> Told:
        return self.call("retry", "--json")

    def reconcile(self) -> Told:
        return self.call("reconcile", *self.span, "--json")

    def verify(self) -> Told:
        return self.call("verify", "--level", "full", "--json")

    def call(self, *arguments: str, within_s: float = PATIENCE_S) -> Told:
        """Run any command of the program to its end; fail when that does not come."""
        return self._program([sys.executable, "-W", "error", "-m", "tests.trials.hurried", *arguments], within_s)

    def _program(self, words: list[str], within_s: float) -> Told:
        self.organisation.step += 1
        begun = time.monotonic()
        process = warm.start(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"not ended after {within_s} s\n{out[-3000:]}\n{err[-3000:]}") from None
        told = Told(process.returncode, out, err, time.monotonic() - begun)
        self.told.append(told)
        return told

    @property
    def environment(self) -> dict[str, str]:
        """What the program is started with."""
        return _environment(self.folder)

    def wait_until(self, moment_ms: float) -> None:
        """Let the time come that a setting speaks of."""
        time.sleep(max(0.0, moment_ms / 1000 - time.time()))

    @property
    def everything_said(self) -> str:
        """All that any command said, and all that lies in the ledger."""
        ledger = b"".join(path.read_bytes() for path in sorted(self.folder.glob("wxrec.db*")))
        return "".join(told.out + told.err for told in self.told) + ledger.decode("latin-1")


@contextmanager
def open_trial(
    folder: Path, sections: Sections | None = None, *, organisation: Organisation | None = None
) -> Iterator[Trial]:
    """Serve an organisation and a bucket, in a thread of their own, and write the folder that the program works in."""
    organisation = organisation or Organisation()
    webex, bucket = Webex(organisation), Bucket()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(webex.app())) as webex.port,
        portal.wrap_async_context_manager(_serving(bucket.app())) as s3_port,
    ):
        _write_folder(folder, webex, s3_port, sections or {})
        yield Trial(folder, organisation, webex, bucket)


@asynccontextmanager
async def _serving(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


def _write_folder(folder: Path, webex: Webex, s3_port: int, sections: Sections) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    org_id, base = webex.organisation.org_id, f"http://127.0.0.1:{webex.port}/v1"
    _write_secret(folder / "secrets.json", {"client_id": "c", "client_secret": CLIENT_SECRET, "org_id": org_id})
    tokens = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "expires_in": 1_209_599}
    _write_secret(folder / "tokens.json", tokens | {"expires_at": time.time() + 1_209_599, "token_type": "Bearer"})
    known: Sections = {
        "webex": {"base_url": base, "auth_url": base, "org_id": org_id},
        "s3": {"endpoint_url": f"http://127.0.0.1:{s3_port}"},
    }
    (folder / "config.toml").write_text(_toml(_merged(PLAIN, known, sections)), encoding="utf-8")


def _merged(*layers: Sections) -> dict[str, dict[str, object]]:
    merged: dict[str, dict[str, object]] = {}
    for layer in layers:
        for name, values in layer.items():
            merged.setdefault(name, {}).update(values)
    return merged


def _toml(sections: Sections) -> str:
    """Write settings; JSON and TOML agree on text, numbers, truth and flat lists."""
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _write_secret(path: Path, content: Mapping[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content), encoding="utf-8")


# Not inherited: settings and keys of whoever runs the tests, and what would compile the program anew at each start.
KEPT_OUT = ("AWS_", "WXREC_", "PYTHONDONTWRITEBYTECODE")


def _environment(folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_OUT)}
    keys = {"AWS_ACCESS_KEY_ID": "AKIATRIALS", "AWS_SECRET_ACCESS_KEY": "CANARY-SK-trials"}
    package = str(Path(__file__).parents[2])
    return inherited | keys | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder), "PYTHONPATH": package}


def _iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")


def side_by_side(folder: Path, cases: Mapping[str, Callable[[Trial], None]], sections: Sections = QUICK) -> None:
    """Let several trials go on at once, each in a world of its own: what they wait for is no work.

    Fails once, with the words of every one that failed.
    """

    def carried_out(name: str) -> str:
        with open_trial(folder / re.sub(r"\W+", "-", name), sections) as trial:
            try:
                cases[name](trial)
            except AssertionError as wrong:
                return f"{name}: {wrong}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = [words for words in pool.map(carried_out, cases) if words]
    assert not failed, "\n\n".join(failed)
