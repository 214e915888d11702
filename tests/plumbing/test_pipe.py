"""The pipe: an end is not a failure, and nobody outruns anybody."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wxrec_async.plumbing.pipe import Pipe, PipeBroken

from .virtual import run

pytestmark = pytest.mark.anyio


async def collected(pipe: Pipe) -> bytes:
    return b"".join([bytes(chunk) async for chunk in pipe])


async def test_the_reader_gets_every_byte_in_order_and_then_the_end() -> None:
    """What was sent before `finish` arrives whole."""
    pipe = Pipe(4)
    async with anyio.create_task_group() as group:

        async def write() -> None:
            for chunk in (b"ab", b"cd", b"", b"efghij", memoryview(b"k")):
                await pipe.send(chunk)
            pipe.finish()

        group.start_soon(write)
        assert await collected(pipe) == b"abcdefghijk"
    assert pipe.sent == pipe.taken == 11


async def test_what_is_known_of_a_chunk_comes_with_it() -> None:
    """The checksum is that of the chunk taken last, none when its writer gave none."""
    pipe = Pipe(9)
    for chunk, crc in ((b"ab", 1), (b"cd", None), (b"ef", 3)):
        await pipe.send(chunk, crc)
    pipe.finish()
    got = [(taken, pipe.crc32) async for taken in pipe]
    assert got == [(b"ab", 1), (b"cd", None), (b"ef", 3)]


async def test_a_pipe_that_finished_empty_ends_at_once() -> None:
    """No bytes and an end is an end."""
    pipe = Pipe(1)
    pipe.finish()
    assert await collected(pipe) == b""


@pytest.mark.fault("D05")
async def test_a_failure_comes_after_the_bytes_sent_before_it() -> None:
    """The reader sees what there was, then why there is no more; never an end."""
    pipe = Pipe(100)
    await pipe.send(b"half")
    pipe.fail(ValueError("cut"))
    chunks = aiter(pipe)
    assert await anext(chunks) == b"half"
    with pytest.raises(ValueError, match="cut"):
        await anext(chunks)


async def test_a_failure_stays_a_failure_however_often_the_reader_asks() -> None:
    """An iterator that has raised once must not say "the end" the second time."""
    pipe = Pipe(100)
    pipe.fail(ValueError("cut"))
    chunks = aiter(pipe)
    for _ in range(3):
        with pytest.raises(ValueError, match="cut"):
            await anext(chunks)


async def test_a_reader_cancelled_while_waiting_has_not_read_the_end() -> None:
    """After a cancelled wait the same iterator goes on where it was; it does not end."""
    pipe = Pipe(100)
    chunks = aiter(pipe)
    with anyio.move_on_after(1):
        await anext(chunks)
    await pipe.send(b"late")
    pipe.finish()
    assert [bytes(chunk) async for chunk in chunks] == [b"late"]


async def test_a_writer_cancelled_while_waiting_has_sent_nothing_of_that_chunk() -> None:
    """`sent` counts whole chunks only, and the next one finds its room."""
    pipe = Pipe(2)
    await pipe.send(b"ab")
    with anyio.move_on_after(1) as scope:
        await pipe.send(b"cd")
    assert scope.cancelled_caught
    assert pipe.sent == 2
    pipe.finish()
    assert await collected(pipe) == b"ab"


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_an_end_that_comes_while_a_writer_waits_refuses_its_chunk(end: str) -> None:
    """A chunk that did not get in before the end is refused loudly, never counted and dropped."""
    pipe = Pipe(2)
    await pipe.send(b"ab")
    refused: list[BaseException] = []

    async def write() -> None:
        try:
            await pipe.send(b"cd")
        except RuntimeError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        pipe.finish() if end == "finish" else pipe.fail(ValueError("cut"))
    assert len(refused) == 1
    assert pipe.sent == 2


@pytest.mark.parametrize("end", ["finish", "fail"])
async def test_an_end_wakes_a_reader_that_waits(end: str) -> None:
    """Neither end leaves the reader hanging."""
    pipe = Pipe(2)
    seen: list[object] = []

    async def read() -> None:
        try:
            seen.append(await collected(pipe))
        except ValueError as error:
            seen.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        pipe.finish() if end == "finish" else pipe.fail(ValueError("cut"))
    assert seen == [b"" if end == "finish" else "cut"]


async def test_leaving_the_context_without_finish_is_a_failure() -> None:
    """A writer that forgets to finish has not finished."""
    pipe = Pipe(10)
    with pipe:
        await pipe.send(b"half")
    with pytest.raises(PipeBroken):
        await collected(pipe)


async def test_leaving_the_context_with_an_exception_hands_it_on() -> None:
    """The reader learns why the writer left."""
    pipe = Pipe(10)
    with pytest.raises(ValueError, match="cut"), pipe:
        raise ValueError("cut")
    with pytest.raises(ValueError, match="cut"):
        await collected(pipe)


async def test_a_cancelled_writer_does_not_cancel_the_reader() -> None:
    """Its cancellation is a broken pipe to the reader: raised there it would pass for the reader's own."""
    pipe = Pipe(1)
    with anyio.move_on_after(1), pipe:
        await pipe.send(b"a")
        await pipe.send(b"b")
    with pytest.raises(PipeBroken):
        await collected(pipe)


