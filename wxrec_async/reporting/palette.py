"""The page's colours, in daylight and in the dark.  A test holds the contrast of every pair to WCAG 2 AA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wxrec_async.rules.coverage import DayState

LIGHT = {
    "page": "#ffffff",
    "panel": "#f4f6f8",
    "text": "#1a2129",
    "soft": "#4f5b66",
    "line": "#c9d1d9",
    "link": "#0a4d8c",
    "certified": "#0f5132",
    "complete": "#bfe3cd",
    "owed": "#fbdc8e",
    "failed": "#a3171f",
    "not_yet": "#d5e3f5",
    "not_listed": "#e4e7ea",
    "bar": "#1f6fb2",
    "bad": "#a3171f",
}
DARK = {
    "page": "#12171d",
    "panel": "#1b222b",
    "text": "#e6ebf0",
    "soft": "#a7b3bf",
    "line": "#3a4552",
    "link": "#8cc4ff",
    "certified": "#7fd6a4",
    "complete": "#1f4d36",
    "owed": "#6b4d00",
    "failed": "#ff9a94",
    "not_yet": "#21405f",
    "not_listed": "#333c46",
    "bar": "#5aa9e6",
    "bad": "#ff8d87",
}
# What is written on a day's colour.
ON_LIGHT = {"certified": "#ffffff", "failed": "#ffffff"}
ON_DARK = {"certified": "#0c2a1a", "failed": "#3b0a0d"}
TEXTS = ("text", "soft", "link", "bad")


def variables(colors: Mapping[str, str], ink: Mapping[str, str]) -> str:
    """Return the colours as CSS custom properties; ``on-STATE`` is the ink on a day's colour."""
    own = [f"--{name}:{value}" for name, value in colors.items()]
    on = [f"--on-{state}:{ink.get(state, colors['text'])}" for state in DayState]
    return ";".join((*own, *on))


def pairs(colors: Mapping[str, str], ink: Mapping[str, str]) -> Iterator[tuple[str, str, float]]:
    """Yield what is seen on what, and the contrast that WCAG 2.2 AA asks of it (1.4.3 for text, 1.4.11 for shapes)."""
    for text in TEXTS:
        yield from ((colors[text], colors[ground], 4.5) for ground in ("page", "panel"))
    yield from ((ink.get(state, colors["text"]), colors[state], 4.5) for state in DayState)
    yield from ((colors[bar], colors["page"], 3.0) for bar in ("bar", "bad"))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two ``#rrggbb`` colours, 1 to 21, as WCAG 2 defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    channels = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    # From sRGB to linear light, and how much of it the eye takes each colour for: the formula of WCAG.
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
