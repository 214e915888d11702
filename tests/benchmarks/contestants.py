"""Who races, and with which command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.farm import Farm

HERE = Path(__file__).parent
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
REMOTE = {
    "RCLONE_CONFIG_TO_TYPE": "s3",
    "RCLONE_CONFIG_TO_PROVIDER": "Other",
    "RCLONE_CONFIG_TO_ACCESS_KEY_ID": "bench",
    "RCLONE_CONFIG_TO_SECRET_ACCESS_KEY": "bench",
    "RCLONE_CONFIG_TO_FORCE_PATH_STYLE": "true",
}


@dataclass(frozen=True, slots=True)
class Heat:
    """One piece of work: ``count`` recordings of ``size`` by ``workers`` at once, ``kind`` of source (rec or wan)."""

    farm: Farm
    size: str
    count: int
    workers: int
    kind: str = "rec"
    rate: int = 1_000_000  # requests a minute; the race is about bytes, so the budget does not hold anybody up

    def ids(self) -> list[str]:
        return [f"{n:08x}-b000-4000-8000-{n:012x}" for n in range(self.count)]

    def url(self, task_id: str) -> str:
        return f"{self.farm.origin}/{self.kind}/{self.size}/{task_id}.wav"


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant's command line for one heat."""

    command: list[str]
    env: dict[str, str]


Prepare = Callable[[Heat, Path, str], Entry]


