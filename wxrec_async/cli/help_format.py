"""``--help`` in sections, without rich: drawing it would cost as much as everything else together."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from wxrec_async.cli.flags import PANELS

HELP = ("-h", "--help")


class Command(TyperCommand):
    """A command whose flags are listed by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the flags."""
        write_sections(self, ctx, formatter)


class Group(TyperGroup):
    """A group that lists its commands before its flags."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Go straight to a command's ``--help``: typer loads pydantic before it has read the group's own flags."""
        if len(args) > 1 and args[-1] in HELP and (command := self.get_command(ctx, args[0])):
            command.make_context(args[0], args[1:], parent=ctx)  # prints the help and exits, when it is asked for
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the flags."""
        self.format_commands(ctx, formatter)
        write_sections(self, ctx, formatter)


class Program(Group):
    """The program itself, which says what its exit codes mean, and what is wrong with a command line in one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Carry a command line out; with ``standalone_mode``, click's word for it, end the process with its code."""
        standalone_mode = extra.pop("standalone_mode", True)
        try:
            code = super().main(*args, **(extra | {"standalone_mode": False}))
        except USAGE_ERROR as wrong:
            if not standalone_mode:
                raise
            from wxrec_async.cli.terminal import Terminal  # noqa: PLC0415 - no help and no completion needs it

            Terminal().line(f"error: {usage_line(wrong)}")
            sys.exit(EXIT_USAGE)
        if not standalone_mode:
            return code
        sys.exit(code)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        """Write the table of exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))


# The base of `typer.BadParameter` that all of its kind have; typer names it in no public place.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
EXIT_USAGE = 2


def usage_line(wrong: Any) -> str:
    """Say in one line, as of every other mistake, what is wrong with a command line, and where its help is."""
    words = " ".join(wrong.format_message().split()).rstrip(".").replace("Value error, ", "")
    words = words.removeprefix("Invalid value: ")
    path = wrong.ctx.command_path if wrong.ctx is not None else "wxrec-async"
    if words.startswith("Usage:"):  # a group without a command, for which click shows the whole help
        words = f"{path} needs a command"
    # Click begins a sentence; names of flags and of commands stay as they are.
    return f"{words[:1].lower()}{words[1:]} ({path} --help)"


EXIT_CODES = {
    "0": "complete",
    "1": "a fault of the program itself",
    "2": "usage or configuration",
    "3": "some recordings failed, each is named",
    "4": "authentication or permission",
    "5": "nothing failed, but recordings are still owed by Webex",
    "6": "stopped by --limit or --max-duration",
    "7": "the ledger is in use, full or damaged",
    "8": "could not begin: Webex, S3 or the network does not answer",
    "130, 143": "stopped by Ctrl-C, by SIGTERM",
}


def write_sections(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the flags of ``command``, a section for each panel, in the order of `PANELS`."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record:
            # click's own, --help for one, have none.
            panel = getattr(parameter, "rich_help_panel", None) or "Other"
            sections.setdefault(panel, []).append(record)
    for panel in sorted(sections, key=lambda name: PANELS.index(name) if name in PANELS else len(PANELS)):
        with formatter.section(panel):
            formatter.write_dl(sections[panel], col_max=32)
