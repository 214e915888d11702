"""OpenStack Swift with its s3api on loopback: a real object store that nobody here wrote.

It checks signatures (SigV4) and checksums and knows the error codes of multipart
uploads.  Nothing is installed here: ``WXREC_SWIFT_BIN`` names the ``bin`` folder of
a virtualenv with ``swift``; memcached and liberasurecode come from the system
(``.ci/swift.sh`` sets all of it up).
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.ports import free_port

ACCESS_KEY, SECRET_KEY = "test:tester", "testtest"
SERVICES = ("account", "container", "object")
START_S = 40.0
PIPELINE = "catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo versioned_writes symlink"
FILTERS = {
    "tempauth": "user_test_tester = testtest .admin",
    "s3api": "s3_acl = no\ncheck_bucket_owner = no\nlocation = us-east-1\nallow_multipart_uploads = yes",
    "versioned_writes": "allow_object_versioning = true\nallow_versioned_writes = true",
}


@contextmanager
def swift(bin_dir: Path, home: Path) -> Iterator[str]:
    """Start Swift's daemons with everything below ``home``; yield the endpoint; end them by their ids."""
    ports = {name: free_port() for name in (*SERVICES, "proxy", "memcached")}
    _write_configuration(home, ports)
    _build_rings(bin_dir, home, ports)
    memcached = shutil.which("memcached") or "memcached"
    user = getpass.getuser()
    commands = [[memcached, "-u", user, "-l", "127.0.0.1", "-p", str(ports["memcached"]), "-m", "64"]]
    commands += [[f"{bin_dir}/swift-{name}-server", f"{home}/{name}-server.conf"] for name in (*SERVICES, "proxy")]
    with ExitStack() as running:
        for command in commands:
            running.enter_context(_daemon(command, home / f"{Path(command[0]).name}.log"))
        endpoint = f"http://127.0.0.1:{ports['proxy']}"
        _wait_for(f"{endpoint}/healthcheck")
        yield endpoint


@contextmanager
def _daemon(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(url: str) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback, our own server
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _write_configuration(home: Path, ports: dict[str, int]) -> None:
    (home / "node" / "d1").mkdir(parents=True)
    (home / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = s\nswift_hash_path_prefix = p\n"
        "[storage-policy:0]\nname = default\ndefault = yes\n"
    )
    for name in SERVICES:
        more = f"workers = 1\ndevices = {home}/node\nmount_check = false\n"
        app = f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        (home / f"{name}-server.conf").write_text(_head(home, ports[name]) + more + app)
    proxy = (
        f"workers = 1\n[pipeline:main]\npipeline = {PIPELINE} proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"
        f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{ports['memcached']}\n"
    )
    for name in PIPELINE.split():
        if name != "cache":
            proxy += f"[filter:{name}]\nuse = egg:swift#{name}\n{FILTERS.get(name, '')}\n"
    (home / "proxy-server.conf").write_text(_head(home, ports["proxy"]) + proxy)


def _head(home: Path, port: int) -> str:
    user = getpass.getuser()
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nuser = {user}\nswift_dir = {home}\nlog_level = WARNING\n"
    )


def _build_rings(bin_dir: Path, home: Path, ports: dict[str, int]) -> None:
    for name in SERVICES:
        ring = [f"{bin_dir}/swift-ring-builder", f"{home}/{name}.builder"]
        device = ["--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port", str(ports[name])]
        for step in (["create", "4", "1", "1"], ["add", *device, "--device", "d1", "--weight", "1"], ["rebalance"]):
            subprocess.run([*ring, *step], check=True, stdout=subprocess.DEVNULL, timeout=60)
