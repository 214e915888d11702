"""``python -m wxrec_async``: the command line, `wxrec-async` by another name."""

from __future__ import annotations

from wxrec_async.cli import early_signals


def main() -> None:
    """Be the program."""
    # First of all: to load the rest takes a moment, in which a signal may come.
    early_signals.end_at_once()
    from wxrec_async.cli.app import main as program  # noqa: PLC0415

    program()


if __name__ == "__main__":
    main()
