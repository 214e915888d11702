"""A new ledger from the bucket, when the old one is lost or damaged; or what the bucket has more than an older one.

Every object of ours names its task and recording in its metadata; what is found
so becomes stored, and the tasks are asked for once more, because the bucket
shows what is there, not what is missing.  So the next run costs its calls to
Webex and not one download.  Sidecars tell what else was known: queue, agent,
direction, numbers, and what Webex deleted before it could be stored.
"""

from __future__ import annotations

import enum
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.operator import current_operator
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, EXIT_OK, SUMMARY_SCHEMA
from wxrec_async.ledger import Everything, FoundRecording, Identity, Replacement, SqliteLedger, open_replacement
from wxrec_async.model import StoredObject
from wxrec_async.plumbing.for_each import each_fed
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.sidecars import MOST_BYTES, Described, read_back
from wxrec_async.s3.reader import KeyPage, S3ReadStore
from wxrec_async.wiring.account import Injected, load_secrets
from wxrec_async.wiring.bucket import is_denied, number_mask, open_bucket, open_ledger_of

# So many objects are named in the report; what is beyond that is counted, or a foreign bucket would fill the memory.
KEPT = 1000


class Why(enum.StrEnum):
    """Why an object was not taken.

    ``UNLABELLED``: its metadata names no task and recording, so it is not ours.
    ``HASHED``: its ids were too long to be kept whole and cannot be read back.
    ``OTHER_ORGANISATION``.  ``MISPLACED``: the key is none this template makes
    for the recording, a copy perhaps.  ``DUPLICATE``: the recording was found
    under another key before.  ``UNREADABLE``: S3 does not let us look.
    ``NO_SIDECAR``: it has the key of a sidecar and says nothing of that task.
    ``KNOWN``: something is known of it in the ledger that is added to.
    """

    UNLABELLED = "unlabelled"
    HASHED = "hashed"
    OTHER_ORGANISATION = "other_organisation"
    MISPLACED = "misplaced"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"
    NO_SIDECAR = "no_sidecar"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class SkippedObject:
    """An object that was not taken into the ledger."""

    key: str
    why: Why
    detail: str = ""
    denied: bool = False


