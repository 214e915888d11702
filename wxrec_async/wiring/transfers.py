"""What moves the recordings, put together from the settings: one machine and a fleet get the same."""

from __future__ import annotations

from wxrec_async.config import Settings
from wxrec_async.events import Emit
from wxrec_async.flow.rate_limited import limited
from wxrec_async.flow.sidecar_writer import RecordSource, SidecarBucket, Sidecars, Tasks
from wxrec_async.flow.transfer import MediaSource, ObjectStore, Transfer, TransferLimits, UploadLog
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.rules import keys


def make_transfer(settings: Settings, media: MediaSource, store: ObjectStore, log: UploadLog, emit: Emit) -> Transfer:
    """Return what takes recordings from ``media`` into ``store``, at the rate and in the memory of the settings."""
    plan = settings.memory
    limits = TransferLimits(
        part_size=settings.s3.part_size_mib << 20,
        parts_in_flight=settings.s3.part_concurrency,
        pipe=plan.pipe,
        bodies=plan.bodies,
        overwrite=settings.s3.overwrite,
        sha256=settings.evidence.sha256,
    )
    # The limit is on the way in: what goes out to S3 is the same bytes, and the pipe holds the rest back.
    source = limited(media, settings.backfill.max_mib_per_second)
    # One pool for all recordings: the ceiling that is printed is that of the whole process.
    return Transfer(source, store, log, MemoryPool(plan.pool), limits, emit)


def make_sidecars(
    settings: Settings,
    org_id: str,
    bucket: SidecarBucket,
    tasks: Tasks,
    emit: Emit,
    records: RecordSource | None = None,
) -> Sidecars:
    """Return what writes a task's sidecar; whether there are to be any is for the caller to know."""
    return Sidecars(
        bucket,
        tasks,
        template=settings.s3.key,
        masked=settings.ledger.phone_numbers != "plain",
        metadata={"wx-org-id": keys.encode_id(org_id)},
        emit=emit,
        records=records,
    )
