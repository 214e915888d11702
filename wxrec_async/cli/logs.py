"""One log pipeline for our records and those of foreign libraries, with redaction as its last step.

Our own records carry named fields of events and nothing else.  Foreign ones
carry their message, and never any below WARNING: httpx, botocore and their kin
write signed URLs and secrets at lower levels.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, Literal

import structlog

from wxrec_async.cli.text import harmless
from wxrec_async.rules.sanitize import each_text

OURS = "wxrec_async"
NOISY = ("httpx", "httpcore", "botocore", "aiobotocore", "boto3", "urllib3", "aiohttp", "asyncio", "hpack")
FIRST = ("timestamp", "level", "event")
Form = Literal["console", "json"]
Write = Callable[[str], None]


class _Lines(logging.Handler):
    """Hands each formatted record to the screen."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write
        self.addFilter(_is_ours_or_grave)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001 - a record that cannot be written must not end a transfer
            self.handleError(record)


def _is_ours_or_grave(record: logging.LogRecord) -> bool:
    """Hold what a library may have made of its own logger's level; ours obeys the flags."""
    return record.levelno >= logging.WARNING or record.name.split(".")[0] == OURS


def set_up(level: int, form: Form, write: Write, *, colors: bool = False) -> structlog.stdlib.BoundLogger:
    """Take over all logging of this process and return our logger; ``level`` is ours alone."""
    handler = _Lines(write)
    handler.setFormatter(_formatter(form, colors=colors))
    root = logging.getLogger()
    # Whatever other handler there is would write past the redaction.
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # By name as well: a library whose logger has a level of its own does not ask the root's.
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level)
    # Else logging itself prints a traceback, with the record's arguments, for each line that a closed stderr refuses.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            # First, so that what nobody wants costs next to nothing.
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # The next command of this process may set another level.
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(OURS)
    return logger


def _formatter(form: Form, *, colors: bool) -> logging.Formatter:
    render: Any = structlog.processors.JSONRenderer(default=str)
    if form == "console":
        render = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=20, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # traceback's own: source lines, no local variables
            _redact,
            render,
        ],
    )


def _redact(logger: Any, name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG001
    """Mask every text of a record; runs after everything that adds to it.  What every record has comes first."""
    record = {key: record[key] for key in FIRST if key in record} | dict(record)
    return {
        key: each_text(value, partial(harmless, lines=key == "exception"))
        for key, value in record.items()
        if key != "stack_info"
    }


class RepeatFilter:
    """Lets the first of a kind through, and one every ``every_s`` seconds after it, with the number held back."""

    def __init__(self, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock = every_s, clock
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def passes(self, kind: str) -> int | None:
        """Return how many were held back since the last one that passed; None when this one is, too."""
        now = self._clock()
        if now - self._last.get(kind, -self._every_s) < self._every_s:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._held.pop(kind, 0)
