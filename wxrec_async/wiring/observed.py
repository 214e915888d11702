"""The plumbing of every world, telling what it does as events."""

from __future__ import annotations

from wxrec_async.errors import RemoteError
from wxrec_async.events import Emit, Paused, Retrying, Warned
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import Retrier, RetryPolicy
from wxrec_async.rules.redact import redact_text


def observed_gate(server: str, emit: Emit) -> CircuitBreaker:
    """Return the gate in front of ``server``; everybody hears when it shuts."""
    return CircuitBreaker(on_close=lambda seconds: emit(Paused(seconds, f"{server} asks to wait")))


def observed_reach(emit: Emit) -> NetworkMonitor:
    """Return what knows whether the network is down, and says so once."""
    return NetworkMonitor(
        on_down=lambda: emit(Warned("network_down", "nothing answers; waiting for the network")),
        on_up=lambda seconds: emit(Warned("network_up", f"the network is back after {seconds:.0f} s")),
    )


def observed_retrier(judge: RetryPolicy, gate: CircuitBreaker, reach: NetworkMonitor, emit: Emit) -> Retrier:
    """Return a retrier whose every further try is an event, its failure redacted."""

    def on_retry(operation: str, attempt: int, after_s: float, trouble: RemoteError) -> None:
        # Redacted here already: an embedding program hears events, not the lines of the log.
        emit(Retrying(operation, attempt, after_s, redact_text(str(trouble))))

    return Retrier(judge, gate=gate, reach=reach, on_retry=on_retry)
