"""The plumbing of every world, telling what it does as events."""

from __future__ import annotations

from wxrec_async.errors import Trouble
from wxrec_async.events import Emit, Paused, Retrying, Warned
from wxrec_async.plumbing.pacer import Gate
from wxrec_async.plumbing.reach import Reach
from wxrec_async.plumbing.retrying import Judge, Retrier
from wxrec_async.rules.redact import redact_text


def telling_gate(server: str, emit: Emit) -> Gate:
    """Return the gate in front of ``server``; everybody hears when it shuts."""
    return Gate(on_close=lambda seconds: emit(Paused(seconds, f"{server} asks to wait")))


def telling_reach(emit: Emit) -> Reach:
    """Return what knows whether the network is down, and says so once."""
    return Reach(
        on_down=lambda: emit(Warned("network_down", "nothing answers; waiting for the network")),
        on_up=lambda seconds: emit(Warned("network_up", f"the network is back after {seconds:.0f} s")),
    )


def telling_retrier(judge: Judge, gate: Gate, reach: Reach, emit: Emit) -> Retrier:
    """Return a retrier whose every further try is an event, its failure redacted."""

    def on_retry(operation: str, attempt: int, after_s: float, trouble: Trouble) -> None:
        emit(Retrying(operation, attempt, after_s, redact_text(str(trouble))))

    return Retrier(judge, gate=gate, reach=reach, on_retry=on_retry)
