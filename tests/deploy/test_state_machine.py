"""The recipe for teams without Temporal: the state machine, run by an interpreter of Amazon's language."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cfnlint.api import lint
from moto import mock_aws
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
    StateTaskServiceEcs,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

FILE = Path(__file__).parents[2] / ".github" / "deploy" / "backfill.asl.json"
ROLE = "arn:aws:iam::123456789012:role/states"
DAYS = [{"from": f"2026-01-{day:02}", "to": f"2026-01-{day + 1:02}"} for day in range(1, 6)]


class Containers:
    """Stands for ECS in the interpreter: each day's container ends with the next of its exit codes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.codes: dict[str, list[int]] = {}
        self.commands: list[list[str]] = []
        monkeypatch.setattr(
            StateTaskServiceEcs, "_eval_service_task", lambda _task, *given, **named: self._run(*given, **named)
        )
        monkeypatch.setattr(StateTaskServiceEcs, "_build_sync_resolver", lambda _task, env, **_: _said(env.stack.pop()))

    def _run(self, *, env: Any, normalised_parameters: Any, **_: Any) -> None:
        overrides = {name.lower(): value for name, value in normalised_parameters.items()}["overrides"]
        command = {name.lower(): value for name, value in overrides.items()}["containeroverrides"][0]
        command = {name.lower(): value for name, value in command.items()}["command"]
        self.commands.append(command)
        ended = {"Containers": [{"Name": "wxrec", "ExitCode": self.codes.get(command[2], [0]).pop(0)}]}
        if not ended["Containers"][0]["ExitCode"]:
            env.stack.append(ended)
            return
        told = TaskFailedEventDetails(
            error="States.TaskFailed", cause=json.dumps(ended), resource="", resourceType="ecs"
        )
        failure = FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=told),  # type: ignore[typeddict-item]
        )
        raise FailureEventException(failure_event=failure)


def _said(value: Any) -> Callable[[], Any]:
    return lambda: value


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Containers:
    return Containers(monkeypatch)


def nearby(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition for this interpreter: it forgets failures of distributed items, and should not wait."""
    days = definition["States"]["Days"]
    del days["ToleratedFailureCount"]
    days["ItemProcessor"]["ProcessorConfig"] = {"Mode": "INLINE"}
    days["ItemProcessor"]["States"]["WaitAWhile"]["Seconds"] = 0
    return definition


def carried_out(containers: Containers, codes: dict[str, list[int]]) -> str:
    """Run the state machine with containers that end so; return its status."""
    containers.codes = codes
    text = json.dumps(nearby(json.loads(FILE.read_text())))
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
        states: Any = boto3.client("stepfunctions", **keys)
        machine = states.create_state_machine(name="backfill", definition=text, roleArn=ROLE)["stateMachineArn"]
        asked = {"days": DAYS, "cluster": "c", "task": "wxrec:1", "subnets": ["subnet-1"]}
        run = states.start_execution(stateMachineArn=machine, input=json.dumps(asked))["executionArn"]
        pause = threading.Event()
        for _ in range(600):
            status: str = states.describe_execution(executionArn=run)["status"]
            if status != "RUNNING":
                return status
            pause.wait(0.1)
    raise AssertionError("the state machine does not end")


def test_the_definition_is_the_language_and_names_the_program_as_it_is(containers: Containers) -> None:
    """An interpreter accepts it, and the command in it is one the program knows."""
    from wxrec_async.cli.flags import RunFlags  # noqa: PLC0415

    assert carried_out(containers, {}) == "SUCCEEDED"
    commands = containers.commands
    assert Counter(command[2] for command in commands) == {day["from"]: 1 for day in DAYS}
    assert commands[0][:5:2] == ["run", commands[0][2], commands[0][4]]
    known = {name.strip("_").replace("_", "-") for name in RunFlags.__dataclass_fields__}
    assert {flag.removeprefix("--") for flag in commands[0] if flag.startswith("--")} <= known


def test_it_is_accepted_as_it_stands() -> None:
    """The distributed form, which a backfill of many days needs, is the language too."""
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "us-east-1"}
        states: Any = boto3.client("stepfunctions", **keys)
        assert states.create_state_machine(name="as-it-stands", definition=FILE.read_text(), roleArn=ROLE)
        broken = FILE.read_text().replace('"Next": "Judge"', '"Nxt": "Judge"')
        with pytest.raises(ClientError):
            states.create_state_machine(name="broken", definition=broken, roleArn=ROLE)


def judged(definition: str) -> list[str]:
    """Return what AWS's own schema of state machines, as `cfn-lint` carries it, finds wrong."""
    properties = {"RoleArn": ROLE, "Definition": json.loads(definition)}
    resources = {"Backfill": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    return [match.message for match in lint(json.dumps(template), regions=["us-east-1"])]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"MaxConcurrency": 4', '"MaxConcurrency": -4'),
        ('"ToleratedFailureCount": 3', '"ToleratedFailureCount": "three"'),
        ("ToleratedFailureCount", "ToleratedFailures"),
        ("ItemSelector", "ItemsSelector"),
        ('"ItemProcessor"', '"Processor"'),
        ('"MaxAttempts": 5', '"MaxAttempts": -1'),
    ],
)
def test_the_published_schema_accepts_it_as_it_stands(right: str, wrong: str) -> None:
    """The distributed map, field by field; and the schema would notice a field that is none."""
    text = FILE.read_text()
    assert judged(text) == []
    assert right in text
    assert judged(text.replace(right, wrong)) != []


def test_a_distributed_map_says_how_its_items_are_run() -> None:
    """No schema looks there: Mode INLINE or DISTRIBUTED, and with the latter ExecutionType STANDARD or EXPRESS.

    https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html; only
    STANDARD waits for a container (``.sync``), and longer than five minutes.
    """
    days = json.loads(FILE.read_text())["States"]["Days"]
    assert days["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_exit_codes_alone_decide_what_is_tried_again(containers: Containers) -> None:
    """3, 6 and 137 are tried again, 5 is enough."""
    codes = {DAYS[0]["from"]: [3, 0], DAYS[1]["from"]: [5], DAYS[2]["from"]: [137, 6, 0]}
    assert carried_out(containers, codes) == "SUCCEEDED"
    tries = Counter(command[2] for command in containers.commands)
    assert [tries[day["from"]] for day in DAYS] == [2, 1, 3, 1, 1]


def test_a_fault_that_is_everybodys_ends_the_backfill(containers: Containers) -> None:
    """Permission, settings and three failures in a row are not worth another try, and the whole is a failure."""
    codes = {day["from"]: [code] for day, code in zip(DAYS, (1, 2, 4, 7), strict=False)}
    assert carried_out(containers, codes | {DAYS[4]["from"]: [3, 3, 3]}) == "FAILED"
    assert max(Counter(command[2] for command in containers.commands[:4]).values()) == 1
