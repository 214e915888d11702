"""What a fleet stored is proven as what one machine stored is: sidecars beside it, and certificates for its days."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.e2e.world import World, finish, sandbox
from tests.temporal.kit import Server, fleet, settings
from wxrec_async import load_config

pytestmark = pytest.mark.temporal

SMALL = (".json", ".jsonl", ".sha256")


def test_a_fleets_days_have_sidecars_and_certificates_with_every_sum(tmp_path: Path, server: Server) -> None:
    """Each recording is named by a sidecar, and each line of a manifest has its SHA-256."""
    options = ("--tasks", "40", "--seconds", "0.5", "2", "--beside", "--seed", "5", "--days", "3")
    now = datetime.now(UTC)
    with sandbox(tmp_path, *options) as world, fleet(world, server) as crew:
        world.config.write_text(world.config.read_text().replace("[s3]", "[s3]\nsidecar = true"))
        settings(world, "sha256 = true", section="evidence")
        crew.workers(1)
        begin, end = (now - timedelta(days=6)).date(), now - timedelta(hours=1)
        ended = finish(crew.run("--from", begin.isoformat(), "--to", end.isoformat()), 720)
        assert ended.code in (0, 5), ended.err[-3000:] + crew.said()[-3000:]
        assert ended.summary["seen_and_left"]
        sidecars = [
            json.loads(text)
            for key, text in small_objects(world).items()
            if key.endswith(".json") and "_evidence" not in key
        ]
        named = {each["key"] for sidecar in sidecars for each in sidecar["recordings"]}
        assert named == {key for key in world.bucket() if not key.endswith(SMALL)} != set()
        certified(world, now.date())


def certified(world: World, today: date) -> None:
    period = ("--from", (today - timedelta(days=2)).isoformat(), "--to", (today - timedelta(days=1)).isoformat())
    proof = world.call("reconcile", "--json", "--config", str(world.config), *period)
    assert proof.code == 0, proof.out[-2000:] + proof.err[-2000:]
    manifests = [text for key, text in small_objects(world).items() if "manifest" in key and ".tasks." not in key]
    lines = [json.loads(line) for text in manifests for line in text.splitlines()]
    assert lines
    assert all(len(line["sha256"]) == 64 for line in lines)


def small_objects(world: World) -> dict[str, str]:
    """Every object of the bucket that is no recording, as text."""
    of_s3 = load_config(world.config).s3
    client = boto3.client(
        "s3",
        endpoint_url=of_s3.endpoint_url,
        region_name=of_s3.region,
        aws_access_key_id=world.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=world.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=of_s3.bucket)
    keys = [row["Key"] for page in pages for row in page.get("Contents", ()) if row["Key"].endswith(SMALL)]
    return {key: client.get_object(Bucket=of_s3.bucket, Key=key)["Body"].read().decode() for key in keys}
