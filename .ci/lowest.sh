#!/usr/bin/env bash
# Are the lower bounds in pyproject.toml true?  The oldest versions that they allow, in an environment of their own, and
# the tests that meet each dependency: settings, HTTP, S3's client, SQLite, logs, metrics, the command line.
#   .ci/lowest.sh FOLDER      FOLDER is made, and may go afterwards; uv is the one in .venv
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1

.venv/bin/uv venv --quiet --python .venv/bin/python "$folder"
lowest() { .venv/bin/uv pip install --quiet --python "$folder/bin/python" --resolution lowest-direct "$@"; }
tests() { "$folder/bin/python" -m pytest --quiet -n auto -p no:cacheprovider "$@"; }

lowest --editable '.[test]'
tests tests/test_config.py tests/webex/test_transport_bodies.py tests/webex/test_wire.py tests/s3/test_replies.py \
  tests/cli/test_logs.py tests/cli/test_output.py

# The exporters, which only tests need, ask for a newer OpenTelemetry than we do: without them it is the oldest, too.
.venv/bin/uv pip uninstall --quiet --python "$folder/bin/python" opentelemetry-exporter-{prometheus,otlp-proto-http}
lowest --upgrade-package opentelemetry-api --upgrade-package opentelemetry-sdk --editable '.[otel]'
tests tests/telemetry --ignore tests/telemetry/test_export.py
