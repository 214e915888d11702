"""The token file: private, whole at every moment, never overwritten blindly."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.auth.auth_kit import (
    CLIENT_SECRET,
    ORG,
    T0,
    access,
    as_json,
    cancelled_after,
    mode_of,
    pair,
    renewal,
    shown,
    text_of,
    write_private,
)
from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.auth.open_store import load_credentials
from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import AuthError, ConfigError, TimedOut
from wxrec_async.model import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_private(tmp_path / "tokens.json", as_json(1, T0 + 0.5, scope="cjp:config", note="mine"))


async def test_a_file_is_read_with_its_fractional_expiry(path: Path) -> None:
    """``expires_at`` may be whole or fractional seconds."""
    tokens = await FileTokenStore(path).load()
    assert tokens == Tokens(Secret(access(1)), Secret(renewal(1)), T0 + 0.5, scope="cjp:config")


@pytest.mark.parametrize("expires_at", [None, "soon", 0, -1, 1_800_000_000_000, True])
async def test_a_token_without_usable_expiry_is_renewed_before_use(tmp_path: Path, expires_at: object) -> None:
    """``expires_in`` alone says nothing: nobody knows since when."""
    text = json.dumps({"access_token": "a", "refresh_token": "r", "expires_in": 1209599, "expires_at": expires_at})
    tokens = await FileTokenStore(write_private(tmp_path / "t.json", text)).load()
    assert not tokens.fresh(T0)
    assert not tokens.alive(T0)


async def test_saving_keeps_the_keys_of_others(path: Path) -> None:
    """Somebody else's notes in the file survive a refresh."""
    store = FileTokenStore(path)
    await store.load()
    await store.save(pair(2, T0 + 9))
    data = json.loads(text_of(path))
    assert data["note"] == "mine"
    assert (data["access_token"], data["refresh_token"], data["expires_at"]) == (access(2), renewal(2), T0 + 9)


@pytest.mark.fault("T10", "L15", "X10")
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
async def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """0600, no more and no less, for the file and its lock."""
    store = FileTokenStore(tmp_path / "tokens.json")
    before = os.umask(umask)
    try:
        await store.save(pair(1, T0))
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "tokens.json") == 0o600
    assert (await store.load()).access_token == Secret(access(1))


@pytest.mark.fault("X10")
async def test_the_lock_file_is_private_too(path: Path) -> None:
    """Nobody else can hold up a refresh by locking it."""
    before = os.umask(0)
    try:
        async with FileTokenStore(path).lock():
            pass
    finally:
        os.umask(before)
    assert mode_of(path.with_name("tokens.json.lock")) == 0o600


@pytest.mark.fault("T10")
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "NaN", '"text"', "\x00", "[" * 100_000, '{"a": "CANARY-X'])
async def test_a_file_that_cannot_be_parsed_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    """Not for reading and not for overwriting; and nothing of it is shown."""
    path = write_private(tmp_path / "tokens.json", text)
    store = FileTokenStore(path)
    with pytest.raises(ConfigError, match=r"tokens\.json") as read:
        await store.load()
    with pytest.raises(ConfigError, match=r"tokens\.json") as written:
        await store.save(pair(2, T0))
    assert text_of(path) == text
    assert "CANARY" not in shown(read.value, written.value)


@pytest.mark.fault("T10", "X10")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
async def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(path: Path, mode: int) -> None:
    """Its secrets may be known already, so it is not silently repaired."""
    os.chmod(path, mode)  # noqa: PTH101
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        await FileTokenStore(path).load()
    with pytest.raises(ConfigError, match="chmod"):
        await FileTokenStore(path).save(pair(2, T0))
    assert mode_of(path) == mode


@pytest.mark.fault("T10", "X10")
async def test_links_folders_pipes_and_strangers_files_are_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a message that names the file; a pipe is not waited for."""
    link, folder, pipe = tmp_path / "link.json", tmp_path / "folder.json", tmp_path / "pipe.json"
    link.symlink_to(path)
    folder.mkdir()
    os.mkfifo(pipe, 0o600)
    for bad, said in ((link, "symbolic link"), (folder, "regular file"), (pipe, "regular file")):
        with anyio.fail_after(30), pytest.raises(ConfigError, match=f"{bad.name}.*{said}"):
            await FileTokenStore(bad).load()
    assert link.is_symlink()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="another user"):
        await FileTokenStore(path).load()


async def test_a_missing_file_or_refresh_token_asks_to_log_in(tmp_path: Path) -> None:
    """That is an authentication matter, not one of configuration."""
    with pytest.raises(AuthError, match="wxrec-async login"):
        await FileTokenStore(tmp_path / "none.json").load()
    bare = write_private(tmp_path / "tokens-bare.json", json.dumps({"access_token": access(1), "expires_at": T0}))
    with pytest.raises(AuthError, match="wxrec-async login"):
        await FileTokenStore(bare).load()


@pytest.mark.fault("T10")
async def test_what_a_crash_left_behind_is_removed_by_the_next_save(path: Path) -> None:
    """The old file is whole, the half-written one goes, other files stay."""
    left = write_private(path.with_name(".tokens.json.0123456789abcdef.tmp"), '{"acc')
    other = write_private(path.with_name(".other.json.0123456789abcdef.tmp"), "x")
    store = FileTokenStore(path)
    assert (await store.load()).refresh_token == Secret(renewal(1))
    await store.save(pair(2, T0))
    assert not left.exists()
    assert other.exists()
    assert sorted(found.name for found in path.parent.iterdir()) == [other.name, "tokens.json"]


@contextmanager
def no_room() -> Iterator[None]:
    """Let every write to a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.fault("T05")
