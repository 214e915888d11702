"""What every test of the suite shares."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator

import pytest

from tests.canaries import found_in

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test, at its very end, when a planted secret is in anything it logged or printed."""
    report = yield
    if call.when == "teardown" and report.passed and not _may_show(item):
        hits = [f"{name}: {', '.join(kinds)}" for _, name, text in item._report_sections if (kinds := found_in(text))]
        if hits:
            report.outcome = "failed"
            report.longrepr = f"planted secrets leaked into {'; '.join(hits)}"
    return report


def _may_show(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("shows_canaries")
    if marker is not None and not marker.args:
        pytest.fail("shows_canaries needs a reason", pytrace=False)
    return marker is not None
