"""An auditor's own tools come to the same end: the README's script, the AWS command line and sha256sum."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from tests.evidence.kit import certify_all, evidence_in, lines, recordings_in, replace_bytes, said
from tests.readme.text import named
from tests.verify.site import Site

pytestmark = pytest.mark.anyio
# The one call that the script makes, of a copy of the bucket on disk.
STAND_IN = """#!/bin/sh
[ "$#: $1 $2 $3" = "5: s3 cp --only-show-errors" ] || exit 64
exec cp "$BUCKETS/${4#s3://}" "$5"
"""


class Auditor:
    """Somebody with read access to the bucket, in an empty folder."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site, self._folder = site, folder
        folder.mkdir()
        (folder / "audit.sh").write_text(named("file: audit.sh").body, encoding="utf-8")
        self._stands_in = shutil.which("aws") is None
        if self._stands_in:  # where the AWS command line is not installed
            (folder / "aws").write_text(STAND_IN, encoding="utf-8")
            (folder / "aws").chmod(0o755)

    async def audit(self, number: int) -> tuple[int, str]:
        """Run the README's script; return its exit code and what it printed."""
        site = self._site
        if self._stands_in:
            self._copy_the_bucket()
        environment = {
            **os.environ,
            **site.sandbox.environment(),
            "AWS_ENDPOINT_URL": site.sandbox.s3_url,
            "AWS_DEFAULT_REGION": site.sandbox.region,
            "BUCKETS": str(self._folder / "buckets"),
            "PATH": f"{os.environ['PATH']}:{self._folder}",
        }
        command = ["sh", "audit.sh", site.settings.s3.bucket, site.sandbox.org_id, str(number)]
        done = await anyio.run_process(command, cwd=self._folder, env=environment, check=False)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    def _copy_the_bucket(self) -> None:
        for key in self._site.objects:
            copy = self._folder / "buckets" / self._site.settings.s3.bucket / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(self._site.bytes_of(key))


async def test_a_certificate_can_be_checked_by_hand(site: Site, tmp_path: Path) -> None:
    """Manifest, predecessor and every recording say OK; one changed byte in any of them does not."""
    await certify_all(site)
    number = 2
    certificate = evidence_in(site, "certificates")[number - 1]
    manifest = said(site, certificate)["manifest"]["key"]
    auditor = Auditor(site, tmp_path / "audit")
    code, shown = await auditor.audit(number)
    assert (code, shown.count(": OK")) == (0, 3 + len(lines(site, manifest))), shown
    good = site.bytes_of(manifest)
    bad = bytearray(good)
    bad[len(bad) // 2] ^= 1
    replace_bytes(site, manifest, bytes(bad))
    code, shown = await auditor.audit(number)
    assert code != 0
    assert "manifest.jsonl: FAILED" in shown
    replace_bytes(site, manifest, good)
    tasks = said(site, certificate)["tasks"]["key"]
    good = site.bytes_of(tasks)
    replace_bytes(site, tasks, good.replace(b"silent-2", b"silent-3"))
    code, shown = await auditor.audit(number)
    assert code != 0
    assert "tasks.jsonl: FAILED" in shown
    replace_bytes(site, tasks, good)
    named_key = lines(site, manifest)[0]["key"]
    assert named_key in recordings_in(site)
    replace_bytes(site, named_key, bytes(site.objects[named_key].size))  # without a checksum the tool could check
    code, shown = await auditor.audit(number)
    assert code != 0
    assert "recording.bin: FAILED" in shown


CHECK = """
import hashlib, json, sys
from pathlib import Path

def canonical(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return (text + "\\n").encode()

def sha256(data):
    return hashlib.sha256(data).hexdigest()

bucket, before, of_day = Path(sys.argv[1]), None, {}
for file in sorted(bucket.glob("**/_evidence/*/certificates/*.json")):
    data = file.read_bytes()
    said = json.loads(data)
    assert canonical(said) == data, f"{file}: not canonical"
    assert said["previous"] == before, f"{file}: the chain is broken"
    before = {"key": str(file.relative_to(bucket)), "sha256": sha256(data)}
    assert said["follows"] == of_day.get(said["day"]), f"{file}: follows another"
    of_day[said["day"]] = before
    names = ["organisation", "bucket", "day", "period", "filters", "counts", "manifest"]
    names += ["witnesses", "disagreements", "flags", "tasks"] if said["schema"] > 1 else []
    content = {name: said[name] for name in names}
    for name in {"manifest", "tasks"} & content.keys():
        bytes_of = (bucket / said[name]["key"]).read_bytes()
        assert sha256(bytes_of) == said[name]["sha256"], f"{said[name]['key']}: changed"
        content[name] = {key: value for key, value in said[name].items() if key != "key"}
    assert sha256(canonical(content)) == said["content_sha256"], f"{file}: other content"
    print(said["day"], said.get("witnesses"))
"""


async def test_thirty_lines_check_every_byte_of_the_evidence(site: Site, tmp_path: Path) -> None:
    """A copy of the bucket and nothing of this program: the chain, both files, and what it all rests on."""
    await certify_all(site)
    for key in site.objects:
        if "/_evidence/" in key:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(site.bytes_of(key))
    lines_of_code = [line for line in CHECK.splitlines() if line]
    assert len(lines_of_code) <= 30
    command = [sys.executable, "-c", CHECK, str(tmp_path)]
    done = await anyio.run_process(command, check=False)
    shown = done.stdout.decode()
    assert (done.returncode, shown.count("'search': 'absent'")) == (0, len(evidence_in(site, "certificates")))
    for kind in ("tasks", "manifests", "certificates"):
        victim = tmp_path / evidence_in(site, kind)[0]
        good = victim.read_bytes()
        victim.write_bytes(good.replace(b"silent-1", b"silent-0") if kind == "tasks" else good.replace(b"0", b"1", 1))
        assert (await anyio.run_process(command, check=False)).returncode != 0, kind
        victim.write_bytes(good)
