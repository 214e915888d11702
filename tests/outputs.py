"""Everything a test gave out, searched for planted secrets when the test is over.

Logs, standard output and standard error are pytest's own sections.  To these come
what is held here: exceptions that a ``pytest.raises`` caught, with everything that
hangs on them; command lines of the processes that were started; what those
processes, and commands called in this one, printed; and every file that is left
below a temporary folder.
"""

from __future__ import annotations

import filecmp
import functools
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.canaries import found_in, may_hold

# Files that hold secrets by design; each rule has its reason, and tests/security/README.md repeats them.
ALLOWED = (
    ("secrets*.json", "the credentials' file: what it is for"),
    ("tokens*.json", "the token file: what it is for"),
    ("aws-credentials", "AWS's own file of credentials, which one fleet for two organisations needs"),
    ("*.pyc", "compiled source of this repository, whose simulator makes the secrets up"),
    ("first.screen", "the terminal on which the tour starts the simulator, which prints the keys of its own S3"),
    (".tokens*.json.*.tmp", "the token file while it is written, left by a kill; 0600, and swept by the next writer"),
)
ROOT = Path(__file__).parents[1]
WHOLE = ("*.db", "*.db-wal", "*.db-shm", "*.db-journal", "*.log", "*.json", "*.jsonl", "*.csv", "*.html", "*.toml")
PIECE = 8 << 20  # bytes; of other files, the beginning and the end
OVERLAP = 128

Told = tuple[str, str]  # what it is, and its text
Known = dict[str, tuple[int, int]]  # files that were searched, with time and size


@dataclass
class Cost:
    """What the search took, over all tests."""

    seconds: float = 0.0
    files: int = 0
    read: int = 0


@dataclass
class Outputs:
    """What the tests gave out since it was last searched."""

    told: list[Told] = field(default_factory=list)
    folders: dict[Path, Known] = field(default_factory=dict)
    earlier: dict[Path, Known] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def tell(self, what: str, text: object) -> None:
        """Remember an output."""
        self.told.append((what, text if isinstance(text, str) else bytes(text).decode("latin-1")))  # type: ignore[call-overload]

    def leaks(self, sections: Iterator[Told], finished: Path | None, *, module_ends: bool = True) -> list[str]:
        """Search what there is, forget it, and return a line for every output with secrets.

        ``finished`` is the folder of the test that ended; other folders are
        searched again after the next test, for what has changed, and those of
        earlier modules when a module ends.
        """
        began = time.perf_counter()
        told, self.told = self.told, []
        hits = [
            (what, found_in(text)) for what, text in (*sections, *told) if may_hold(text.encode("utf-8", "replace"))
        ]
        for folder, known in [*self.folders.items(), *(self.earlier.items() if module_ends else ())]:
            hits += [(path.removeprefix(f"{folder}/"), kinds) for path, kinds in self._searched(folder, known)]
        if finished is not None:
            self.folders.pop(finished, None)
        if module_ends:
            self.earlier.update(self.folders)
            self.folders.clear()
        self.cost.seconds += time.perf_counter() - began
        return sorted({f"{what}: {', '.join(kinds)}" for what, kinds in hits if kinds})

    def _searched(self, folder: Path, known: Known) -> Iterator[tuple[str, list[str]]]:
        for path, found in files_below(folder):
            state = (found.st_mtime_ns, found.st_size)
            if known.get(path) != state:
                known[path] = state
                self.cost.files += 1
                self.cost.read += min(found.st_size, 2 * PIECE)
                kinds = search(Path(path), found.st_size)
                yield path, [] if kinds and is_copy(Path(path)) else kinds


def files_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file that is one, and that a rule does not allow to hold secrets."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = f"{place}/{name}"
            try:
                found = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) and not _is_allowed(name):
                yield path, found


def _any_of(patterns: Iterable[str]) -> Callable[[str], object]:
    return re.compile("|".join(map(translate, patterns))).match


_is_allowed = _any_of(pattern for pattern, _ in ALLOWED)
_is_whole = _any_of(WHOLE)


def is_copy(path: Path) -> bool:
    """Tell whether a file is one of this repository, byte for byte: it shows nothing that the repository does not."""
    tails = (ROOT.joinpath(*path.parts[-length:]) for length in range(1, len(path.parts)))
    return any(tail.is_file() and filecmp.cmp(path, tail, shallow=False) for tail in tails)


def search(path: Path, size: int) -> list[str]:
    """Return the kinds of secret in a file: ledgers, reports and logs wholly, of others the first and last 8 MiB."""
    whole = _is_whole(path.name)
    kinds: set[str] = set()
    try:
        with path.open("rb") as file:
            tail = b""
            while piece := file.read(PIECE):
                if may_hold(piece) or may_hold(tail + piece[:OVERLAP]):
                    kinds.update(found_in((tail + piece).decode("latin-1")))
                tail = piece[-OVERLAP:]
                if not whole and file.tell() < size - PIECE:
                    file.seek(size - PIECE)
                    tail = b""
    except OSError:  # taken away, or nobody's to read, on purpose
        return []
    return sorted(kinds)


def pieces_of(error: BaseException) -> Iterator[str]:
    """What an exception and everything that hangs on it says: causes, contexts, groups, notes, attributes."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield f"{type(each).__name__}: {each} {each.args!r} {getattr(each, '__notes__', ())} {vars(each)!r}"
        waiting += [each.__cause__, each.__context__]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def after(kind: type, name: str, look: Callable[..., None]) -> None:
    """Let ``look`` see the result and the arguments of every call of a method."""
    method: Any = getattr(kind, name)

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        look(result, *args, **kwargs)
        return result

    setattr(kind, name, called)


def watch(outputs: Outputs) -> None:
    """Let ``outputs`` know of whatever comes; once in a process."""

    def caught(_: Any, __: Any, ___: Any = None, error: BaseException | None = None, *____: Any) -> None:
        if error is not None:
            outputs.tell("a caught exception", "\n".join(pieces_of(error)))

    def started(_: Any, __: Any, args: Any, *___: Any, **____: Any) -> None:
        words = [args] if isinstance(args, str | bytes | os.PathLike) else list(args)
        outputs.tell("a command line", " ".join(os.fsdecode(word) for word in words))

    def printed(result: Any, *_: Any, **__: Any) -> None:
        for name, text in zip(("stdout", "stderr"), result, strict=True):
            if text:
                outputs.tell(f"{name} of a child process", text)

    def invoked(result: Any, *_: Any, **__: Any) -> None:
        outputs.tell("output of a command", result.output)
        if result.exception is not None:
            outputs.tell("exception of a command", "\n".join(pieces_of(result.exception)))

    def made(folder: Path, *_: Any, **__: Any) -> None:
        outputs.folders[folder] = {}

    after(pytest.RaisesExc, "__exit__", caught)
    after(pytest.RaisesGroup, "__exit__", caught)
    after(subprocess.Popen, "__init__", started)
    after(subprocess.Popen, "communicate", printed)
    after(CliRunner, "invoke", invoked)
    after(pytest.TempPathFactory, "mktemp", made)
