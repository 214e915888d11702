"""``--help`` in sections, without rich: drawing it would cost as much as everything else together."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from wxrec_async.cli.flags import PANELS


class Command(TyperCommand):
    """A command whose flags are listed by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the flags."""
        write_sections(self, ctx, formatter)


class Group(TyperGroup):
    """A group that lists its commands before its flags."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the flags."""
        self.format_commands(ctx, formatter)
        write_sections(self, ctx, formatter)


def write_sections(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the flags of ``command``, a section for each panel, in the order of `PANELS`."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record:
            panel = getattr(parameter, "rich_help_panel", None) or "Other"
            sections.setdefault(panel, []).append(record)
    for panel in sorted(sections, key=lambda name: PANELS.index(name) if name in PANELS else len(PANELS)):
        with formatter.section(panel):
            formatter.write_dl(sections[panel], col_max=32)