class Peers:
    """An environment with the peers in it, made once from ``peers/requirements.txt``."""

    def __init__(self, home: Path) -> None:
        self._bin = home / "bin"
        self._wanted = HERE / "peers" / "requirements.txt"
        self._stamp = home / "requirements.txt"

    def install(self) -> None:
        """Install the peers, no dependencies of the package; SystemExit with pip's words if it cannot."""
        if self._stamp.exists() and self._stamp.read_text() == self._wanted.read_text():
            return
        print(f"installing the peers into {self._bin.parent}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(self._bin.parent)], check=True)
        command = [self.path("python"), "-m", "pip", "install", "--quiet", "-r", str(self._wanted)]
        # pip warns of much that harms nobody; what it says matters when it fails.
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the peers could not be installed: {' '.join(command)}\n{done.stdout}{done.stderr}")
        self._stamp.write_text(self._wanted.read_text())

    def path(self, program: str) -> str:
        return str(self._bin / program)

    def table(self) -> dict[str, Prepare]:
        """Every contestant by name, ours first."""
        return {
            "wxrec_async": ours,
            "wxrec_async, 128 workers": ours_with_128,
            "rclone copy": self.rclone_copy,
            "rclone copyurl": self.rclone_copyurl,
            "obstore": self.obstore,
            "boto3, 32 threads": self.boto3_threads,
            "s5cmd pipe": self.s5cmd_pipe,
            "pseudo code": self.pseudo_code,
        }

    def rclone_copy(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        listing = folder / "files.txt"
        listing.write_text("".join(f"{task_id}.wav\n" for task_id in heat.ids()))
        source = f":http,url='{heat.farm.origin}/{heat.kind}/{heat.size}/':"
        target = f"to:{bucket}/call-detail"
        many = ["--transfers", str(heat.workers), "--checkers", str(heat.workers)]
        command = [
            self.path("rclone"),
            "copy",
            "--files-from-raw",
            str(listing),
            "--no-traverse",
            source,
            target,
            *many,
        ]
        return Entry([*command, *self._rclone_ca(heat)], self._rclone_env(heat, folder))

    def rclone_copyurl(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        listing = folder / "urls.csv"
        listing.write_text("".join(f"{heat.url(task)},{task}/recording.wav\n" for task in heat.ids()))
        command = [self.path("rclone"), "copyurl", "--urls", str(listing), f"to:{bucket}/call-detail"]
        many = ["--transfers", str(heat.workers)]
        return Entry([*command, *many, *self._rclone_ca(heat)], self._rclone_env(heat, folder))

    def _rclone_ca(self, heat: Heat) -> list[str]:
        return ["--ca-cert", str(heat.farm.ca)] if heat.farm.tls else []

    def _rclone_env(self, heat: Heat, folder: Path) -> dict[str, str]:
        own = {"RCLONE_CONFIG": str(folder / "rclone.conf"), "RCLONE_CONFIG_TO_ENDPOINT": heat.farm.s3}
        return {**_plain(), **REMOTE, **own}

    def obstore(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        return self._script("obstore_both.py", heat, folder, bucket, str(heat.workers))

    def boto3_threads(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        return self._script("boto3_threads.py", heat, folder, bucket, str(heat.workers))

    def _script(self, name: str, heat: Heat, folder: Path, bucket: str, *more: str) -> Entry:
        orders = folder / "orders.txt"
        orders.write_text("".join(f"{heat.url(task)} call-detail/{task}/recording.wav\n" for task in heat.ids()))
        command = [self.path("python"), str(HERE / "peers" / name), str(orders), heat.farm.s3, bucket, *more]
        return Entry([*command, _ca(heat)], {**_plain(), **KEYS})

    def s5cmd_pipe(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        listing = folder / "ids.txt"
        listing.write_text("\n".join(heat.ids()))
        trust = ["--cacert", str(heat.farm.ca)] if heat.farm.tls else []
        curl = " ".join(["curl", "--fail", "--silent", *trust, heat.url("{}")])
        pipe = f"{self.path('s5cmd')} --endpoint-url {heat.farm.s3} pipe s3://{bucket}/call-detail/{{}}/recording.wav"
        shell = f"set -o pipefail; {curl} | {pipe} >/dev/null"
        command = ["xargs", "-a", str(listing), "-P", str(heat.workers), "-I", "{}", "bash", "-c", shell]
        bundle = {"AWS_CA_BUNDLE": str(heat.farm.ca)} if heat.farm.tls else {}
        return Entry(command, {**_plain(), **KEYS, **bundle})

    def pseudo_code(self, heat: Heat, folder: Path, bucket: str) -> Entry:
        listing = folder / "ids.txt"
        listing.write_text("\n".join(heat.ids()))
        api = heat.farm.api(heat.size, heat.count, heat.kind)
        script = str(HERE / "peers" / "pseudo_code.py")
        command = [self.path("python"), script, api, heat.farm.s3, bucket, str(listing), _ca(heat)]
        return Entry(command, {**_plain(), **KEYS})


def _plain() -> dict[str, str]:
    """The environment without what slows Python down for somebody's convenience: it is compiled once, as installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _ca(heat: Heat) -> str:
    return str(heat.farm.ca) if heat.farm.tls else ""


def ours(heat: Heat, folder: Path, bucket: str) -> Entry:
    """The whole job, as a user runs it: listing, captures, ledger, checksums, WAV check, logging, redaction."""
    ours_configured(heat, folder, bucket)
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    period = ["--from", day.isoformat(), "--to", (day + timedelta(days=1)).isoformat()]
    command = [sys.executable, "-m", "wxrec_async", "run", *period, "--concurrency", str(heat.workers), "--no-progress"]
    return Entry(command, {**_plain(), **KEYS})


def ours_with_128(heat: Heat, folder: Path, bucket: str) -> Entry:
    """The same with 128 workers, whatever the heat says."""
    return ours(replace(heat, workers=128), folder, bucket)


def ours_configured(heat: Heat, folder: Path, bucket: str) -> None:
    """Write ``config.toml`` and its secrets for one heat."""
    secrets = {"client_id": "bench", "client_secret": "bench", "org_id": "bench"}
    tokens = {"access_token": "bench", "refresh_token": "bench", "expires_in": 86400, "token_type": "Bearer"}
    _private(folder / "secrets.json", json.dumps(secrets))
    _private(folder / "tokens.json", json.dumps(tokens | {"expires_at": time.time() + 86400}))
    trust = f'ca_bundle = "{heat.farm.ca}"\n' if heat.farm.tls else ""
    api = heat.farm.api(heat.size, heat.count, heat.kind)
    (folder / "config.toml").write_text(
        f'{trust}[webex]\nbase_url = "{api}"\nauth_url = "{api}"\nrequests_per_minute = {heat.rate}\n'
        f'[s3]\nbucket = "{bucket}"\nregion = "us-east-1"\nendpoint_url = "{heat.farm.s3}"\n'
    )


def _private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)
