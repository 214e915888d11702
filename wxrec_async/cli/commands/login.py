"""What ``login`` and ``doctor`` do, from their flags to their exit codes."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from wxrec_async import doctor as doctoring
from wxrec_async import login as admission
from wxrec_async.cli.desk import Desk
from wxrec_async.cli.doctor import DoctorFlags
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.failing import cause_of
from wxrec_async.cli.flags import overrides
from wxrec_async.cli.login import LoginFlags
from wxrec_async.cli.pasting import read_line
from wxrec_async.cli.running import guarded, settings_of
from wxrec_async.cli.session import until_signal
from wxrec_async.cli.text import harmless, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.model import iso
from wxrec_async.report import EXIT_OK

T = TypeVar("T")
REPLY_LIMIT = 1 << 20  # bytes
NAME_WIDTH = 18
MEANINGS = {
    0: "nothing is wrong",
    2: "the settings are wrong",
    3: "something is wrong and is named above",
    4: "a login or a permission is missing",
    7: "the ledger cannot be used",
}


def doctor(flags: DoctorFlags) -> int:
    """Look at everything a backfill needs."""
    return guarded(Desk(flags), lambda desk: _doctor(flags, desk))


def _doctor(flags: DoctorFlags, desk: Desk) -> int:
    def show(finding: doctoring.Finding) -> None:
        if desk.json:
            desk.out.record(finding_record(finding))
        else:
            desk.out.line(finding_line(finding))

    findings = run_until_signal(
        partial(
            doctoring.examine_file,
            flags.config,
            overrides=overrides(flags),
            on_finding=show,
            emit=EventLog(desk.log, desk.level).hear,
            renew=flags.renew,
        )
    )
    code = doctoring.exit_code_of(findings)
    counts = Counter(finding.state for finding in findings)
    if desk.json:
        numbers = {state: counts[state] for state in ("ok", "warn", "fail", "unknown")}
        desk.out.record({"event": "doctor", "schema": 1, **numbers, "exit_code": code})
    else:
        desk.out.line(f"exit {code}: {MEANINGS[code]}")
    return code


def finding_record(finding: doctoring.Finding) -> dict[str, object]:
    """Return the JSON line of a finding."""
    return {
        "event": "finding",
        "name": finding.name,
        "state": finding.state,
        "ok": finding.ok,
        "words": harmless(finding.words),
        "todo": harmless(finding.todo),
        "exit_code": finding.exit_code,
    }


def finding_line(finding: doctoring.Finding) -> str:
    """Write a finding for people: its state, its name, what was found, what to do."""
    state = {"unknown": "?"}.get(finding.state, finding.state)
    name = finding.name.replace("_", " ")
    todo = f" -> {harmless(finding.todo)}" if finding.todo else ""
    return f"{state:<5} {name:<{NAME_WIDTH}} {harmless(finding.words)}{todo}"


def login(flags: LoginFlags) -> int:
    """Get tokens and store them."""
    return guarded(Desk(flags), lambda desk: _login(flags, desk))


def _login(flags: LoginFlags, desk: Desk) -> int:
    settings = settings_of(flags, desk)
    if flags.tokens_from is not None:
        done = _take_in(flags.tokens_from, settings, desk)
    else:
        done = run_until_signal(lambda: _by_browser(flags, settings, desk))
    where = settings.auth.tokens
    if desk.json:
        desk.out.record(login_record(done, where))
    else:
        for line in login_lines(done, where):
            desk.out.line(line)
    return EXIT_OK


def _take_in(source: str, settings: Settings, desk: Desk) -> admission.LoggedIn:
    reply = _read_reply(source)
    done = run_until_signal(lambda: admission.take_tokens(settings, reply, emit=EventLog(desk.log, desk.level).hear))
    if source != "-":
        desk.say(f"{visible(source)} is needed no more and holds secrets: remove it")
    return done


def _read_reply(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(REPLY_LIMIT)
    try:
        with Path(source).open("rb") as file:
            return file.read(REPLY_LIMIT)
    except OSError as error:
        raise ConfigError(f"--tokens-from {source}: {error.strerror or type(error).__name__}") from None


async def _by_browser(flags: LoginFlags, settings: Settings, desk: Desk) -> admission.LoggedIn:
    pasted = flags.no_browser
    if not pasted and not admission.can_catch_redirect(settings):
        desk.say(f"[auth] redirect_uri {settings.auth.redirect_uri} is not on this machine: as with --no-browser")
        pasted = True

    def show(url: str) -> None:
        """The one place where an address with a query is written out: it is for the user to open."""
        if desk.json:
            desk.out.record({"event": "authorize", "url": url})
            return
        desk.say("open this address and log in as an administrator of the organisation:")
        desk.out.line(url)
        if not pasted:
            desk.say("waiting for the browser to come back (on another machine use --no-browser)")

    async def paste() -> str:
        desk.say(
            "paste the address the browser was sent to, even if no page came up (it is not shown), and press Enter:"
        )
        return await read_line()

    return await admission.login(
        settings,
        show_url=show,
        redirect=paste if pasted else None,
        open_browser=None if pasted else _browser(),
        emit=EventLog(desk.log, desk.level).hear,
        wait_s=admission.WAIT_S if flags.wait is None else flags.wait,
    )


def _browser() -> Callable[[str], object] | None:
    """Return what opens a browser; None where only one of text could come up, over our own terminal."""
    shown = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return webbrowser.open if shown else None


def login_record(done: admission.LoggedIn, where: str) -> dict[str, object]:
    """Return the JSON line of a login."""
    return {
        "event": "login",
        "schema": 1,
        "org_id": done.org_id,
        "scopes": list(done.scopes),
        "expires_at": done.expires_at,
        "refresh_expires_at": done.refresh_expires_at,
        "tokens": where,
        "notes": list(done.notes),
    }


def login_lines(done: admission.LoggedIn, where: str) -> list[str]:
    """Write a login for people."""
    lines = [
        f"logged in to organisation {visible(done.org_id)}; the tokens are in {visible(where)}",
        f"  the access token ends {_moment(done.expires_at)} and is renewed by itself",
    ]
    if done.refresh_expires_at is None:
        lines.append("  Webex did not say when the refresh token ends")
    else:
        lines.append(f"  the refresh token ends {_moment(done.refresh_expires_at)} unless a run renews it before")
    if done.scopes:
        lines.append(f"  scopes: {visible(' '.join(done.scopes))}")
    return [*lines, *(f"  note: {note}" for note in done.notes), "next: wxrec-async doctor"]


def _moment(seconds: float) -> str | None:
    return iso(int(seconds) * 1000)


def run_until_signal(work: Callable[[], Awaitable[T]]) -> T:
    """Return what ``work`` returns; raises `Interrupted` when a signal came first, after ``work`` has tidied up."""
    try:
        return anyio.run(until_signal, work, backend="asyncio")
    except BaseExceptionGroup as failures:
        raise cause_of(failures) from None