async def test_leaving_the_context_after_finish_is_the_end() -> None:
    """A failure behind the last byte takes nothing back."""
    pipe = Pipe(10)
    with pipe:
        await pipe.send(b"all")
        pipe.finish()
        pipe.finish()
    pipe.fail(ValueError("late"))
    assert await collected(pipe) == b"all"


async def test_the_first_failure_stays() -> None:
    """What came first is the cause."""
    pipe = Pipe(10)
    pipe.fail(ValueError("first"))
    pipe.fail(ValueError("second"))
    with pytest.raises(RuntimeError):
        pipe.finish()
    with pytest.raises(ValueError, match="first"):
        await collected(pipe)


async def test_nothing_can_be_sent_after_the_end() -> None:
    """A late chunk is an error of the program."""
    pipe = Pipe(10)
    pipe.finish()
    with pytest.raises(RuntimeError):
        await pipe.send(b"late")


async def test_a_reader_that_leaves_wakes_and_stops_the_writer() -> None:
    """A waiting writer is not left hanging, and the next send fails too."""
    pipe = Pipe(1)
    await pipe.send(b"a")
    async with anyio.create_task_group() as group:

        async def write() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await pipe.send(b"b")

        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        pipe.abandon()
    pipe.abandon()
    with pytest.raises(anyio.BrokenResourceError):
        await pipe.send(b"c")


def test_a_pipe_needs_room() -> None:
    """A pipe of nothing would let nothing through."""
    with pytest.raises(ValueError, match="at least one byte"):
        Pipe(0)


@pytest.mark.fault("R01")
@settings(max_examples=100)
@given(
    limit=st.integers(1, 50),
    sizes=st.lists(st.integers(0, 80), max_size=30),
    naps=st.lists(st.sampled_from([0, 1, 3]), min_size=1, max_size=5),
)
def test_never_more_than_the_limit_lies_in_the_pipe(limit: int, sizes: list[int], naps: list[int]) -> None:
    """Sent and not taken is at most the limit, or one chunk that is larger than it."""
    pipe = Pipe(limit)
    bound = max([limit, *sizes])

    async def write() -> None:
        for size in sizes:
            await pipe.send(bytes(size))
            assert pipe.sent - pipe.taken <= max(limit, size)
        pipe.finish()

    async def main() -> None:
        got = 0
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            async for chunk in pipe:
                assert pipe.sent - pipe.taken <= bound
                got += len(chunk)
                await anyio.sleep(naps[got % len(naps)])
        assert got == sum(sizes)

    run(main)


class PipeAgainstModel(RuleBasedStateMachine):
    """Any order of events, against a list of bytes: a normal end means that every byte was got."""

    def __init__(self) -> None:
        super().__init__()
        self.pipe = Pipe(8)
        self.accepted = b""
        self.got = b""
        self.ended: str | None = None
        self.outcome: str | None = None

    def _drive(self, *steps: object) -> None:
        """Let each step run until it would wait, then cancel it."""

        async def main() -> None:
            async with anyio.create_task_group() as group:
                for step in steps:
                    group.start_soon(step)  # type: ignore[arg-type]
                for _ in range(5):
                    await checkpoint()
                group.cancel_scope.cancel()

        run(main)

    @rule(chunk=st.binary(min_size=1, max_size=12))
    def send(self, chunk: bytes) -> None:
        async def step() -> None:
            try:
                await self.pipe.send(chunk)
            except RuntimeError:
                assert self.ended is not None
            except anyio.BrokenResourceError:
                assert self.outcome == "left"
            else:
                assert self.ended is None
                self.accepted += chunk

        self._drive(step)

    @precondition(lambda self: self.outcome != "left")
    @rule(most=st.integers(1, 3))
    def receive(self, most: int) -> None:
        async def step() -> None:
            chunks = aiter(self.pipe)
            try:
                for _ in range(most):
                    self.got += bytes(await anext(chunks))
            except StopAsyncIteration:
                self.outcome = "end"
            except ValueError:
                self.outcome = "failure"

        self._drive(step)

    @rule()
    def finish(self) -> None:
        if self.ended == "fail":
            with pytest.raises(RuntimeError):
                self.pipe.finish()
        else:
            self.pipe.finish()
            self.ended = "finish"

    @rule()
    def fail(self) -> None:
        self.pipe.fail(ValueError("cut"))
        self.ended = self.ended or "fail"

    @precondition(lambda self: self.outcome is None)
    @rule()
    def abandon(self) -> None:
        self.pipe.abandon()
        self.outcome = "left"

    @invariant()
    def what_was_got_is_a_beginning_of_what_was_sent(self) -> None:
        assert self.accepted.startswith(self.got)
        assert self.pipe.sent == len(self.accepted)
        assert self.pipe.taken == len(self.got)

    @invariant()
    def an_end_means_everything(self) -> None:
        if self.outcome == "end":
            assert self.ended == "finish"
            assert self.got == self.accepted
        if self.outcome == "failure":
            assert self.ended == "fail"


TestPipeAgainstModel = PipeAgainstModel.TestCase
TestPipeAgainstModel.settings = settings(max_examples=60, stateful_step_count=20)
