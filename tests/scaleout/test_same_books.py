"""What a run of the fleet leaves behind is what a plain run leaves behind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.e2e.world import World, finish, sandbox
from tests.scaleout.kit import Server, fleet
from wxrec_async import load_config
from wxrec_async.ledger import opening

pytestmark = pytest.mark.temporal

Row = dict[str, Any]
OF_THE_RUN = {"n", "seal", "run", "handed_run", "task"}
MOMENTS = {
    "first_seen_ms", "first_empty_ms", "last_empty_ms", "next_ask_ms", "changed_ms", "listed_ms", "stored_ms",
    "closed_ms", "started_ms", "ended_ms",
}  # fmt: skip
OF_ONE_ANSWER = {"tracking_id", "etag", "version_id", "sidecar_sha256"}  # another one each time; only that there is one
# Who has no log of uploads has never begun one in the ledger; the recording's state is the same in the end.
ONLY_WITH_A_LOG = {("recordings", "started_ms")}
SETTLED = timedelta(hours=1)  # ago: nothing more comes into the lists, so both runs close the same windows
FILTERS = '[filters]\nexclude_queues = ["Sales"]\n'
PARTS = {"seconds", "run_id"}  # of a summary
TABLES = {
    "identity": ("one",),
    "runs": ("who",),
    "tasks": ("id",),
    "recordings": ("task_id", "id"),
    "left_alone": ("id", "kind"),
    "open_uploads": ("upload_id",),
    "run_tasks": ("run",),
    "certificates": ("day_ms", "number"),
}


def table(ledger: sqlite3.Connection, name: str, places: tuple[str, ...]) -> dict[tuple[Any, ...], Row]:
    """A table's rows by what names them; moments and what an answer brings only as whether they are there."""
    joined = "SELECT *, (SELECT tasks.id FROM tasks WHERE tasks.n = task) AS task_id FROM recordings"
    found = ledger.execute(joined if name == "recordings" else f"SELECT * FROM {name}")  # noqa: S608 - our own names
    columns = [column[0] for column in found.description]
    rows = [dict(zip(columns, row, strict=True)) for row in found]
    shown = [{column: _shown(name, column, value) for column, value in row.items()} for row in rows]
    return {tuple(row[place] for place in places): _without(row, OF_THE_RUN) for row in shown}


def _shown(name: str, column: str, value: Any) -> Any:
    if (name, column) in ONLY_WITH_A_LOG or (name, column) == ("runs", "id"):
        return None
    if column == "summary":
        return _without(json.loads(value), PARTS)
    if column in ("object_key", "key_template"):
        return value and value.removeprefix("fleet/")
    if column in OF_ONE_ANSWER or (column in MOMENTS and (name, column) != ("tasks", "ended_ms")):
        return value is not None
    return value


