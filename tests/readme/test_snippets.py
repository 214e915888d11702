"""Configuration files of the README: they parse, and say what the text around them promises."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import shlex
import stat
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.readme.test_names import FLAG, help_of
from tests.readme.text import Block, blocks, named
from wxrec_async.config import BackfillSettings, known_keys, load_config, plan_memory
from wxrec_async.plumbing.private_files import read_private

yaml: Any = importlib.import_module("yaml")  # comes with moto, without types
ALL = blocks()
LANGUAGES = {"", "bash", "crontab", "ini", "json", "python", "text", "toml", "yaml"}


def run_flags(words: list[str]) -> set[str]:
    """Return the flags of a command line that starts the program."""
    return {word for word in words[words.index("run") :] if FLAG.fullmatch(word)}


def seconds(text: str) -> int:
    return int(text[:-1]) * {"m": 60, "h": 3600}[text[-1]]


def test_no_block_is_in_a_language_nobody_looks_at() -> None:
    """A block of a new kind needs a test of its own."""
    assert {block.language for block in ALL} == LANGUAGES


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: block.name or f"line {block.line}")
def test_json_is_an_object(block: Block) -> None:
    """Every JSON block parses."""
    assert isinstance(json.loads(block.body), dict)


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: f"line {block.line}")
def test_a_piece_of_configuration_is_accepted(block: Block, tmp_path: Path) -> None:
    """Every TOML block is settings the program takes."""
    assert tomllib.loads(block.body)
    (tmp_path / "config.toml").write_text(block.body, encoding="utf-8")
    load_config(tmp_path / "config.toml")


@pytest.mark.parametrize("name", ["policy: write and verify", "policy: write only", "policy: secrets"])
def test_a_policy_allows_and_deletes_nothing(name: str) -> None:
    """Policies allow named actions only, none of which deletes."""
    policy = json.loads(named(name).body)
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert statement["Effect"] == "Allow"
        assert not [action for action in actions if "*" in action or "Delete" in action]


def test_the_bucket_policy_only_denies() -> None:
    """What lies on the bucket narrows what others allow, and speaks of the bucket of the other examples."""
    statements = json.loads(named("file: bucket-policy.json").body)["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Deny"}
    resources = [statement.get("Resource") or statement["NotResource"] for statement in statements]
    assert all("your-bucket-name" in json.dumps(each) for each in resources)


@pytest.mark.parametrize("key", ["a/recording.wav", "_evidence/o/certificates/00000001.json", "a/metadata.json",
                                 "a/metadata-2.json", "2026/01/x.metadata.json"])  # fmt: skip
@pytest.mark.parametrize("header", ["", "if-none-match", "if-match"])
def test_the_bucket_policy_lets_sidecars_be_replaced_and_nothing_else(key: str, header: str) -> None:
    """Judged as AWS does: a statement denies when its resource and all of its conditions fit."""

    def named_by(patterns: str | list[str]) -> bool:
        texts = [patterns] if isinstance(patterns, str) else patterns
        return any(fnmatch(f"arn:aws:s3:::your-bucket-name/call-detail/{key}", each) for each in texts)

    def denies(statement: dict[str, Any]) -> bool:
        nulls = statement["Condition"].get("Null", {})
        fits = named_by(statement["Resource"]) if "Resource" in statement else not named_by(statement["NotResource"])
        return fits and all((f"s3:{header}" != name) == (value == "true") for name, value in nulls.items())

    statements = json.loads(named("file: bucket-policy.json").body)["Statement"]
    replaced = header == "if-match" and "metadata" in key and not key.startswith("2026")
    allowed = header == "if-none-match" or replaced
    assert allowed is not any(map(denies, statements[1:]))


def test_the_lifecycle_rule_is_one_doctor_accepts() -> None:
    """`doctor` calls the README's own rule good."""
    from wxrec_async.rules.diagnosis_s3 import lifecycle  # noqa: PLC0415 - used here only

    rules = json.loads(named("file: lifecycle.json").body)["Rules"]
    assert lifecycle(rules, None, "call-detail/").words == "incomplete uploads are aborted after 7 days"


