"""Bars over time as inline SVG: pygal draws, and what a page without scripts and with its own style needs is kept.

pygal adds a script with its settings and a style sheet of its own; both are
taken out, the page's style sheet colours the classes that pygal gives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from wxrec_async.ledger.report_queries import Bar

# pygal adds a finder for its maps to every later import of the process, with an interface Python 3.12 dropped:
# a warning each time on 3.11, and nothing a host of ours should have to live with.
_FINDERS = [*sys.meta_path]
import pygal  # noqa: E402

sys.meta_path[:] = [each for each in sys.meta_path if each in _FINDERS or type(each) is not pygal.PluginImportFixer]

WIDTH, HEIGHT = 940, 220
LABELS = 8
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SVG = "{http://www.w3.org/2000/svg}"
_UNWANTED = {"script", "style", "defs", "desc"}
# Without it every element would be called ns0:…, which is no SVG to HTML.
ET.register_namespace("", "http://www.w3.org/2000/svg")


def bytes_chart(rows: Sequence[Bar], label: str) -> str:
    """Draw the bytes stored, in the unit that keeps the axis round."""
    unit, power = _unit(max(row.bytes for row in rows))
    return _chart([row.bytes / power for row in rows], rows, lambda value: f"{value:,.4g} {unit}", label)


def failures_chart(rows: Sequence[Bar], label: str) -> str:
    """Draw the failures that still stand."""
    return _chart([row.failed for row in rows], rows, lambda value: f"{value:,.4g}", label)


def _unit(most: int) -> tuple[str, int]:
    place = min(max(most.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return UNITS[place], 1 << 10 * place


def _chart(values: Sequence[float], rows: Sequence[Bar], shown: Callable[[float], str], label: str) -> str:
    """Return an SVG of one bar a row; ``shown`` writes a value, ``label`` says in a sentence what is drawn."""
    # Nothing is loaded (the page opens offline), nothing is declared (it stands within HTML), and the classes
    # have the same names in every chart, so that one style sheet does for all.
    chart = pygal.Bar(
        js=(),
        disable_xml_declaration=True,
        no_prefix=True,
        title=None,
        show_legend=False,
        print_values=False,
        width=WIDTH,
        height=HEIGHT,
        margin=4,
        margin_right=28,
        spacing=2,
        max_scale=6,
        include_x_axis=True,
        show_minor_x_labels=False,
        x_labels_major_every=max(1, -(-len(rows) // LABELS)),
        truncate_label=-1,
        value_formatter=shown,
    )
    chart.x_labels = [when(row.begin_ms, row.width_ms) for row in rows]
    chart.add(label, list(values))
    chart.add_xml_filter(lambda root: _plain(root, label))
    drawn: str = chart.render(is_unicode=True)
    return drawn


def when(ms: int, width_ms: int) -> str:
    """Write where a bar begins, as finely as its width asks for."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    if width_ms >= 86_400_000:
        return moment.strftime("%d %b %Y")
    return moment.strftime("%d %b %H:%M" if width_ms >= 60_000 else "%H:%M:%S")


def _plain(root: Any, label: str) -> Any:
    _strip(root)
    for title in root.findall("title"):
        root.remove(title)
    root.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("class", "chart")
    return root


def _strip(parent: Any) -> None:
    """Keep shapes and words; a bar's own words become its title, which browsers show as a hint."""
    # A copy: to remove from what is walked through skips the next one.
    for child in list(parent):
        name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if not name or name in _UNWANTED:
            parent.remove(child)
            continue
        # Read before the descent, which removes the elements they stand in.
        words = [each.text for each in child if _is_words(each)]
        _strip(child)
        if words and name == "g":
            title = ET.SubElement(child, "title")
            # pygal has the value first; a hint reads better with its time before it.
            title.text = ": ".join(reversed(words))


def _is_words(element: Any) -> bool:
    """Whether this is a value or its label, and not where the hint of pygal's script would stand."""
    kinds = element.get("class", "").split()
    return element.tag in {"desc", f"{_SVG}desc"} and bool(element.text) and not {"x", "y", "centered"} & {*kinds}