@dataclass(slots=True)
class RebuildReport:
    """What was found.  ``set_aside`` is where the damaged ledger lies now, ``named`` the first thousand left out."""

    path: Path
    run_id: str
    prefix: str
    objects: int = 0
    recordings: int = 0
    bytes: int = 0
    tasks: int = 0
    sidecars: int = 0
    left_out: Counter[Why] = field(default_factory=Counter)
    denied: int = 0
    seconds: float = 0.0
    set_aside: Path | None = None
    named: list[SkippedObject] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 0, 4 when S3 let us not look at some objects, 3 when it failed otherwise to show them."""
        if self.denied:
            return EXIT_AUTH
        return EXIT_FAILED if self.left_out[Why.UNREADABLE] else EXIT_OK

    def leave_out(self, left: SkippedObject) -> None:
        """Count one that is not taken; name it when somebody may want to know which."""
        self.left_out[left.why] += 1
        self.denied += left.denied
        if left.why is not Why.KNOWN and len(self.named) < KEPT:
            self.named.append(left)

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "ledger": str(self.path),
            "set_aside": str(self.set_aside) if self.set_aside else None,
            "run_id": self.run_id,
            "prefix": self.prefix,
            "objects": self.objects,
            "tasks": self.tasks,
            "recordings": self.recordings,
            "bytes": self.bytes,
            "sidecars": self.sidecars,
            "left_out": {why.value: self.left_out[why] for why in Why},
            "denied": self.denied,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


OnLeftOut = Callable[[SkippedObject], None]
Look = Callable[[str], Awaitable[SkippedObject | None]]


def _unheard(left: SkippedObject) -> None:
    """Listen for those who only want the report."""


async def rebuild(  # noqa: PLR0913 - the command has these flags
    settings: Settings,
    *,
    replace: bool = False,
    merge: bool = False,
    org_id: str = "",
    on_left_out: OnLeftOut = _unheard,
    emit: Emit = ignore,
    clock: Callable[[], float] = time.time,
) -> RebuildReport:
    """Make a new ledger of what lies in the bucket under the key template's constant prefix.

    A ledger that is there is refused with `LedgerError`; with ``replace`` a
    damaged one is renamed to ``<name>.damaged-<time>``, a sound one is refused
    all the same.  The new ledger takes its name when it is complete: a rebuild
    that fails leaves everything as it was.  With ``merge`` the ledger that is there
    gets what the bucket has more, as after a backup was restored; what is known of
    any other recording stays.  ``org_id`` stands in for
    ``[webex] org_id``, and that for what credentials and tokens say.  Raises
    `ConfigError`, `AuthError`, `LedgerError` or `RunStopped`.
    """
    # Secrets last: with the organisation named, a rebuild needs neither token nor client secret.
    org_id = org_id or settings.webex.org_id or await _organisation(settings)
    identity = Identity(org_id, settings.s3.bucket, settings.s3.key)
    stamp = f"{datetime.fromtimestamp(clock(), UTC):%Y%m%dT%H%M%SZ}"
    run_id = f"rebuild-{uuid.uuid4().hex[:12]}"
    report = RebuildReport(settings.ledger.path, run_id, keys.constant_prefix(settings.s3.key))
    if merge:
        opening = _open_to_merge(settings, org_id, emit)
    else:
        mask = number_mask(settings)
        opening = open_replacement(settings.ledger.path, identity, replace=replace, stamp=stamp, emit=emit, mask=mask)
    begun = anyio.current_time()
    # The new ledger takes its name when this is left without an exception; one that fails leaves no trace.
    async with opening as replacement, open_bucket(settings, emit) as bucket:
        ledger = replacement.ledger
        begun_ms, author = round(clock() * 1000), current_operator()
        await ledger.begin_run(report.run_id, begun_ms, None, author=author, command="ledger rebuild")
        known = Why.KNOWN if merge else Why.DUPLICATE
        search = _Search(bucket, ledger, identity, report, on_left_out, lambda: round(clock() * 1000), known)
        await search.run(settings.backfill.concurrency, settings.backfill.max_failures_in_row)
        report.tasks = await search.tasks()
        report.seconds, report.set_aside = anyio.current_time() - begun, replacement.set_aside
        await ledger.end_run(report.run_id, round(clock() * 1000), report.exit_code, report.as_json())
    return report


@asynccontextmanager
async def _open_to_merge(settings: Settings, org_id: str, emit: Emit) -> AsyncIterator[Replacement]:
    async with open_ledger_of(settings, org_id, emit) as ledger:
        yield Replacement(ledger, None)


async def _organisation(settings: Settings) -> str:
    return (await load_secrets(settings, Injected())).org_id


class _Search:
    """Goes through the bucket once and writes down what is ours."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a search reads, writes and tells
        self,
        bucket: S3ReadStore,
        ledger: SqliteLedger,
        identity: Identity,
        report: RebuildReport,
        on_left_out: OnLeftOut,
        now_ms: Callable[[], int],
        known: Why,
    ) -> None:
        self._known = known  # what it means that the ledger has a recording already
        self._bucket, self._ledger, self._identity = bucket, ledger, identity
        self._report, self._on_left_out, self._now_ms = report, on_left_out, now_ms
        self._streak = 0
        self._told = False  # seen so far: that there are sidecars

    async def run(self, most: int, most_failures: int) -> None:
        """Take the recordings, and then what is told of them: of which of them there are, sidecars are no proof."""

        async def work(look: Look, key: str) -> None:
            left = await self._taken(key, look)
            # So many in a row are a missing permission or an outage, and a ledger of what little could be seen would
            # send the next run to fetch all the rest once more.
            if self._streak >= most_failures:
                detail = left.detail if left else ""
                words = f"{self._streak} objects in a row could not be looked at, nothing was rebuilt: {detail}"
                raise AuthError(words) if left and left.denied else RunStopped(words)

        await each_fed(partial(self._feed, sidecars=False), partial(work, self._recording), most)
        if self._told:
            await each_fed(partial(self._feed, sidecars=True), partial(work, self._sidecar), most)

    async def tasks(self) -> int:
        return (await self._ledger.counts(Everything(), None)).tasks_listed

    async def _feed(self, put: Callable[[str], Awaitable[None]], *, sidecars: bool) -> None:
        template, page = self._identity.key_template, await self._page("")
        evidence = keys.evidence_prefix(template)
        while True:
            for key in page.keys:
                told = keys.is_sidecar(key, template=template)
                self._told = self._told or told
                # Ours, and no recordings: looked at, each would cost a request and be named as unlabelled.
                if told is sidecars and not key.startswith(evidence):
                    await put(key)
            if not page.then:
                return
            page = await self._page(page.then)

    async def _page(self, then: str) -> KeyPage:
        try:
            return await self._bucket.keys(self._report.prefix, then)
        except OperationFailed as given_up:
            if is_denied(given_up):
                raise AuthError(f"the bucket cannot be listed (s3:ListBucket is needed): {given_up.trouble}") from None
            raise RunStopped(f"the bucket cannot be listed: {given_up.trouble}") from None

    async def _taken(self, key: str, look: Look) -> SkippedObject | None:
        """Take one object, or return why not."""
        try:
            left = await look(key)
            self._streak = 0
        except (HTTPStatusError, OperationFailed) as failure:
            self._streak += 1
            left = SkippedObject(key, Why.UNREADABLE, f"S3 {failure}", denied=is_denied(failure))
        if left is not None:
            self._report.leave_out(left)
            if left.why is not Why.KNOWN:
                self._on_left_out(left)
        return left

    async def _recording(self, key: str) -> SkippedObject | None:
        self._report.objects += 1
        found = await self._bucket.head(key)
        if found is None:
            return None  # deleted since it was listed
        read = judged(found, self._identity)
        # The ledger decides, not a set of ids here: it knows ids that are only written differently.
        if isinstance(read, FoundRecording) and not await self._adopted(read):
            return SkippedObject(key, self._known, _named(found.metadata))
        return read if isinstance(read, SkippedObject) else None

    async def _sidecar(self, key: str) -> SkippedObject | None:
        found = await self._bucket.head(key)
        if found is None:
            return None
        org_id = found.metadata.get("wx-org-id", "")
        if org_id and org_id != keys.encode_id(self._identity.org_id):
            return SkippedObject(key, Why.OTHER_ORGANISATION, f"it belongs to organisation {org_id}")
        try:
            told, number = read_sidecar(key, await self._bucket.read_small(key, MOST_BYTES) or b"", self._identity)
        except ValueError as error:
            return SkippedObject(key, Why.NO_SIDECAR, str(error))
        # Of several the highest number tells how it stands; the others fill what it leaves out, if they come first.
        if await self._ledger.describe(told, number, self._now_ms()):
            self._report.sidecars += 1
        return None

    async def _adopted(self, found: FoundRecording) -> bool:
        if not await self._ledger.adopt(found, run_id=self._report.run_id, now_ms=self._now_ms()):
            return False
        self._report.recordings += 1
        self._report.bytes += found.object.size
        return True


