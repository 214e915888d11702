"""Heads that browsers and curl take, and a strict parser does not."""

from __future__ import annotations

import asyncio
import json
import re

from aiohttp import web

from tests.trials.judges import FAILED, OK, missing, nothing_mixed
from tests.trials.trial import PATIENCE_S, Trial
from tests.trials.webex import read_json

WITHIN_S = 90.0
# name: (the status line's rest, a line beside the plain ones); the first five are taken by any parser of today
HEADS: dict[str, tuple[str, str]] = {
    "two Server headers": ("200 OK", "Server: A/2.0\r\nServer: B/1.0 A/2.0\r\n"),
    "a folded line": ("200 OK", "X-Policy: default-src;\r\n script-src\r\n"),
    "a file name in UTF-8": ("200 OK", 'Content-Disposition: attachment; filename="Anruf Zoë 📞.wav"\r\n'),
    "line feeds alone": ("200 OK", ""),
    "no reason phrase": ("200", ""),
    "two equal lengths": ("200 OK", "Content-Length: {size}\r\n"),
    "identity beside a length": ("200 OK", "Transfer-Encoding: identity\r\n"),
    "a blank before a colon": ("200 OK", "X-Odd : 1\r\n"),
    "status 203": ("203 Non-Authoritative Information", ""),
}
TAKEN = 5


class RawMedia:
    """Writes heads by hand; ``names`` are recordings by the head that theirs has."""

    def __init__(self, trial: Trial, names: dict[str, str]) -> None:
        self.trial, self.names = trial, names
        self.server: asyncio.Server | None = None

    async def captures(self, request: web.Request) -> web.StreamResponse:
        """Name URLs of the raw server, which is started where the others run."""
        if self.server is None:
            self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
            self.trial.webex.servers.append(self.server)
        port = self.server.sockets[0].getsockname()[1]
        said = json.dumps(read_json(await self.trial.webex.plain_captures(request)))
        return web.json_response(json.loads(said.replace(f":{self.trial.webex.port}/media", f":{port}/media")))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            recording = asked.partition("?")[0].split("/")[-2]
            writer.write(self.head(self.names[recording], len(self.trial.organisation.media[recording])))
            writer.write(self.trial.organisation.media[recording])
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # whoever asked has gone
        finally:
            writer.close()

    @staticmethod
    def head(name: str, size: int) -> bytes:
        status, line = HEADS[name]
        text = f"HTTP/1.1 {status}\r\nContent-Type: audio/wav\r\nContent-Length: {size}\r\n"
        text += line.format(size=size) + "Connection: close\r\n\r\n"
        return (text.replace("\r\n", "\n") if name == "line feeds alone" else text).encode()


def test_a_head_is_taken_or_refused_at_once_by_name(trial: Trial, slow: float) -> None:
    """Stored; or failed, soon, in words that say it is the head of the answer, or name the status."""
    names = {trial.organisation.add(seconds=1 + number / 10).recording_id: name for number, name in enumerate(HEADS)}
    raw = RawMedia(trial, names)
    trial.webex.captures = raw.captures
    told = trial.call("run", *trial.span, "--json", within_s=PATIENCE_S)
    nothing_mixed(trial)
    lacking = {names[true.recording_id] for true in missing(trial)}
    assert not lacking & set(list(HEADS)[:TAKEN]), lacking
    assert told.code == (FAILED if lacking else OK), told
    said = {names[line["recording_id"]]: f"{line['reason']} {line['detail']}" for line in told.events("failed")}
    assert set(said) == lacking, told
    unnamed = {name: words for name, words in said.items() if not re.search(r"head|203", words)}
    assert not unnamed, unnamed
    assert told.seconds < WITHIN_S * slow, f"it took {told.seconds:.0f} s: {told}"
