"""The import paths that the README of the first release named still lead somewhere, and say that they moved."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import wxrec_async

DOCUMENTED = [
    ("wxrec_async.verify", "verify"),
    ("wxrec_async.rebuild", "rebuild"),
    ("wxrec_async.cleanup", "cleanup"),
    ("wxrec_async.doctor", "examine"),
    ("wxrec_async.login", "login"),
    ("wxrec_async.reconcile", "reconcile"),
    ("wxrec_async.telemetry", "Telemetry"),
]


@pytest.mark.parametrize(("module", "name"), DOCUMENTED)
def test_a_documented_path_leads_on_and_warns(module: str, name: str) -> None:
    """It is the very thing that the new path gives, by import and by attribute."""
    old = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=rf"{module}\.{name} is wxrec_async\.\w+(\.\w+)*\.{name} now"):
        found = getattr(old, name)
    assert found is getattr(importlib.import_module(found.__module__), name)
    assert getattr(wxrec_async, module.partition(".")[2]) is old


@pytest.mark.parametrize(("module", "name"), DOCUMENTED)
def test_the_line_of_the_readme_works_in_a_fresh_interpreter(module: str, name: str) -> None:
    """``from wxrec_async.verify import verify``, with warnings shown and none raised."""
    program = f"from {module} import {name}; import {module}; print({module}.{name}.__name__)"
    command = [sys.executable, "-W", "default::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{name}\n"
    assert "DeprecationWarning" in done.stderr


def test_what_was_never_there_is_not_there() -> None:
    """A stand-in has no names of its own."""
    with pytest.raises(AttributeError):
        importlib.import_module("wxrec_async.verify").nothing_of_the_kind  # noqa: B018 - the access is the test
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("wxrec_async.worlds")


async def _called() -> None:
    await wxrec_async.verify()  # type: ignore[call-arg]


def test_a_stand_in_is_called_like_the_function_of_its_name() -> None:
    """``wxrec_async.verify(settings)`` is the function's call: without settings it is the function that complains."""
    with pytest.raises(TypeError, match=r"verify\(\) missing"):
        _called().send(None)