def _without(row: Row, names: set[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def differences(here: dict[Any, Row], there: dict[Any, Row]) -> list[tuple[Any, ...]]:
    """Name every value that is not the same in both: which row, which column, here, there."""
    rows = here.keys() | there.keys()
    columns = {column for row in [*here.values(), *there.values()] for column in row}
    pairs = ((row, column, here.get(row, {}), there.get(row, {})) for row in rows for column in columns)
    return [
        (row, column, a.get(column), b.get(column)) for row, column, a, b in pairs if a.get(column) != b.get(column)
    ]


def closed(ledger: sqlite3.Connection) -> list[tuple[int, int]]:
    return list(ledger.execute("SELECT from_ms, to_ms FROM closed_windows ORDER BY from_ms"))


def as_told(sidecar: str) -> Any:
    """What a sidecar says, but for what is another one for each object."""
    said = json.loads(sidecar)
    for each in said.get("recordings", ()):
        each["key"] = each["key"] and each["key"].removeprefix("fleet/")
        each["version_id"] = each["version_id"] is not None
    return said


@contextmanager
def ledgers(*paths: Path) -> Iterator[list[sqlite3.Connection]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(opening.open_for_reading(path))) for path in paths]


def configured(world: World, name: str, *, key: str, more: str = "") -> Path:
    """Another configuration of the same organisation, with its own ledger and keys."""
    text = world.config.read_text().replace("[s3]", f'[s3]\nsidecar = true\nkey = "{key}"')
    file = world.config.parent / f"{name}.toml"
    path = world.config.parent / f"{name}.db"
    lines = [line for line in text.splitlines() if not line.startswith(("path =", "[ledger]"))]
    file.write_text("\n".join([*lines, f'[ledger]\npath = "{path}"', more]) + "\n")
    return file


def test_the_ledger_is_that_of_a_plain_run_and_reconcile_certifies_it(tmp_path: Path, server: Server) -> None:
    """Table by table and column by column, but for moments, run and tracking ids; with sidecars and SHA-256."""
    options = ("--tasks", "60", "--seconds", "0.5", "3", "--beside", "--fresh", "20", "--seed", "5", "--days", "3")
    now = datetime.now(UTC)
    with sandbox(tmp_path, *options) as world:
        world.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        run_both(world, server, now)
        with ledgers(*(world.config.parent / f"{name}.db" for name in ("plain", "fleet"))) as (plain, carried):
            for name, places in TABLES.items():
                assert differences(table(plain, name, places), table(carried, name, places)) == [], name
            assert table(plain, "left_alone", TABLES["left_alone"])
            assert [row for row in table(plain, "recordings", TABLES["recordings"]).values() if row["sha256"]]
            assert {row["state"] for row in table(plain, "tasks", ("id",)).values()} >= {"captured", "owed"}
            told = {key: as_told(text) for key, text in small_objects(world, "", ".json").items()}
            sidecars = {key: text for key, text in told.items() if not key.startswith(("fleet/", "_"))}
            assert {key: told[f"fleet/{key}"] for key in sidecars} == sidecars
            assert sidecars
            here, there = closed(plain), closed(carried)
            assert [each[0] for each in there] == [each[0] for each in here]
            assert all(abs(each[1] - other[1]) < 300_000 for each, other in zip(here, there, strict=True))
        certified(world, now.date())


def run_both(world: World, server: Server, now: datetime) -> None:
    """Run plainly, then by a worker, over the same period, whose end is settled for both."""
    period = ("--from", (now - timedelta(days=6)).date().isoformat(), "--to", (now - SETTLED).isoformat())
    key = "{task_id}/recording{ext}"
    plain = configured(world, "plain", key=key, more=FILTERS)
    codec = '[temporal]\ncodec = "tests.scaleout.codec:make"\n'
    carried = configured(world, "fleet", key=f"fleet/{key}", more=codec + FILTERS)
    alone = world.call("run", "--config", str(plain), "--json", "--no-progress", *period)
    with fleet(world, server) as crew:
        crew.workers(1, configs=(carried,))
        ended = finish(crew.run(*period, config=carried), 120)
    assert alone.code == ended.code, ended.err[-3000:] + crew.said()[-3000:]


def certified(world: World, today: date) -> None:
    """Whole days of the fleet's ledger get their certificate, and every line of a manifest has its SHA-256."""
    period = ("--from", (today - timedelta(days=2)).isoformat(), "--to", (today - timedelta(days=1)).isoformat())
    proof = world.call("reconcile", "--json", "--config", str(world.config.parent / "fleet.toml"), *period)
    assert proof.code == 0, proof.out[-2000:] + proof.err[-2000:]
    written = small_objects(world, "fleet/_evidence/").items()
    manifests = [text for key, text in written if "manifest" in key and not key.endswith(".tasks.jsonl")]
    lines = [json.loads(line) for text in manifests for line in text.splitlines()]
    assert lines
    assert all(len(line["sha256"]) == 64 for line in lines)


def small_objects(world: World, prefix: str, ending: str = "") -> dict[str, str]:
    """Objects of the bucket as text, by key."""
    of_s3 = load_config(world.config).s3
    client = boto3.client(
        "s3",
        endpoint_url=of_s3.endpoint_url,
        region_name=of_s3.region,
        aws_access_key_id=world.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=world.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=of_s3.bucket, Prefix=prefix)
    keys = [row["Key"] for page in pages for row in page.get("Contents", ()) if row["Key"].endswith(ending)]
    return {key: client.get_object(Bucket=of_s3.bucket, Key=key)["Body"].read().decode() for key in keys}
