"""The examination from its first line to its last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wxrec_async.config import Settings, load_config_with_origins, no_bucket
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.policies import asked_period
from wxrec_async.rules import diagnosis
from wxrec_async.rules.diagnosis import Finding, failed, good
from wxrec_async.setup.doctor.bucket_checks import BUCKET_NAMES, BucketChecks, opened_bucket
from wxrec_async.setup.doctor.ledger_file import examine_place
from wxrec_async.setup.doctor.notes import Notes
from wxrec_async.setup.doctor.phone_key import examine_phone_key
from wxrec_async.setup.doctor.webex_checks import examine_webex
from wxrec_async.wiring.account import Injected

Tell = Callable[[Finding], None]


def _tell_nobody(finding: Finding) -> None:
    """Be the listener of those who wait for the list."""


async def examine(  # noqa: PLR0913 - all but one have defaults
    settings: Settings,
    *,
    on_finding: Tell = _tell_nobody,
    emit: Emit = ignore,
    given: Injected | None = None,
    renew: bool = False,
    make_phone_key: bool = False,
    clock: Callable[[], float] = time.time,
    origin: str = "the settings",
    warnings: Sequence[str] = (),
) -> list[Finding]:
    """Look at everything a backfill needs; return one finding each, in a fixed order, told as they are made.

    Goes on after a failure as far as that makes sense.  Nothing is raised for what is wrong.
    Nothing is left behind: the only things written are a renewed token, when the stored one
    is stale or ``renew`` asks for it, a key for phone numbers when ``make_phone_key`` does, and a multipart upload
    that is aborted again.
    ``clock`` is epoch seconds, ``origin`` is what the first line calls the settings, ``warnings``
    what `load_config_with_origins` said of them.
    """
    notes = Notes(on_finding, clock)
    notes.add(_configuration(settings, origin, clock(), warnings))
    if make_phone_key or settings.ledger.phone_numbers == "hashed":
        notes.add(await examine_phone_key(settings, given or Injected(), make=make_phone_key))
    # Webex first: the ledger is compared with the organisation that it names, and its answers tell the time.
    org_id = await examine_webex(settings, given or Injected(), notes, emit, renew=renew)
    await _examine_bucket(settings, notes)
    notes.add(await examine_place(settings, org_id))
    return notes.findings


async def examine_file(
    path: Path | str | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    on_finding: Tell = _tell_nobody,
    emit: Emit = ignore,
    renew: bool = False,
    make_phone_key: bool = False,
) -> list[Finding]:
    """Read the settings as `load_config` does, then `examine`; settings that cannot be read are the only finding."""
    try:
        loaded = load_config_with_origins(path, overrides=overrides)
    except ConfigError as error:
        finding = failed("configuration", error)
        on_finding(finding)
        return [finding]
    # Without a path the file in the working directory counts only if a value came from it.
    named = path or (Path("config.toml") if any(name == "config.toml" for name in loaded.origins.values()) else None)
    origin = str(named) if named else "environment and defaults"
    return await examine(
        loaded.settings,
        on_finding=on_finding,
        emit=emit,
        renew=renew,
        make_phone_key=make_phone_key,
        origin=origin,
        warnings=loaded.warnings,
    )


def _configuration(settings: Settings, origin: str, now: float, warnings: Sequence[str]) -> Finding:
    name = "configuration"
    if not settings.s3.bucket:
        return failed(name, no_bucket())
    # By the way a run asks for its period: a --from in the future shows here and not after the first login.
    try:
        asked_period(settings, round(now * 1000))
    except ConfigError as error:
        return failed(name, error)
    return good(name, f"{origin}: every key is known and usable", "; ".join(warnings))


async def _examine_bucket(settings: Settings, notes: Notes) -> None:
    """Look at the bucket; what its servers say of the time belongs before it."""
    if not settings.s3.bucket:
        # S3 will not be asked, so Webex's servers are all there is to tell the time by.
        notes.add(diagnosis.clock(notes.skews))
        notes.skip(BUCKET_NAMES, "not known before [s3] bucket is set")
        return
    try:
        async with opened_bucket(settings, notes) as bucket:
            await _examine_opened(bucket, notes)
    except ConfigError as error:  # no credentials, no profile, no CA bundle
        notes.add(diagnosis.clock(notes.skews))
        notes.add(failed("bucket", error))
        notes.skip(BUCKET_NAMES[1:], "not known before the bucket can be asked")


async def _examine_opened(bucket: BucketChecks, notes: Notes) -> None:
    # Looked at before the clock is judged, judged after it: S3 tells the time too, and refuses who is too far off it.
    looked = await bucket.look()
    notes.add(diagnosis.clock(notes.skews, bucket.host if looked.too_skewed else ""))
    await bucket.examine(looked)
