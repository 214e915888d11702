"""A sandbox one can log in to, and a browser."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import stat
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx

from tests.ports import free_port
from wxrec_async.auth import authorization_code as oauth
from wxrec_async.config import Settings, load_config
from wxrec_async.events import Event
from wxrec_async.sandbox import Sandbox
from wxrec_async.sandbox.options import Options
from wxrec_async.setup.login import LoggedIn, login

CANARY = "CANARY"


TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the system's certificates is slow, and nothing here needs them


def new_browser() -> httpx.AsyncClient:
    """Return a client that follows nothing by itself."""
    return httpx.AsyncClient(trust_env=False, verify=TLS)


@dataclass
class Place:
    """A sandbox, settings for it, and what was shown and told."""

    sandbox: Sandbox
    config: Path
    callback: str
    shown: list[str] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)

    @property
    def tokens(self) -> Path:
        return self.config.parent / "tokens.json"

    def settings(self, **overrides: object) -> Settings:
        given: dict[str, object] = {"auth.redirect_uri": self.callback}
        given |= {key.replace("__", "."): value for key, value in overrides.items()}
        return load_config(self.config, overrides=given)

    def stored(self) -> dict[str, Any]:
        """Return what lies in the token file, which only its owner may read."""
        assert stat.S_IMODE(self.tokens.stat().st_mode) == 0o600
        data: dict[str, Any] = json.loads(self.tokens.read_text())
        return data

    async def log_in(self, settings: Settings | None = None, *, act: Act | None = None, **options: Any) -> LoggedIn:
        """Log in with a browser that does ``act`` (default: what the user is asked to) with the URL it is shown."""
        browse = act or follow
        async with anyio.create_task_group() as group:

            def show(url: str) -> None:
                self.shown.append(url)
                group.start_soon(browse, url)

            done = await login(settings or self.settings(), show_url=show, emit=self.heard.append, **options)
            group.cancel_scope.cancel()
        assert CANARY not in repr(done) + repr(self.heard)
        return done

    async def paste(self, answer: Callable[[str], str] | None = None, **options: Any) -> LoggedIn:
        """Log in by pasting: what the browser was sent to, or what ``answer`` makes of it."""

        async def redirect() -> str:
            target = await sent_to(self.shown[-1])
            return answer(target) if answer else target

        settings = options.pop("settings", None) or self.settings()
        done = await login(settings, show_url=self.shown.append, redirect=redirect, emit=self.heard.append, **options)
        assert CANARY not in repr(done) + repr(self.heard)
        return done


Act = Callable[[str], Any]


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def sent_to(url: str) -> str:
    """Open a URL; return where the server sends the browser."""
    async with new_browser() as browser:
        return (await browser.get(url)).headers["Location"]


async def follow(url: str) -> None:
    """Open a URL and go where it leads, as a browser does, favicon included."""
    target = await sent_to(url)
    pieces = urlsplit(target)
    async with new_browser() as browser:
        assert (await browser.get(f"http://{pieces.netloc}/favicon.ico")).status_code == 404
        page = await browser.get(target)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert CANARY not in page.text


@contextlib.asynccontextmanager
async def place(folder: Path, **options: Any) -> AsyncIterator[Place]:
    """Start a sandbox nobody is logged in to yet."""
    async with Sandbox(Options(tasks=1, **options)) as sandbox:
        config = sandbox.write_config(folder)
        (folder / "tokens.json").unlink()
        yield Place(sandbox, config, f"http://127.0.0.1:{free_port()}/callback")


def listening_at(port: int) -> list[str]:
    """Return the addresses this machine listens on at a port, as Linux writes them."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")]


def request_for(callback: str = "http://127.0.0.1:8080/callback") -> oauth.Request:
    return oauth.begin("https://idp.test/v1", "client-1", callback, Settings().auth.scopes)


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def environment(here: Place) -> dict[str, str]:
    more = {"WXREC_AUTH__REDIRECT_URI": here.callback, "DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    return {**os.environ, **here.sandbox.environment(), **more}


def command(here: Place, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "wxrec_async", *arguments, "--config", str(here.config)]


async def call(here: Place, *arguments: str, stdin: bytes = b"") -> Done:
    """Run a command to its end."""
    ended = await anyio.run_process(command(here, *arguments), input=stdin, env=environment(here), check=False)
    return Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
