"""The README, taken apart: fenced blocks, code in running text, headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")
_BLOCK = re.compile(
    r"(?:^<!-- (?P<name>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``name`` is what the comment just above it says, ``section`` the heading it stands under."""

    language: str
    body: str
    name: str
    section: str
    line: int


def blocks(language: str | None = None) -> list[Block]:
    """Return every fenced block of a language, or all, from top to bottom."""
    found = [
        Block(match["language"], match["body"], match["name"] or "", _section(match.start()), _line(match.start()))
        for match in _BLOCK.finditer(TEXT)
    ]
    return [block for block in found if language in (None, block.language)]


def named(name: str) -> Block:
    """Return the one block of that name."""
    (found,) = [block for block in blocks() if block.name == name]
    return found


def code_spans() -> list[str]:
    """Return what stands between single backticks outside fenced blocks, each once."""
    prose = _BLOCK.sub("", TEXT)
    return list(dict.fromkeys(re.findall(r"`([^`\n]+)`", prose)))


def command_lines() -> list[str]:
    """Return every command line of the program: of shell blocks and of running text."""
    of_blocks = [line for block in blocks("bash") for line in _joined(block.body).splitlines()]
    lines = [line for line in [*of_blocks, *code_spans()] if re.search(r"(^|[/\s])wxrec-async(\s|$)", line)]
    return [part for line in lines for part in re.split(r"&&|\|\|", line) if "wxrec-async" in part]


def headings() -> list[str]:
    return re.findall(r"^#{1,3} (.+)$", _BLOCK.sub("", TEXT), re.MULTILINE)


def _joined(body: str) -> str:
    return body.replace("\\\n", " ")


def _section(place: int) -> str:
    found = re.findall(r"^## (.+)$", TEXT[:place], re.MULTILINE)
    return found[-1] if found else ""


def _line(place: int) -> int:
    return TEXT.count("\n", 0, place) + 1
