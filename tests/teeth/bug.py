"""What a planted bug is, and how it gets into a copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``old``, which stands exactly once in the file ``path`` of the package, by ``new``."""

    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Change the file below ``root``; raises LookupError when the source has moved on."""
        file = root / "wxrec_async" / self.path
        text = file.read_text("utf-8") if file.exists() else ""
        if (count := text.count(self.old)) != 1:
            raise LookupError(f"{self.path}: stands there {count} times, not once:\n{self.old}")
        changed = text.replace(self.old, self.new)
        compile(changed, str(file), "exec")
        file.write_text(changed, "utf-8")


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake somebody could make.  ``tests`` are those that should notice, the quickest first."""

    name: str
    words: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def plant(self, root: Path) -> None:
        """Put the bug into the copy below ``root``; raises LookupError when the source has moved on."""
        for edit in self.edits:
            edit.apply(root)
