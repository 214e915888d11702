"""What was given on the command line: read into an object of flags, joined over commands, turned into settings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import typer

from wxrec_async.cli.flags import SETTING_OF, OutputFlags
from wxrec_async.errors import ConfigError

Flags = TypeVar("Flags", bound=OutputFlags)


def overrides(flags: OutputFlags) -> dict[str, object]:
    """Return the settings that were given as flags, by dotted key; raises `ConfigError` when two contradict."""
    given = {key: getattr(flags, name) for name, key in SETTING_OF.items() if name in _given(flags)}
    if "backfill.from" in given and "backfill.days_back" in given:
        raise ConfigError("--from and --days-back both say where to begin; give one of them")
    if "backfill.days_back" in given:
        given["backfill.from"] = ""  # the flag stands above a `from` of the file
    return {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}


def _given(flags: object) -> dict[str, Any]:
    values = {field.name: getattr(flags, field.name) for field in fields(flags)}  # type: ignore[arg-type]
    # `is`, not truth: 0 is a figure somebody gave (--grace 0).
    return {name: value for name, value in values.items() if value is not None and value is not False and value != []}


def joined(before: OutputFlags | None, own: Flags, command: str) -> Flags:
    """Add what was given before the command's name; raises `typer.BadParameter` for what the command does not take."""
    earlier = _given(before) if before is not None else {}
    if stray := earlier.keys() - {field.name for field in fields(own)}:
        raise typer.BadParameter(f"--{min(stray).strip('_').replace('_', '-')} does not go with `{command}`")
    # What stands behind the command's name wins over what stands before it.
    return replace(own, **{name: value for name, value in earlier.items() if name not in _given(own)})


def typed(kind: type[Flags], body: Callable[[typer.Context, Flags], None]) -> Callable[..., None]:
    """Return ``body`` as a function whose parameters are the fields of ``kind``: what typer makes options of."""

    def command(ctx: typer.Context, **values: Any) -> None:
        body(ctx, kind(**values))

    # Annotations are text here (``from __future__``); typer needs what they stand for.
    hints = typing.get_type_hints(kind, include_extras=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
        for field in fields(kind)
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    command.__doc__ = body.__doc__
    return command
