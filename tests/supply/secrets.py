"""Looks for secrets in every file the repository holds: ``python -m tests.supply.secrets [FOLDER]``.

What detect-secrets finds is held against ``known_secrets.txt``: the first digits of its
SHA-1, its file, and why it is no secret.  Its own baseline would name lines, which are
others tomorrow, and has no room for a reason.  Left out are files of nothing but hashes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

HOME = Path(__file__).parents[2]
KNOWN = Path(__file__).parent / "known_secrets.txt"
LEFT_OUT = {".ci/requirements.lock", "tests/supply/known_secrets.txt", "tests/mutation/result.json"}
DIGITS = 12
PLUGINS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "GitHubTokenDetector",
    "GitLabTokenDetector", "JwtTokenDetector", "KeywordDetector", "NpmDetector", "PrivateKeyDetector",
    "PypiTokenDetector", "SendGridDetector", "SlackDetector", "StripeDetector", "TwilioKeyDetector",
)  # fmt: skip
SETTINGS = {
    "plugins_used": [
        *({"name": name} for name in PLUGINS),
        {"name": "Base64HighEntropyString", "limit": 4.5},
        {"name": "HexHighEntropyString", "limit": 3.0},
    ],
    "filters_used": [
        {"path": f"detect_secrets.filters.{name}"}
        for name in (
            "heuristic.is_likely_id_string",
            "heuristic.is_sequential_string",
            "heuristic.is_templated_secret",
            "heuristic.is_indirect_reference",
            "heuristic.is_not_alphanumeric_string",
        )
    ],
}


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """Something that looks like a secret; itself it is never kept."""

    path: str
    line: int
    kind: str
    digest: str


def tracked(folder: Path) -> list[str]:
    """Return every file that git holds in a folder."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True)
    return sorted(name for name in done.stdout.decode().split("\0") if name and name not in LEFT_OUT)


def found_in(folder: Path, names: list[str]) -> list[Found]:
    """Scan files; two processes, since each line meets each pattern."""
    with ProcessPoolExecutor(2) as pool:
        return sorted(
            each for some in pool.map(_scan, [(folder, names[part::8]) for part in range(8)]) for each in some
        )


def _scan(work: tuple[Path, list[str]]) -> list[Found]:
    folder, names = work
    with transient_settings(SETTINGS):
        return [
            Found(name, secret.line_number, secret.type, secret.secret_hash[:DIGITS])
            for name in names
            for secret in scan_file(str(folder / name))
        ]


def known(text: str) -> dict[tuple[str, str], str]:
    """Read ``DIGEST PATH: WHY`` lines; without a reason it is a ValueError."""
    excused = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            digest, rest = line.split(" ", 1)
            path, why = rest.split(": ", 1)
            excused[path, digest] = why
    return excused


def differences(found: list[Found], excused: dict[tuple[str, str], str]) -> list[str]:
    """Return a line for everything that is not explained, and for every explanation of what is no longer there."""
    there = {(each.path, each.digest) for each in found}
    lines = [
        f"NEW   {each.path}:{each.line} {each.kind} ({each.digest})"
        for each in found
        if (each.path, each.digest) not in excused
    ]
    return lines + [
        f"GONE  {path} ({digest}): {why}" for (path, digest), why in excused.items() if (path, digest) not in there
    ]


def main() -> int:
    """Tell what is new; 1 when something is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=HOME)
    folder: Path = parser.parse_args().folder
    names = tracked(folder)
    found = found_in(folder, names)
    lines = differences(found, known(KNOWN.read_text("utf-8")) if folder == HOME else {})
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(each.kind for each in found).items()))
    sys.stdout.write(f"{len(names)} files, found: {kinds or 'nothing'}\n" + "".join(f"{line}\n" for line in lines))
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
