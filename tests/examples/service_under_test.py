"""The service of the example, and a way to look into its process."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from tests.examples.fastapi_service import app

__all__ = ["app"]


@app.get("/debug")
async def debug() -> dict[str, int]:
    """Count tasks, sockets (that of this request among them) and open files."""
    gc.collect()
    links = _open_files()
    sockets = sum(link.startswith("socket:") for link in links)
    return {"tasks": len(asyncio.all_tasks()), "sockets": sockets, "files": len(links)}


def _open_files() -> list[str]:
    return [str(link) for path in Path("/proc/self/fd").iterdir() if (link := _target(path))]


def _target(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:
        return None  # the directory itself, closed by now
