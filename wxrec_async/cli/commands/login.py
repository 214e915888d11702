"""``login``: tokens of an organisation, from its administrator's browser or from a reply of Webex."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from wxrec_async.cli.command import run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.flags import LoginFlags
from wxrec_async.cli.prompt import read_line
from wxrec_async.cli.session import run_until_signal
from wxrec_async.cli.text import visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.flow.summary import EXIT_OK
from wxrec_async.model import iso
from wxrec_async.setup import login as authorization

REPLY_LIMIT = 1 << 20  # bytes


def run_login(flags: LoginFlags) -> int:
    """Get tokens and store them."""
    return run_command(Console(flags), lambda console: _login(flags, console))


def _login(flags: LoginFlags, console: Console) -> int:
    settings = settings_of(flags, console)
    if flags.tokens_from is not None:
        done = _take_tokens(flags.tokens_from, settings, console)
    else:
        done = run_until_signal(lambda: _by_browser(flags, settings, console))
    where = settings.auth.tokens
    if console.json:
        console.out.record(login_record(done, where))
    else:
        for line in login_lines(done, where):
            console.out.line(line)
    return EXIT_OK


def _take_tokens(source: str, settings: Settings, console: Console) -> authorization.LoggedIn:
    reply = _read_reply(source)
    emit = EventLog(console.log, console.level).on_event
    done = run_until_signal(lambda: authorization.take_tokens(settings, reply, emit=emit))
    if source != "-":
        # Said, not done: the file is somebody else's, and perhaps not only ours to use.
        console.message(f"{visible(source)} is needed no more and holds secrets: remove it")
    return done


def _read_reply(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(REPLY_LIMIT)
    try:
        with Path(source).open("rb") as file:
            return file.read(REPLY_LIMIT)
    except OSError as error:
        raise ConfigError(f"--tokens-from {source}: {error.strerror or type(error).__name__}") from None


async def _by_browser(flags: LoginFlags, settings: Settings, console: Console) -> authorization.LoggedIn:
    pasted = flags.no_browser
    if not pasted and not authorization.can_catch_redirect(settings):
        console.message(
            f"[auth] redirect_uri {settings.auth.redirect_uri} is not on this machine: as with --no-browser"
        )
        pasted = True

    def show_url(url: str) -> None:
        """The one place where an address with a query is written out: it is for the user to open."""
        if console.json:
            console.out.record({"event": "authorize", "url": url})
            return
        console.message("open this address and log in as an administrator of the organisation:")
        console.out.line(url)
        if not pasted:
            console.message("waiting for the browser to come back (on another machine use --no-browser)")

    async def paste() -> str:
        console.message(
            "paste the address the browser was sent to, even if no page came up (it is not shown), and press Enter:"
        )
        return await read_line()

    return await authorization.login(
        settings,
        show_url=show_url,
        redirect=paste if pasted else None,
        open_browser=None if pasted else _browser(),
        emit=EventLog(console.log, console.level).on_event,
        wait_s=authorization.WAIT_S if flags.wait is None else flags.wait,
    )


def _browser() -> Callable[[str], object] | None:
    """Return what opens a browser; None where only one of text could come up, over our own terminal."""
    shown = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return webbrowser.open if shown else None


def login_record(done: authorization.LoggedIn, where: str) -> dict[str, object]:
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


def login_lines(done: authorization.LoggedIn, where: str) -> list[str]:
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
