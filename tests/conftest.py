"""What every test of the suite shares."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.botocore_models import share_models
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


share_models()


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
    "readme", "reconcile", "soak", "temporal", "trials", "webex_contract", "worlds",
}  # fmt: skip
# What has the longest tests, longest first: begun last, one of them would keep a core busy while the others idle.
# Those that wait stand between those that compute.
LONGEST = (
    "nemesis/test_nemesis.py", "temporal/test_left_over.py", "worlds/test_worlds.py", "temporal/test_fleet.py",
    "cancel", "readme/test_newcomer.py", "temporal/test_crashes.py", "memory", "ledger/test_model.py", "temporal",
    "flow/test_resources.py", "evidence/test_by_hand.py", "kill", "webex_contract", "soak", "trials", "e2e", "examples",
    "reconcile", "deploy", "telemetry", "evidence", "benchmarks", "security",
)  # fmt: skip
CHUNK = 4
TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that ``-m "not slow"`` is the quick tier; begin with the longest."""
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
    ranks = {path: _rank(path) for path in {item.path for item in items}}
    items.sort(key=lambda item: ranks[item.path])


def _rank(path: Path) -> int:
    return next((place for place, name in enumerate(LONGEST) if path.is_relative_to(TESTS / name)), len(LONGEST))


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


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, in this process and in each worker, and deal out few tests at a time."""
    watch(OUTPUTS)
    # By itself xdist would hand a worker the first twelfth of all, which is the longest tests together.
    if getattr(config.option, "maxschedchunk", 0) is None:
        config.option.maxschedchunk = CHUNK


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
