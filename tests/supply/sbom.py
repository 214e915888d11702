"""Makes the list of what the program stands on, as CycloneDX 1.6: ``python -m tests.supply.sbom < COMPILED``.

``COMPILED`` is what `uv pip compile` prints for the program and the extras a
user may take, with its notes of who asks for what.  The list names versions
the tests ran with; a user gets what the bounds allow.  It has neither time nor
serial number, so that the same lock makes the same file.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from typing import Any

from packaging.utils import canonicalize_name

from tests.supply.locked import OURS, SBOM, direct, project

EXTRAS = ("otel", "temporal")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")
_VIA = re.compile(r"^\s+#\s+(?:via\s+)?([A-Za-z0-9._-]+)(?:\s+\(.*\))?$")


def sbom(compiled: str) -> dict[str, Any]:
    """Return the list; what only an extra brings is optional."""
    versions, askers = _read(compiled)
    needed = _reached({canonicalize_name(each.name) for each in direct()}, askers)
    bounds: dict[str, str] = {canonicalize_name(each.name): str(each.specifier) for each in direct(*EXTRAS)}
    root = {"bom-ref": OURS, "name": OURS, "version": project()["version"], "type": "application"}
    asked = {asker: sorted(name for name in versions if asker in askers[name]) for asker in versions}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root | {"purl": f"pkg:pypi/{OURS}@{root['version']}"}},
        "components": [
            _component(name, version, bounds.get(name), optional=name not in needed)
            for name, version in sorted(versions.items())
        ],
        "dependencies": [
            {"ref": OURS, "dependsOn": sorted(bounds)},
            *({"ref": name, "dependsOn": names} for name, names in sorted(asked.items()) if names),
        ],
    }


def _component(name: str, version: str, bound: str | None, *, optional: bool) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": version,
        "scope": "optional" if optional else "required",
        "purl": f"pkg:pypi/{name}@{version}",
    }
    if bound is not None:
        component["properties"] = [{"name": f"{OURS}:bound", "value": bound}]
    return component


def _read(compiled: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the version of each package, and who asks for it."""
    versions: dict[str, str] = {}
    askers: dict[str, set[str]] = defaultdict(set)
    name = ""
    for line in compiled.splitlines():
        if pin := _PIN.match(line):
            name = canonicalize_name(pin[1])
            versions[name] = pin[2]
        elif (via := _VIA.match(line)) and name:
            askers[name].add(canonicalize_name(via[1]))
    return versions, askers


def _reached(names: set[str], askers: dict[str, set[str]]) -> set[str]:
    more = {name for name, by in askers.items() if by & names}
    return names if more <= names else _reached(names | more, askers)


if __name__ == "__main__":
    SBOM.write_text(json.dumps(sbom(sys.stdin.read()), indent=1) + "\n", "utf-8")
