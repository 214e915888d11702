"""The lock and the bounds of pyproject.toml, read."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).parents[2]
LOCK = HOME / ".ci" / "requirements.lock"
SBOM = HOME / "wxrec_async" / "sbom.cdx.json"
OURS = "wxrec-async"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?:\s*;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked version; ``hashes`` counts the files it may come in."""

    name: str
    version: str
    marker: str
    hashes: int


def project() -> dict[str, Any]:
    """Return the table ``[project]``."""
    table: dict[str, Any] = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def pins(text: str) -> list[Pin]:
    """Read a lock."""
    found = list(_PIN.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        Pin(canonicalize_name(match[1]), match[2], match[3] or "", text.count("--hash=sha256:", match.end(), end))
        for match, end in zip(found, ends, strict=True)
    ]


def direct(*extras: str) -> list[Requirement]:
    """Return what the project asks for itself, with these extras; an extra of our own is what it stands for."""
    table = project()
    listed = [*table["dependencies"], *(line for extra in extras for line in table["optional-dependencies"][extra])]
    found: list[Requirement] = []
    for requirement in map(Requirement, listed):
        if canonicalize_name(requirement.name) == OURS:
            found += direct(*sorted(requirement.extras))
        else:
            found.append(requirement)
    return found


def every_extra() -> list[Requirement]:
    """Return all direct dependencies there are, each once."""
    return list({str(each): each for each in direct(*project()["optional-dependencies"])}.values())