def test_the_systemd_units_give_a_run_time_to_end() -> None:
    """The service runs a command that exists, as nobody special, and is not killed within the grace period."""
    service, timer = configparser.ConfigParser(strict=False), configparser.ConfigParser()
    for parser, name in ((service, "wxrec.service"), (timer, "wxrec.timer")):
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
        parser.read_string(named(f"file: {name}").body)
    unit = service["Service"]
    assert run_flags(shlex.split(unit["ExecStart"])) <= set(FLAG.findall(help_of("run")))
    assert unit["User"] != "root"
    assert int(unit["TimeoutStopSec"]) > BackfillSettings().grace_seconds
    assert {"5", "6"} <= set(unit["SuccessExitStatus"].split())
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_followers_unit_is_restarted_unless_a_person_is_needed() -> None:
    """It runs `run --follow` as nobody special, comes back after trouble, and has time to drain."""
    parser = configparser.ConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read_string(named("file: wxrec-follow.service").body)
    unit = parser["Service"]
    flags = run_flags(shlex.split(unit["ExecStart"]))
    assert "--follow" in flags
    assert flags <= set(FLAG.findall(help_of("run")))
    assert unit["User"] != "root"
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == "4", "a start without a network is 2, and shall be tried again"
    assert unit["SuccessExitStatus"] == "143"
    assert int(unit["TimeoutStopSec"]) > BackfillSettings().grace_seconds


def test_the_crontab_line_ends_before_the_next_one_begins() -> None:
    """Five fields, a lock, flags that exist, and a limit below the interval of an hour."""
    (line,) = named("file: crontab").body.splitlines()
    minute, *others, command = line.split(maxsplit=5)
    assert minute.isdigit()
    assert others == ["*"] * 4
    words = shlex.split(command)
    assert run_flags(words) <= set(FLAG.findall(help_of("run")))
    assert seconds(words[words.index("--max-duration") + 1]) + 60 < 3600


@pytest.fixture
def pod() -> dict[str, Any]:
    """Return the pod of the Kubernetes manifest."""
    manifest = yaml.safe_load(named("file: cronjob.yaml").body)
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
    found: dict[str, Any] = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


def test_the_pod_is_locked_down_and_has_what_it_needs(pod: dict[str, Any]) -> None:
    """Not root, nothing writable but its volumes, memory above the ceiling, time for the grace period."""
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    for each in (container, *pod["initContainers"]):
        assert each["securityContext"]["readOnlyRootFilesystem"]
        assert not each["securityContext"]["allowPrivilegeEscalation"]
        assert {mount["name"] for mount in each["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    defaults = BackfillSettings()
    ceiling = plan_memory(defaults.memory_mib, defaults.concurrency, 8).ceiling_mib
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) > ceiling
    assert pod["terminationGracePeriodSeconds"] > defaults.grace_seconds
    assert run_flags([*container["command"], *container["args"]]) <= set(FLAG.findall(help_of("run")))
    named_here = [item["name"].removeprefix("WXREC_").replace("__", ".").lower() for item in container["env"]]
    assert set(named_here) <= set(known_keys())


def test_the_init_container_makes_secrets_acceptable(pod: dict[str, Any], tmp_path: Path) -> None:
    """Links as Kubernetes mounts them become private files, and renewed tokens outlive the next start."""
    mounted, secrets, state = (tmp_path / name for name in ("mounted", "secrets", "state"))
    (mounted / "..data").mkdir(parents=True)
    secrets.mkdir()
    state.mkdir()
    for name in ("secrets.json", "tokens.json"):
        (mounted / "..data" / name).write_text('{"mounted": true}', encoding="utf-8")
        (mounted / name).symlink_to(Path("..data") / name)
    (init,) = pod["initContainers"]
    script = init["args"][0]
    for folder in (mounted, secrets, state):
        script = script.replace(f"/{folder.name}/", f"{folder}/")
    for _ in range(2):
        subprocess.run([*init["command"], script], check=True, timeout=60)
        for path in (secrets / "secrets.json", state / "tokens.json"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert read_private(path)
        renewed = state / "tokens.json"
        renewed.write_text('{"renewed": true}', encoding="utf-8")
        os.chmod(renewed, 0o660)  # noqa: PTH101 - what fsGroup may do to it
    subprocess.run([*init["command"], script], check=True, timeout=60)
    assert read_private(state / "tokens.json") == b'{"renewed": true}'


def test_the_image_is_not_root(pod: dict[str, Any]) -> None:
    """The image the README names ends as the user the pod runs as."""
    image = Path(__file__).parents[2] / ".github" / "Containerfile"
    assert f"podman build -f .github/{image.name}" in "".join(block.body for block in blocks("bash"))
    user = next(line for line in reversed(image.read_text().splitlines()) if line.startswith("USER "))
    assert user == f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
