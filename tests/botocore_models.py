"""Botocore's models, read once in a process.

One session of botocore reads its models once for all of its clients.  A program has one session; the tests open
thousands in one process, and reading the same megabytes of JSON again for each was two fifths of many a room's time.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

_MODELS: dict[tuple[str, ...], dict[object, object]] = {}


def share_models() -> None:
    """Let all loaders of this process share what they have read."""
    kind: Any = Loader
    begin = kind.__init__

    @functools.wraps(begin)
    def begun(loader: Any, *args: Any, **kwargs: Any) -> None:
        begin(loader, *args, **kwargs)
        # Of the folders it would look in, one is below the home, which tests have many of and nobody has models in.
        there = tuple(path for path in loader.search_paths if Path(path).is_dir())
        loader._cache = _MODELS.setdefault(there, {})

    kind.__init__ = begun
