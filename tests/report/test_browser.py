"""The page in a real browser: silent, alone, right, and usable without a mouse, in the dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import Browser, browsing
from tests.report.kit import counts_of, expected_totals, written
from tests.report.ledgers import HOSTILE
from wxrec_async.reporting import Wanted

pytestmark = pytest.mark.browser

TAB, ENTER = ("Tab", 9), ("Enter", 13)
FOCUSED = "(e => e.getAttribute('aria-label') || e.textContent.trim())(document.activeElement)"
TOTALS = """
Object.fromEntries([...document.querySelectorAll('[data-count]')].map(
    e => [e.dataset.count, Number(e.dataset.value ?? e.textContent.replaceAll(',', ''))]))
"""
# Contrast of every text that is shown, with what is painted below it, as WCAG 2 counts it.
CONTRAST = """
(() => {
    const numbers = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92
        : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    const bad = [];
    for (const e of document.querySelectorAll('body *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
        const style = getComputedStyle(e), svg = e instanceof SVGElement;
        const ink = light(numbers(svg ? style.fill : style.color)), paper = light(ground(e));
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) bad.push(`${e.tagName} ${e.className} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return bad;
})()
"""


@pytest.fixture(scope="module")
def page(month: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the month's page."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    written(month, Wanted(html=path))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser that is kept for the module."""
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def shown(browser: Browser, page: Path) -> Browser:
    """Open the page afresh."""
    browser.prefer("light")
    browser.open(page)
    return browser


def test_it_asks_for_nothing_and_complains_of_nothing(shown: Browser, page: Path) -> None:
    """The file itself is the only request; console and log stay empty; nothing in it could run."""
    assert [url for url in shown.requests if url != "data:,"] == [page.as_uri()]
    assert shown.complaints == []
    assert shown.value("document.scripts.length") == 0
    handlers = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => /^on/.test(n))"
    assert shown.value(handlers) == []
    assert shown.value(f"document.body.innerText.includes({HOSTILE!r})")


def test_a_page_that_did_ask_or_complain_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    """The two checks above have teeth."""
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("no"); null.x</script>', "utf-8")
    browser.open(bad)
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert len(browser.complaints) >= 2


def test_its_figures_are_the_ledgers(shown: Browser, month: Path) -> None:
    """What a person reads is what `Counts` says, and days, queues and directions add up to it."""
    counts = counts_of(month)
    assert shown.value(TOTALS) == expected_totals(counts)
    for section, column, total in (
        ("#days", 3, counts.tasks_listed),
        ("#days", 4, counts.stored + counts.already_stored),
        ("#where .scroll:nth-of-type(1)", 2, counts.tasks_listed),
    ):
        cells = f"document.querySelectorAll('{section} tbody tr > :nth-child({column})')"
        summed = f"[...{cells}].reduce((sum, e) => sum + Number(e.textContent.replaceAll(',', '')), 0)"
        assert shown.value(summed) == total, section
    assert shown.value("document.querySelectorAll('#failures tbody tr').length") == counts.failed + counts.failed_tasks


def test_it_is_read_and_left_by_keyboard(shown: Browser) -> None:
    """First the way past the head, then sections, then each day; Enter leads to the day's line."""
    shown.press(*TAB)
    assert shown.value(FOCUSED) == "Skip to the report"
    shown.press(*TAB)
    assert shown.value(FOCUSED) == "Coverage"
    seen = []
    for _ in range(60):
        shown.press(*TAB)
        seen.append(shown.value(FOCUSED))
        assert shown.value("getComputedStyle(document.activeElement).outlineStyle") != "none", seen[-1]
        if seen[-1].startswith("2026-11-10"):
            break
    assert seen[-1].startswith("2026-11-10: failed. ")
    assert "Skip the calendar" in seen
    shown.press(*ENTER)
    assert shown.value("location.hash") == "#d-2026-11-10"
    assert shown.value("document.querySelector(':target').cells[1].innerText").endswith("failed")


def test_those_who_hear_it_get_the_same(shown: Browser) -> None:
    """Landmarks, one first heading, tables with headers, drawings with words, no duplicate id, no dead link."""
    tree = shown.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert {"banner", "navigation", "main", "contentinfo", "region", "table", "columnheader"} <= {*roles}
    names = [node["name"]["value"] for node in tree if node.get("role", {}).get("value") in {"link", "image", "img"}]
    assert all(names)
    assert shown.value("document.querySelectorAll('h1').length") == 1
    assert shown.value("document.documentElement.lang") == "en"
    assert shown.value("[...document.querySelectorAll('table')].every(t => t.querySelector('thead th'))")
    ids = shown.value("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len({*ids})
    assert {*shown.value("[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")} <= {
        f"#{name}" for name in ids
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_has_contrast(shown: Browser, scheme: str) -> None:
    """All text that is shown has 4.5:1 against what is painted below it, in daylight and in the dark."""
    shown.prefer(scheme)
    ground = shown.value("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")
    assert shown.value(CONTRAST) == []


def test_it_fits_a_telephone(shown: Browser) -> None:
    """Nothing but the boxes that scroll by themselves is wider than the window."""
    shown.call("Emulation.setDeviceMetricsOverride", width=375, height=800, deviceScaleFactor=1, mobile=False)
    assert shown.value("document.documentElement.scrollWidth") <= 375
    shown.call("Emulation.clearDeviceMetricsOverride")


def test_it_prints(shown: Browser) -> None:
    """Paper gets pages, daylight colours, and no navigation."""
    pdf = shown.pdf()
    assert pdf.startswith(b"%PDF-")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 60
    shown.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert shown.value("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert shown.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    shown.call("Emulation.setEmulatedMedia", media="", features=[])
