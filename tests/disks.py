"""Small file systems of their own, for what happens when a disk is full, has no inodes, or cannot be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20


def _carried_out(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[Path]:
    """Lend a file system mounted at ``place`` with these arguments of mount(8); skips where mounting is not allowed."""
    place.mkdir()
    if not _carried_out("mount", *arguments, str(place)):
        pytest.skip("this test mounts a small file system, which is not allowed here")
    try:
        yield place
    finally:
        # Lazily: what a failed test left open in there must not keep it mounted.
        _carried_out("umount", "--lazy", str(place))


@contextmanager
def memory_disk(place: Path, options: str = "size=8m") -> Iterator[Path]:
    """Lend a file system in memory."""
    with mounted(place, "-t", "tmpfs", "-o", options, "none") as disk:
        yield disk


@contextmanager
def block_disk(place: Path, *, mib: int = 4, block: int = 1024) -> Iterator[Path]:
    """Lend an ext4 in a file, with blocks smaller than a page of memory."""
    image = place.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(mib * MIB)
    if not _carried_out("mkfs.ext4", "-q", "-m", "0", "-b", str(block), "-F", str(image)):
        pytest.skip("this test makes an ext4, and mkfs.ext4 is not here")
    with mounted(place, "-o", "loop", str(image)) as disk:
        yield disk


def make_read_only(disk: Path) -> None:
    """Mount what is mounted there read-only."""
    assert _carried_out("mount", "-o", "remount,ro", str(disk))


def fill(disk: Path, leave: int = 0) -> None:
    """Write until only about ``leave`` bytes are free."""
    with disk.joinpath("filling").open("wb", buffering=0) as file:
        for size in (64 << 10, 1 << 10):
            while _free(disk) - leave >= size:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
                os.fsync(file.fileno())


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bfree * found.f_frsize
