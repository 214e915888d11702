"""Whatever the README names, there is: commands, flags, settings, words, messages, links."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wxrec_async
from tests.readme.text import TEXT, blocks, code_spans, command_lines, headings, named
from wxrec_async.cli.app import app
from wxrec_async.config import known_keys

PACKAGE = Path(wxrec_async.__file__).parent
COMMANDS = (
    "run", "plan", "retry", "status", "verify", "reconcile", "report", "cleanup", "login", "doctor", "sandbox",
    "sandbox serve", "config show", "ledger rebuild", "ledger enrich", "worker", "show", "runs", "runs show",
)  # fmt: skip
OTHERS_FLAGS = {"--help"}  # click's own
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
NOT_OURS = re.compile(
    r"^(s3|kms|secretsmanager|aws|pip|pipx|uv|chmod|systemctl|ulimit|kubectl|podman|temporal|python|GET|POST)\b"
)
# Words in backticks that the program has not itself: of Webex, AWS, Python and this page.
FOREIGN_WORDS = {"aioboto3", "on_event", "flock"}


@cache
def help_of(command: str) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0, command
    return result.output


@cache
def source() -> str:
    """Return all of the program's text, with strings that are cut in two put together."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", text)


def command_of(words: list[str]) -> str:
    two = " ".join(words[:2])
    return two if two in COMMANDS else words[0] if words and words[0] in COMMANDS else ""


@pytest.mark.parametrize("line", command_lines())
def test_a_command_line_takes_what_it_is_given(line: str) -> None:
    """The command is one of the program's, and its own help names each flag."""
    words = shlex.split(line.replace("…", ""), comments=True)
    after = words[next(place for place, word in enumerate(words) if word.endswith("wxrec-async")) + 1 :]
    plain = [word for word in after if not word.startswith("-")]
    command = command_of(plain)
    assert command or not plain or after[0].startswith("-"), f"{plain[0]} is no command"
    flags = {word.split("=")[0] for word in after if FLAG.fullmatch(word.split("=")[0])} - OTHERS_FLAGS
    assert flags <= set(FLAG.findall(help_of(command)))


def test_every_flag_in_running_text_is_in_some_help() -> None:
    """A flag that stands alone is one of the program's."""
    known = {flag for command in ("", *COMMANDS) for flag in FLAG.findall(help_of(command))} | OTHERS_FLAGS
    named_here = {flag for span in code_spans() if not NOT_OURS.match(span) for flag in FLAG.findall(span)}
    assert named_here
    assert named_here - known == set()


def test_every_command_there_is_is_named() -> None:
    """The README leaves no command out, nor names one that is gone."""
    listed = set(re.findall(r"^  (\w+)  ", help_of("").partition("Commands:")[2].partition("\n\n")[0], re.MULTILINE))
    assert listed == {command.split()[0] for command in COMMANDS}
    lines = " ".join(command_lines())
    assert [command for command in COMMANDS if f"wxrec-async {command}" not in lines] == []


def test_every_setting_that_is_named_is_known() -> None:
    """``[section] key`` and ``WXREC_SECTION__KEY`` are settings."""
    keys = set(known_keys())
    spans = [match for span in code_spans() if (match := re.match(r"\[(\w+)\] (\w+)", span))]
    assert len(spans) > 5
    assert [match[0] for match in spans if f"{match[1]}.{match[2]}" not in keys] == []
    variables = [found.lower().replace("__", ".") for found in re.findall(r"WXREC_([A-Z0-9]+__[A-Z0-9_]+)", TEXT)]
    assert variables
    assert set(variables) <= keys


def test_every_word_of_the_program_is_one() -> None:
    """What looks like a setting, a state or a reason is a setting's name or stands in the program."""
    settings = {key.rpartition(".")[2] for key in known_keys()}
    words = {span.split(" = ")[0] for span in code_spans() if re.fullmatch(r"[a-z]+(_[a-z]+)+( = .*)?", span)}
    assert len(words) > 20
    unknown = {word for word in words - settings - FOREIGN_WORDS if not re.search(rf"\b{word}\b", source())}
    assert unknown == set()


def test_every_metric_is_one_of_the_program() -> None:
    """Names of metrics and spans are those of `otel.listener`, and none of those is left out."""
    section = TEXT.partition("\n## Metrics")[2].partition("\n## ")[0]
    in_text = set(re.findall(r"`(wxrec\.[a-z._]+)`", section))
    made = r'(?:create_\w+|_Level|start_span)\(\s*(?:meter, )?"(wxrec\.[a-z._]+)"'
    there = set(re.findall(made, (PACKAGE / "otel/listener.py").read_text(encoding="utf-8")))
    assert in_text == there


def test_every_message_of_the_troubleshooting_table_is_said_by_the_program() -> None:
    """The fragments of a message between its ellipses stand in the source."""
    table = TEXT.partition("\n## Troubleshooting")[2].partition("\n## ")[0]
    symptoms = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ")][2:]
    messages = [span for symptom in symptoms for span in re.findall(r"`([^`]+)`", symptom) if " " in span]
    fragments = [piece.strip(" ;") for message in messages for piece in message.split("…") if piece.strip(" ;")]
    assert len(fragments) > 10
    assert [fragment for fragment in fragments if fragment not in source()] == []


def test_the_exit_codes_are_those_of_the_help() -> None:
    """The table and the help name the same codes."""
    table = TEXT.partition("\n## Exit codes")[2].partition("\n## ")[0]
    in_table = [row.split("|")[1].strip() for row in table.splitlines() if re.match(r"\| \d", row)]
    in_help = re.findall(r"^  (\d+(?:, \d+)?)  ", help_of("").partition("Exit codes:")[2], re.MULTILINE)
    assert in_table == in_help


def test_every_link_within_the_page_leads_somewhere() -> None:
    """An anchor is a heading, as GitHub writes it."""
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings()}
    wanted = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert wanted
    assert wanted - anchors == set()


def test_every_file_of_the_checkout_that_is_named_is_there() -> None:
    """Paths in running text exist."""
    root = PACKAGE.parent
    paths = [span for span in code_spans() if re.fullmatch(r"(wxrec_async|tests)/[\w/.]+", span)]
    assert paths
    assert [path for path in paths if not (root / path).exists()] == []


def test_the_two_commands_of_the_gate_are_there() -> None:
    """`.ci/run` finds both by their marks, and the first one's size by its words."""
    assert "sandbox --tasks 500" in named("first command").body
    assert ".venv/bin/pytest" in named("test command").body


def test_no_line_of_the_text_is_longer_than_a_screen() -> None:
    """Tables and the crontab apart, lines end before column 121."""
    in_blocks = {line for block in blocks("crontab") for line in block.body.splitlines()}
    long = [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert set(long) - in_blocks == set()
