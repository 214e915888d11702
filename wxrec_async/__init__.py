"""Move call recordings out of Webex Contact Center into your own S3 bucket.

The public names are resolved when they are first used, so that importing the
package costs next to nothing::

    from wxrec_async import Backfill, load_config

    async with Backfill(load_config("config.toml")) as backfill:
        summary = await backfill.run()
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from wxrec_async._version import __version__
from wxrec_async.plumbing.moved import stand_in

if TYPE_CHECKING:
    from wxrec_async.backfill import Backfill as Backfill
    from wxrec_async.config import Settings as Settings
    from wxrec_async.config import load_config as load_config
    from wxrec_async.errors import AuthError as AuthError
    from wxrec_async.errors import ConfigError as ConfigError
    from wxrec_async.errors import LedgerError as LedgerError
    from wxrec_async.errors import WxrecError as WxrecError
    from wxrec_async.events import Event as Event
    from wxrec_async.flow.summary import Summary as Summary
    from wxrec_async.model import Period as Period
    from wxrec_async.planning.plan import Plan as Plan

_HOMES = {
    "Backfill": "backfill",
    "Settings": "config",
    "load_config": "config",
    "AuthError": "errors",
    "ConfigError": "errors",
    "LedgerError": "errors",
    "WxrecError": "errors",
    "Event": "events",
    "Period": "model",
    "Plan": "planning.plan",
    "Summary": "flow.summary",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are the keys of the table above

_MOVED = {  # modules whose import paths the first release documented: they work for one release more
    "cleanup": "maintenance.cleanup",
    "doctor": "setup.doctor",
    "login": "setup.login",
    "rebuild": "maintenance.rebuild",
    "reconcile": "reconciliation",
    "telemetry": "otel.listener",
    "verify": "maintenance.verify",
}
stand_in(__name__, _MOVED)


def __getattr__(name: str) -> object:
    if name in _MOVED:
        return sys.modules[f"{__name__}.{name}"]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
