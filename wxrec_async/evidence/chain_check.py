"""The whole chain of one organisation, link by link, and everything that lies beside it and should not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wxrec_async.errors import HTTPStatusError
from wxrec_async.evidence.chain import read_one
from wxrec_async.evidence.problems import Problem, ProblemKind
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.evidence import Certificate, Places, Unsound, misplaced
from wxrec_async.rules.keys import encode_id
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.bucket import is_denied

Add = Callable[[Problem], None]


@dataclass(slots=True)
class Files:
    """The evidence of one organisation as it is listed; ``folder`` is its encoded id."""

    folder: str
    certificates: dict[int, str] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)


def sort_out(root: str, found: Iterable[str], add: Add) -> dict[str, Files]:
    """Sort keys below ``root`` by organisation; what is none of ours is a problem."""
    files: dict[str, Files] = {}
    for key in found:
        folder, _, rest = key.removeprefix(root).partition("/")
        home = f"{root}{folder}/"
        kind, _, name = rest.partition("/")
        if kind == "certificates" and len(name) == 13 and name[:8].isdigit() and name.endswith(".json"):
            files.setdefault(folder, Files(folder)).certificates[int(name[:8])] = key
        elif kind == "manifests" and key.startswith(f"{home}manifests/") and name.endswith(".jsonl"):
            files.setdefault(folder, Files(folder)).manifests.add(key)
        else:
            add(Problem(ProblemKind.FOREIGN_FILE, key, "no file of the evidence has such a name"))
    return files


async def check_chain(bucket: S3ReadStore, root: str, files: Files, add: Add) -> list[Certificate]:
    """Read all certificates of an organisation in order; return those that can be read."""
    found: dict[int, Certificate] = {}
    for n in range(1, max(files.certificates, default=0) + 1):
        # On behind a gap: one audit names all that is wrong, not just the first of it.
        if n not in files.certificates:
            key = f"{root}{files.folder}/certificates/{n:08d}.json"
            add(Problem(ProblemKind.CERTIFICATE_MISSING, key, "there are later ones, but not this one"))
        elif certificate := await _read(bucket, files.certificates[n], add):
            found[n] = certificate
    _check_links(root, files.folder, found, add)
    return [found[n] for n in sorted(found)]


async def _read(bucket: S3ReadStore, key: str, add: Add) -> Certificate | None:
    try:
        return await read_one(bucket, key)
    except Unsound as unsound:
        add(Problem(ProblemKind.CERTIFICATE_UNSOUND, key, str(unsound)))
    except (HTTPStatusError, OperationFailed) as failure:
        add(Problem(ProblemKind.UNKNOWN, key, f"S3 {failure}", denied=is_denied(failure)))
    return None


def _check_links(root: str, folder: str, found: dict[int, Certificate], add: Add) -> None:
    """Hold every certificate against those before it; behind a gap only what does not depend on what is missing."""
    of_day: dict[int, Certificate] = {}
    whole = True
    for n in sorted(found):
        certificate, before, newest = found[n], found.get(n - 1), of_day.get(found[n].day.from_ms)
        # What is expected of a certificate comes from those before it.  Right behind a gap ``previous`` is not
        # known; from the first gap on neither is what its day had before, for that may have been in the gap.
        # What is not known is taken from the certificate itself, so that `misplaced` has nothing to say of it.
        whole = whole and (n == 1 or before is not None)
        wrong = misplaced(
            certificate,
            Places(root, certificate.org_id),
            previous=(before.link if before else None) if n == 1 or before else certificate.previous,
            follows=(newest.link if newest else None) if whole else certificate.follows,
            number=(newest.number if newest else 0) + 1 if whole else certificate.number,
        )
        # A copy of another organisation's chain is sound in itself, and proves nothing here.
        if encode_id(certificate.org_id) != folder:
            wrong = [f"it is of organisation {certificate.org_id!r}", *wrong]
        for words in wrong:
            add(Problem(ProblemKind.CHAIN_BROKEN, certificate.key, words))
        of_day[certificate.day.from_ms] = certificate


def newest_of_days(chain: Iterable[Certificate]) -> list[Certificate]:
    """Return the certificate in force of each day, by day."""
    of_day = {certificate.day.from_ms: certificate for certificate in chain}
    return [of_day[day] for day in sorted(of_day)]


def unclaimed(files: Files, chain: Iterable[Certificate]) -> list[str]:
    """Return the manifests that no certificate names, neither as its own nor as abandoned."""
    left = set(files.manifests)
    for certificate in chain:
        left.discard(certificate.manifest.key)
        left.discard(certificate.tasks.key if certificate.tasks else "")
        left.difference_update(certificate.abandoned)
    return sorted(left)
