"""``--help`` in sections, without rich: drawing it would cost as much as everything else together."""

from __future__ import annotations

from typing import Any

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
    """The program itself, which says what its exit codes mean."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        """Write the table of exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))


EXIT_CODES = {
    "0": "complete",
    "1": "a fault of the program itself",
    "2": "usage or configuration",
    "3": "some recordings failed, each is named",
    "4": "authentication or permission",
    "5": "nothing failed, but recordings are still owed by Webex",
    "6": "stopped by --limit or --max-duration",
    "7": "the ledger is in use, full or damaged",
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
