"""Tokens in a private file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread

from wxrec_async.auth import secret_files
from wxrec_async.auth.token_store import LOCK_WAIT_S
from wxrec_async.auth.token_values import LOGIN_HINT, Tokens, parse_object, tokens_from, tokens_to
from wxrec_async.errors import AuthError, TimedOut
from wxrec_async.plumbing.private_files import read_private


class FileTokenStore:
    """Tokens in one file of mode 0600, replaced atomically; other processes are kept out by flock."""

    def __init__(self, path: str | Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._path = Path(path)
        self._lock_wait_s = lock_wait_s

    async def load(self) -> Tokens:
        """Read the file; see `TokenStore.load`."""
        text = await to_thread.run_sync(read_private, self._path)
        if text is None:
            raise AuthError(f"the token file {self._path} does not exist: {LOGIN_HINT}")
        return tokens_from(parse_object(text, str(self._path)), str(self._path))

    async def save(self, tokens: Tokens) -> None:
        """Replace the file, or create it; see `TokenStore.save`."""
        await to_thread.run_sync(self._save, tokens)

    def _save(self, tokens: Tokens) -> None:
        # Read once more: others keep keys of their own in it, and what is no file of ours must not be written over.
        present = read_private(self._path)
        kept = {} if present is None else parse_object(present, str(self._path))
        text = json.dumps(tokens_to(tokens, kept), indent=2, ensure_ascii=False) + "\n"
        failure = secret_files.replace_private(self._path, text.encode("utf-8", "surrogatepass"))
        if failure is not None:
            raise AuthError(f"the token could not be saved to {self._path}: {failure}")

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold ``<file>.lock``; see `TokenStore.lock`."""
        held = await to_thread.run_sync(secret_files.open_lock, self._path)
        try:
            await self._acquire(held)
            yield
        finally:
            held.close()

    async def _acquire(self, held: secret_files.LockFile) -> None:
        """Ask again and again: a thread blocked in flock could be neither cancelled nor joined."""
        pause, deadline = 0.01, anyio.current_time() + self._lock_wait_s
        while not held.try_lock():
            if anyio.current_time() >= deadline:
                raise TimedOut(f"another process has held {self._path}.lock for {self._lock_wait_s:g} s")
            await anyio.sleep(pause)
            pause = min(pause * 1.5, 0.25)