async def test_a_save_without_room_leaves_the_old_file_whole_and_nothing_beside_it(path: Path) -> None:
    """A real failing write, not a pretended one."""
    before, store = text_of(path), FileTokenStore(path)
    said = r"could not be saved to .*tokens\.json: File too large"
    with no_room(), pytest.raises(AuthError, match=said) as failed:
        await store.save(pair(2, T0))
    assert text_of(path) == before
    assert [found.name for found in path.parent.iterdir()] == ["tokens.json"]
    assert "CANARY" not in shown(failed.value)


@pytest.mark.fault("L18", "X10")
async def test_a_save_is_written_synced_renamed_and_the_folder_synced_in_this_order(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durable on return, and never a name on unwritten bytes."""
    steps: list[str] = []
    real_sync, real_rename, real_write = os.fsync, os.rename, os.write

    def sync(fd: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        real_sync(fd)

    def rename(source: Path, target: Path) -> None:
        steps.append("rename")
        real_rename(source, target)

    def write(fd: int, text: memoryview) -> int:
        if "write" not in steps and len(text) > 50:
            steps.append("write")
        return real_write(fd, text)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "write", write)
    await FileTokenStore(path).save(pair(2, T0))
    assert steps == ["write", "sync file", "rename", "sync folder"]


async def test_a_second_holder_waits_for_the_lock_and_a_cancelled_one_leaves_it_free(path: Path) -> None:
    """Two stores on one file stand for two processes: flock belongs to the open file."""
    first, second, third = (FileTokenStore(path) for _ in range(3))
    order: list[str] = []

    async def hold(store: FileTokenStore, name: str) -> None:
        async with store.lock():
            order.append(name)

    async with anyio.create_task_group() as group, first.lock():
        await cancelled_after(20, lambda: hold(second, "cancelled"))
        group.start_soon(hold, third, "third")
        await anyio.sleep(0.05)
        order.append("first")
    assert order == ["first", "third"]


async def test_a_lock_held_for_ever_is_not_waited_for_for_ever(path: Path) -> None:
    """A stopped process must not stop all others."""
    async with FileTokenStore(path).lock():
        with pytest.raises(TimedOut, match=r"tokens\.json\.lock"):
            async with FileTokenStore(path, lock_wait_s=0.05).lock():
                pass


async def test_where_no_lock_file_can_be_made_the_folder_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder must not end a run that can go on in memory; others are still kept out."""
    real_open = os.open

    def read_only(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return real_open(name, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    async with FileTokenStore(path).lock():
        with pytest.raises(TimedOut):
            async with FileTokenStore(path, lock_wait_s=0.05).lock():
                pass


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
async def test_a_missing_credential_is_named_with_its_file(tmp_path: Path, missing: str) -> None:
    """One clear line that names file and key."""
    data = {"client_id": "c", "client_secret": CLIENT_SECRET, "org_id": ORG}
    del data[missing]
    path = write_private(tmp_path / "secrets.json", json.dumps(data))
    with pytest.raises(ConfigError, match=rf"secrets\.json.*{missing}") as refused:
        await load_credentials(str(path))
    assert CLIENT_SECRET not in shown(refused.value)


@pytest.mark.fault("X10")
async def test_credentials_are_read_from_a_private_file_only(tmp_path: Path) -> None:
    """And do not show what they hold."""
    data = {"client_id": "c", "client_secret": CLIENT_SECRET, "org_id": ORG}
    path = write_private(tmp_path / "secrets.json", json.dumps(data))
    credentials = await load_credentials(str(path))
    assert (credentials.client_id, credentials.client_secret.reveal(), credentials.org_id) == ("c", CLIENT_SECRET, ORG)
    assert CLIENT_SECRET not in shown(credentials)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await load_credentials(str(path))
    with pytest.raises(ConfigError, match="does not exist"):
        await load_credentials(str(tmp_path / "none.json"))
