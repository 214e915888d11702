"""What the process asks of the operating system: no core dumps, room for its connections."""

from __future__ import annotations

import faulthandler
import resource

from wxrec_async.config import Settings

SPARE = 96  # API and token connections, ledger, DNS, standard streams, libraries' own
USABLE = 0.8


def forbid_core_dumps() -> None:
    """Keep tokens out of crash files, and what was going on out of a crash's last words."""
    # The hard limit, too: nothing that is loaded later can raise it again.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # PYTHONFAULTHANDLER, or an interpreter that was started with it


def files_for(settings: Settings, concurrency: int) -> int:
    """Return how many descriptors ``concurrency`` workers need, at most: a download and their parts each."""
    parts = settings.memory.pool // (settings.s3.part_size_mib << 20)
    # A part under way is a part in memory, and the pool has room for so many.
    uploads = max(concurrency, min(concurrency * settings.s3.part_concurrency, parts))
    return concurrency + uploads + SPARE


def raise_file_limit(settings: Settings) -> int:
    """Raise the limit of open files as far as needed; return the concurrency there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = round(files_for(settings, settings.backfill.concurrency) / USABLE) + 1
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fitting = settings.backfill.concurrency
    # One by one: because of the pool the need is no straight line.
    while fitting > 1 and soft != unlimited and files_for(settings, fitting) > soft * USABLE:
        fitting -= 1
    return fitting
