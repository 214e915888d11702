"""The import paths that the first release documented: they lead on, with a warning, for one release more."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any


class MovedModule(ModuleType):
    """Stands where a module was; each of its names comes from where the module is now.

    Called, it is the function of its own name: ``wxrec_async.verify`` is a function of the
    package today and was a module, and both ``verify(settings)`` and ``verify.verify(settings)`` work.
    """

    def __init__(self, old: str, new: str) -> None:
        super().__init__(old, f"Moved to `{new}`.")
        self._new = new

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system and inspect look for these
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(self._new), name)
        old, new = f"{self.__name__}.{name}", f"{self._new}.{name}"
        warnings.warn(f"{old} is {new} now; the old path goes with the next release", DeprecationWarning, stacklevel=2)
        return found

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function that bears the name of the module."""
        own = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(self._new), own)(*args, **options)


def stand_in(package: str, moved: Mapping[str, str]) -> None:
    """Put a stand-in where each module was.  The import system finds it there, and loads nothing until it is used."""
    for old, new in moved.items():
        sys.modules[f"{package}.{old}"] = MovedModule(f"{package}.{old}", f"{package}.{new}")
