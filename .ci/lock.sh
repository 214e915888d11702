#!/usr/bin/env bash
# Makes the lock that .ci/run installs, and the list of components that goes with the wheel, anew from pyproject.toml:
#   python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .ci/lock.sh
# The lock names versions and hashes and no place to get them from: that is the business of whoever installs.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
    pyproject.toml "$@"
}

compile --upgrade --extra dev --generate-hashes --no-annotate --output-file .ci/requirements.lock >/dev/null
compile --extra otel --extra temporal --constraints .ci/requirements.lock | .venv/bin/python -m tests.supply.sbom
