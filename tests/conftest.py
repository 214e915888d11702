"""What every test of the suite shares."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from hypothesis import HealthCheck, settings

from tests.outputs import Outputs, watch

# Examples are the same in every run, so that a gate which was green is green again; --hypothesis-profile=random draws
# new ones.  No deadline: on a busy machine it would measure the machine.
for name, fixed in (("fixed", True), ("random", False)):
    settings.register_profile(name, deadline=None, derandomize=fixed, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")

# As the program itself has it: these print URLs and headers below WARNING, so no flag of ours ever lowers them.
KEPT_QUIET = (
    "aiobotocore",
    "aiohttp",
    "asyncio",
    "boto3",
    "botocore",
    "hpack",
    "httpcore",
    "httpx",
    "moto",
    "urllib3",
    "werkzeug",
)


# One session of botocore reads its models once for all of its clients.  A program has one session; the tests open
# thousands in one process, and reading the same megabytes of JSON again for each was two fifths of many a room's time.
_MODELS: dict[tuple[str, ...], dict[object, object]] = {}


def _share_models() -> None:
    kind: Any = Loader
    begin = kind.__init__

    @functools.wraps(begin)
    def begun(loader: Any, *args: Any, **kwargs: Any) -> None:
        begin(loader, *args, **kwargs)
        loader._cache = _MODELS.setdefault(tuple(loader.search_paths), {})

    kind.__init__ = begun


_share_models()


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio: aiohttp and aioboto3 know no other loop."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _every_log_line_is_captured() -> Iterator[None]:
    """Let every logger speak at DEBUG, so that what is never shown is searched for secrets all the same."""
    loggers = {logging.getLogger(name): logging.WARNING for name in KEPT_QUIET} | {logging.getLogger(): logging.DEBUG}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    yield
    for logger, level in before.items():
        logger.setLevel(level)


# The rooms that start the program or a real server for each test, or wait as long as it waits.
SLOW = {
    "benchmarks", "cancel", "contracts", "deploy", "e2e", "evidence", "examples", "fuzz", "kill", "memory", "nemesis",
    "readme", "reconcile", "scaleout", "soak", "trials", "webex_contract", "worlds",
}  # fmt: skip
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that ``-m "not slow"`` is the quick tier."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Take half as many workers again as there are cores: what waits for a deadline or a disk needs none."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


OUTPUTS = Outputs()
COST = "planted secrets"
LAST_OF_ITS_MODULE = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Begin to watch, in this process and in each worker."""
    watch(OUTPUTS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Note whether its module ends with this test."""
    item.stash[LAST_OF_ITS_MODULE] = nextitem is None or nextitem.path != item.path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test, at its very end, when a planted secret is in anything it gave out."""
    report = yield
    if call.when == "teardown":
        sections = ((name, text) for _, name, text in item._report_sections)
        finished = getattr(item, "funcargs", {}).get("tmp_path")
        leaks = OUTPUTS.leaks(sections, finished, module_ends=item.stash.get(LAST_OF_ITS_MODULE, True))
        if leaks and report.passed and not _may_show(item):
            report.outcome = "failed"
            report.longrepr = f"planted secrets leaked into {'; '.join(leaks)}"
        cost = OUTPUTS.cost
        report.user_properties.append((COST, (cost.seconds, cost.files, cost.read)))
        OUTPUTS.cost = type(cost)()
        item._report_sections.clear()  # an item lives as long as the session, and every line at DEBUG with it
    if report.passed and "P" not in item.config.option.reportchars:
        report.sections = []  # nobody shows them, and the controller would keep them all
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was searched, so that a search that looks at nothing is noticed."""
    told = [value for found in terminalreporter.stats.values() for report in found for value in _costs(report)]
    if told:
        seconds, files, read = (sum(column) for column in zip(*told, strict=True))
        terminalreporter.write_line(
            f"searched for planted secrets after {len(told)} tests: {files} files of {read / (1 << 20):.1f} MiB, "
            f"and all they printed, logged and raised, in {seconds:.1f} s"
        )


def _costs(report: object) -> list[tuple[float, int, int]]:
    if getattr(report, "when", "") != "teardown":
        return []
    return [value for name, value in getattr(report, "user_properties", ()) if name == COST]


def _may_show(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("shows_canaries")
    if marker is not None and not marker.args:
        pytest.fail("shows_canaries needs a reason", pytrace=False)
    return marker is not None
