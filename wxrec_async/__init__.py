"""Move call recordings out of Webex Contact Center into your own S3 bucket.

The public names are resolved when they are first used, so that importing the
package costs next to nothing::

    from wxrec_async import Backfill, load_config

    async with Backfill(load_config("config.toml")) as backfill:
        summary = await backfill.run()

What is in ``__all__``, and what `events` holds, stays as it is within a major
version.  Every other module, function and class may change with any release.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from wxrec_async._version import __version__
from wxrec_async.plumbing.moved import stand_in

if TYPE_CHECKING:
    from wxrec_async import events as events
    from wxrec_async.auth.file_store import FileTokenStore as FileTokenStore
    from wxrec_async.auth.token_store import TokenStore as TokenStore
    from wxrec_async.auth.token_values import Credentials as Credentials
    from wxrec_async.auth.token_values import Tokens as Tokens
    from wxrec_async.backfill import Backfill as Backfill
    from wxrec_async.config import Settings as Settings
    from wxrec_async.config import load_config as load_config
    from wxrec_async.errors import AuthError as AuthError
    from wxrec_async.errors import ConfigError as ConfigError
    from wxrec_async.errors import LedgerError as LedgerError
    from wxrec_async.errors import RunStopped as RunStopped
    from wxrec_async.errors import WxrecError as WxrecError
    from wxrec_async.events import Event as Event
    from wxrec_async.events import RunTotals as RunTotals
    from wxrec_async.evidence import AuditReport as AuditReport
    from wxrec_async.evidence import audit as audit
    from wxrec_async.flow.summary import Summary as Summary
    from wxrec_async.maintenance.cleanup import CleanupReport as CleanupReport
    from wxrec_async.maintenance.cleanup import cleanup as cleanup
    from wxrec_async.maintenance.rebuild import RebuildReport as RebuildReport
    from wxrec_async.maintenance.rebuild import rebuild as rebuild
    from wxrec_async.maintenance.verify import Level as Level
    from wxrec_async.maintenance.verify import VerifyReport as VerifyReport
    from wxrec_async.maintenance.verify import verify as verify
    from wxrec_async.model import Period as Period
    from wxrec_async.model import Secret as Secret
    from wxrec_async.planning.plan import Plan as Plan
    from wxrec_async.reconciliation import ReconcileReport as ReconcileReport
    from wxrec_async.reconciliation import reconcile as reconcile
    from wxrec_async.setup.doctor import Finding as Finding
    from wxrec_async.setup.doctor import examine as examine
    from wxrec_async.setup.doctor import examine_file as examine_file
    from wxrec_async.setup.login import LoggedIn as LoggedIn
    from wxrec_async.setup.login import login as login
    from wxrec_async.setup.login import take_tokens as take_tokens
    from wxrec_async.wiring.account import Injected as Injected

_PUBLIC = {  # by the module that has them
    "backfill": ("Backfill",),
    "config": ("Settings", "load_config"),
    "model": ("Period", "Secret"),
    "planning.plan": ("Plan",),
    "flow.summary": ("Summary",),
    "events": ("Event", "RunTotals"),
    "errors": ("WxrecError", "ConfigError", "AuthError", "LedgerError", "RunStopped"),
    # The functions behind the other commands, and what they return
    "setup.login": ("login", "take_tokens", "LoggedIn"),
    "setup.doctor": ("examine", "examine_file", "Finding"),
    "maintenance.verify": ("verify", "VerifyReport", "Level"),
    "maintenance.cleanup": ("cleanup", "CleanupReport"),
    "maintenance.rebuild": ("rebuild", "RebuildReport"),
    "reconciliation": ("reconcile", "ReconcileReport"),
    "evidence": ("audit", "AuditReport"),
    # What may be handed in
    "wiring.account": ("Injected",),
    "auth.token_store": ("TokenStore",),
    "auth.file_store": ("FileTokenStore",),
    "auth.token_values": ("Credentials", "Tokens"),
}
_HOMES = {name: home for home, names in _PUBLIC.items() for name in names}
__all__ = ["__version__", "events", *_HOMES]  # noqa: PLE0604 - the names are the keys of the table above

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
    # First the stand-ins, which are called like the function of their name: ``import wxrec_async.verify`` asks here,
    # too, and goes on to ask what it got for ``verify``.
    if name in _MOVED:
        return sys.modules[f"{__name__}.{name}"]
    if name == "events":
        return importlib.import_module(f"{__name__}.events")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
