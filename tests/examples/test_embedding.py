"""What `Backfill` promises the program it runs in."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import aioboto3
import anyio
import httpx
import pytest

from tests.e2e.world import World, sandbox
from tests.examples.kit import some_recordings, spoil
from wxrec_async import Backfill, Event, Settings, load_config
from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.events import Gauges, RecordingFailed, RecordingStored, RunStarted
from wxrec_async.webex.transport import AiohttpTransport, tls_context

pytestmark = pytest.mark.anyio

SMALL = ("--tasks", "20", "--seconds", "0.3", "1", "--no-large")


class Counting(httpx.AsyncBaseTransport):
    """A host's own transport, which knows whether it was closed."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport(tls=tls_context())
        self.requests: list[str] = []
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        self.closed += 1
        await self._inner.aclose()


def settings_of(world: World, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The sandbox's settings, its AWS keys in this process's environment."""
    for name, value in world.told["environment"].items():
        monkeypatch.setenv(name, value)
    return load_config(world.config)


def moved(settings: Settings, path: Path) -> FileTokenStore:
    """Put the tokens where only the returned store finds them."""
    Path(settings.auth.tokens).rename(path)
    return FileTokenStore(path)


async def test_a_listener_of_one_run_hears_that_run_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each of run, archive and retry; who listens to the `Backfill` hears all of them."""
    always: list[Event] = []
    heard: dict[str, list[Event]] = {"run": [], "archive": [], "retry": []}
    with sandbox(tmp_path, *SMALL) as world:
        (spoiled,) = some_recordings(world, 1)
        spoil(world, [spoiled])
        async with Backfill(settings_of(world, monkeypatch), on_event=always.append) as backfill:
            await backfill.run(on_event=heard["run"].append)
            (failed,) = [event for event in heard["run"] if isinstance(event, RecordingFailed)]
            await backfill.archive([failed.task_id], on_event=heard["archive"].append)
            spoil(world, [])
            await backfill.retry(on_event=heard["retry"].append)
            await backfill.run()
        assert world.bucket() == world.truth()
    for events in heard.values():
        assert [type(event) for event in events].count(RunStarted) == 1
    assert [event.recording_id for event in heard["archive"] if isinstance(event, RecordingFailed)] == [spoiled]
    assert [event.recording_id for event in heard["retry"] if isinstance(event, RecordingStored)] == [spoiled]
    assert always[: sum(map(len, heard.values()))] == [event for events in heard.values() for event in events]
    assert [type(event) for event in always].count(RunStarted) == 4


async def test_a_listener_is_let_go_when_its_run_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last thing it hears is that nothing is in flight any more."""
    heard: list[Event] = []
    with sandbox(tmp_path, *SMALL, "--latency", "0.05") as world:
        async with Backfill(settings_of(world, monkeypatch)) as backfill:
            with anyio.CancelScope() as scope:

                def hear(event: Event) -> None:
                    heard.append(event)
                    if isinstance(event, RecordingStored):
                        scope.cancel()

                await backfill.run(on_event=hear)
            told = len(heard)
            assert (await backfill.run()).exit_code == 0
        assert world.bucket() == world.truth()
    assert scope.cancelled_caught
    assert len(heard) == told
    last = heard[-1]
    assert isinstance(last, Gauges)
    assert (last.queue_depth, last.in_flight) == (0, 0)


async def test_what_is_handed_in_is_used_and_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transports, S3 session and token store of the host: no credential is looked for anywhere else."""
    api, media = Counting(), Counting()
    with sandbox(tmp_path, *SMALL) as world:
        keys = world.told["environment"]
        config = load_config(world.config)
        session = aioboto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")
        for name in keys:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        store = moved(config, tmp_path / "tokens-elsewhere.json")
        async with Backfill(
            config, api_transport=api, media_transport=media, s3_session=session, token_store=store
        ) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 0
        assert world.bucket() == world.truth()
        assert len(api.requests) == len(world.requests("tasks")) + len(world.requests("captures"))
        assert len(media.requests) == len(world.requests("media.get")) > 0
    assert (api.closed, media.closed) == (0, 0)
    await api.aclose()
    await media.aclose()


async def test_it_changes_nothing_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """While it runs: no signal handler, no log handler, no variable, no other event loop; and nothing is printed."""
    with sandbox(tmp_path, *SMALL) as world:
        settings = settings_of(world, monkeypatch)
        before, during = state_of_the_process(), list[object]()
        async with Backfill(settings) as backfill:
            await backfill.run(on_event=lambda _event: during.append(state_of_the_process()))
        assert all(state == before for state in during)
        assert state_of_the_process() == before
    assert during
    assert capfd.readouterr() == ("", "")


def state_of_the_process() -> object:
    """What belongs to the host."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    loggers = {name: (each.level, list(each.handlers)) for name, each in _loggers() if each.level or each.handlers}
    loop = asyncio.get_running_loop()
    return handlers, loggers, dict(os.environ), type(loop), loop.get_exception_handler()


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = logging.Logger.manager.loggerDict.items()
    return [("", logging.getLogger()), *((name, each) for name, each in known if isinstance(each, logging.Logger))]
