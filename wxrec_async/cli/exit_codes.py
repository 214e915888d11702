"""Errors into one line and an exit code."""

from __future__ import annotations

from wxrec_async.cli.text import harmless
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    LedgerError,
    RunStopped,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_ERROR, EXIT_LEDGER, EXIT_NO_ANSWER, EXIT_USAGE


def cause_of(failure: BaseException) -> BaseException:
    """Return what a task group's failure came of: its first one, the rest were cancelled for it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def exit_code_of(failure: BaseException) -> int:
    """Return the exit code of the table in ``--help``."""
    match failure:
        # A certificate that is not trusted is mended in the settings (`ca_bundle`), not by trying again.
        case ConfigError() | TLSError():
            return EXIT_USAGE
        case AuthError():
            return EXIT_AUTH
        case LedgerError():
            return EXIT_LEDGER
        case RunStopped():
            return failure.exit_code
        case ConnectError() | ConnectionLost() | TimedOut():
            return EXIT_NO_ANSWER
        case _:
            return EXIT_ERROR


def sentence(failure: BaseException) -> str:
    """Describe what went wrong in one line; what nobody foresaw is called by its class, with where to find more."""
    message = harmless(str(failure).strip() or type(failure).__name__)
    if isinstance(failure, WxrecError):
        return message
    return f"{type(failure).__name__}: {message} (a fault of the program; --log-level debug shows where)"
