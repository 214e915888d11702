"""nginx as everything outside the contestants: its files, its certificates, its start and its end."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.ports import free_port

HERE = Path(__file__).parent / "nginx"
SIZES = {"100k": 100 << 10, "1m": 1 << 20, "5m": 5 << 20, "64m": 64 << 20}
PACKAGES = ("nginx-light", "libnginx-mod-http-lua")
MODULES = Path("/usr/lib/nginx/modules")
# Freed part buffers stay in nginx's heap: handing them back to the kernel after every part cost more than reading it.
KEEP_HEAP = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}


@dataclass(frozen=True, slots=True)
class Farm:
    """Where the servers are.  ``tls`` says which of the two fronts the contestants use."""

    home: Path
    plain_port: int
    tls_port: int
    tls: bool = True

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.tls_port}" if self.tls else f"http://localhost:{self.plain_port}"

    @property
    def ca(self) -> Path:
        return self.home / "ca.pem"

    def api(self, size: str, total: int, kind: str = "rec") -> str:
        """Return the API root of an organisation of ``total`` calls whose recordings are all of ``size``."""
        return f"{self.origin}/webex/{kind}/{size}/{total}/v1"

    @property
    def s3(self) -> str:
        return f"{self.origin}/s3"

    def counts(self) -> dict[str, int]:
        """Return the calls seen since the last `clear`, by name; ``stored`` counts objects."""
        text = self._ask("counts")
        return {name: int(count) for name, count in (line.split() for line in text.splitlines())}

    def clear(self) -> None:
        self._ask("counts/clear")

    def _ask(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.plain_port}/{path}") as answer:
            return str(answer.read().decode())


def require_nginx() -> None:
    """Install Debian's nginx with Lua if it is not there; SystemExit names the line to type where that is refused."""
    if shutil.which("nginx") and (MODULES / "ngx_http_lua_module.so").exists():
        return
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit(f"nginx with Lua is needed; as root: apt-get update && {' '.join(command)}") from None


@contextmanager
def open_farm(home: Path, only: Collection[str] = SIZES) -> Iterator[Farm]:
    """Start nginx in ``home`` (best in memory), with recordings of the sizes in ``only``; end it with the block."""
    require_nginx()
    farm = Farm(home, free_port(), free_port())
    _lay_out(farm, only)
    subprocess.run(
        ["nginx", "-c", str(home / "nginx.conf"), "-g", "user root;" if os.geteuid() == 0 else ""],
        check=True,
        env={**os.environ, **KEEP_HEAP},
    )
    pid = int((home / "nginx.pid").read_text())
    try:
        yield farm
    finally:
        os.kill(pid, signal.SIGTERM)
        _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def _lay_out(farm: Farm, only: Collection[str]) -> None:
    home = farm.home
    (home / "rec").mkdir(parents=True, exist_ok=True)
    values = {"HOME": home, "PLAIN": farm.plain_port, "TLS": farm.tls_port, "MODULES": MODULES}
    for name in ("nginx.conf", "locations.conf"):
        text = (HERE / f"{name}.in").read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        (home / name).write_text(text)
    for name in ("webex.lua", "sink.lua"):
        shutil.copy(HERE / name, home / name)
    for name in only:
        _make_recording(home / "rec" / f"{name}.wav", SIZES[name])
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(farm.ca))
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(str(home / "server.key"))
    (home / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _make_recording(path: Path, size: int) -> None:
    """Write a stereo mu-law WAV of ``size`` bytes whose header tells the truth, with bytes that do not compress."""
    if path.exists() and path.stat().st_size == size:
        return
    data = size - 44
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 7, 2, 8000, 16000, 2, 8, b"data", data
    )
    path.write_bytes(head + os.urandom(data))
