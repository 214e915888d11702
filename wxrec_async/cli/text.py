"""Text on its way out: masked, and without what a terminal would obey."""

from __future__ import annotations

from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.sanitize import visible

__all__ = ["harmless", "size", "span", "visible"]


def harmless(text: str, *, lines: bool = False) -> str:
    """Mask secrets and write control characters out."""
    return visible(redact_text(text), lines=lines)


def size(count: float) -> str:
    """Write a number of bytes for people: ``1.2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float) -> str:
    """Write a duration for people: ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