def read_sidecar(key: str, data: bytes, identity: Identity) -> tuple[Described, int]:
    """Return what a sidecar tells and which of its task's it is; ValueError, in words, when it is none."""
    told, template = read_back(data), identity.key_template
    number = keys.sidecar_number(key, template=template) or 1
    if keys.sidecar_key(told.task, told.start_ms, number, template=template) != key:
        raise ValueError("it is not where that of its task would lie")
    return told, number


def judged(found: StoredObject, identity: Identity) -> FoundRecording | SkippedObject:
    """Say which recording an object is, or why it is not taken."""
    metadata = found.metadata
    if not keys.is_labelled(metadata):
        return SkippedObject(found.key, Why.UNLABELLED)
    # Before the label is read, which refuses a hashed id too, and without saying that it is ours.
    if any(keys.is_hashed(metadata[name]) for name in ("wx-task-id", "wx-recording-id")):
        return SkippedObject(found.key, Why.HASHED, "its ids were too long to be kept whole and cannot be read back")
    try:
        label = keys.read_label(metadata)
    except ValueError:
        return SkippedObject(found.key, Why.UNLABELLED, "its ids are not written as ours are")
    # Encoded, as metadata has it; an object that names no organisation is judged by its place alone.
    if label.org_id and label.org_id != keys.encode_id(identity.org_id):
        return SkippedObject(found.key, Why.OTHER_ORGANISATION, f"it belongs to organisation {label.org_id}")
    main = keys.in_main_place(found.key, label.recording, template=identity.key_template)
    # A copy made by somebody would be taken for the recording, whose own key the next run then never fills.
    if main is None:
        return SkippedObject(found.key, Why.MISPLACED, f"it is not where this would lie: {_named(metadata)}")
    return FoundRecording(label.task, label.recording, found, main)


def _named(metadata: dict[str, str]) -> str:
    return f"task {metadata['wx-task-id'][:200]} recording {metadata['wx-recording-id'][:200]}"
