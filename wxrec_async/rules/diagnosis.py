"""What `doctor` makes of what it found: facts in, one line out.

A finding is good (``ok`` true, nothing to do), good with something to do (a warning),
bad, or not known.  Only bad ones make an exit code.  What concerns the bucket is in
`rules.diagnosis_s3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    LedgerError,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.rules.server_time import SKEW_REFUSED_S, SKEW_WARNED_S

EXIT_USAGE, EXIT_WRONG, EXIT_AUTH, EXIT_LEDGER, EXIT_NO_ANSWER = 2, 3, 4, 7, 8
# The order in which to mend: with wrong settings or a wrong identity, what was found behind them proves little.
PRECEDENCE = (EXIT_USAGE, EXIT_AUTH, EXIT_LEDGER, EXIT_NO_ANSWER, EXIT_WRONG)

REFRESH_TOKEN_WARNED_S = 14 * 86_400.0
DISK_WARNED = 1 << 30
DISK_REFUSED = 100 << 20

TASK_SCOPES = "cjp:config or cjp:config_read"
CAPTURE_SCOPES = "cjp:config_read, and an administrator or supervisor"
LOGIN = "run `wxrec-async login`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination.

    ``name`` is stable.  ``ok`` is None when it could not be known, ``words`` say what was
    found and ``todo`` what to do about it.  ``exit_code`` is 0 unless ``ok`` is false.
    """

    name: str
    ok: bool | None
    words: str
    todo: str = ""
    exit_code: int = 0

    @property
    def state(self) -> str:
        """``ok``, ``warn``, ``fail`` or ``unknown``."""
        if self.ok is None:
            return "unknown"
        return "fail" if not self.ok else "warn" if self.todo else "ok"


def good(name: str, words: str, todo: str = "") -> Finding:
    """Return a finding that is right, or with ``todo`` one that could be better."""
    return Finding(name, ok=True, words=words, todo=todo)


def bad(name: str, words: str, todo: str, exit_code: int = EXIT_WRONG) -> Finding:
    """Return a finding that is wrong."""
    return Finding(name, ok=False, words=words, todo=todo, exit_code=exit_code)


def unknown(name: str, words: str, todo: str = "") -> Finding:
    """Return a finding that could not be made."""
    return Finding(name, ok=None, words=words, todo=todo)


def failed(name: str, error: WxrecError, todo: str = "") -> Finding:
    """Return the finding that ``error`` is; what its message says to do at its end becomes ``todo``."""
    words = str(error)
    if words.endswith(f": {LOGIN}"):
        words, todo = words.removesuffix(f": {LOGIN}"), LOGIN
    return bad(name, words, todo or _remedy(error), exit_code_for(error))


def exit_code_for(error: WxrecError) -> int:
    """Return the exit code that goes with a failure."""
    match error:
        # A certificate that is not trusted is mended in the settings (`ca_bundle`), not by trying again.
        case ConfigError() | TLSError():
            return EXIT_USAGE
        case AuthError():
            return EXIT_AUTH
        case LedgerError():
            return EXIT_LEDGER
        case ConnectError() | ConnectionLost() | TimedOut():
            return EXIT_NO_ANSWER
        case _:
            return EXIT_WRONG


def _remedy(error: WxrecError) -> str:
    match error:
        case TLSError():
            return "name the authority's certificates with ca_bundle"
        case ConnectError() | TimedOut():
            return "check name, network, firewall and proxy"
        case _:
            return ""  # the settings' and the stores' messages say themselves what to do


def exit_code_of(findings: Iterable[Finding]) -> int:
    """Return the exit code of an examination: 2 before 4 before 7 before 8 before 3, 0 when nothing is wrong."""
    codes = {finding.exit_code for finding in findings if finding.ok is False}
    return next((code for code in PRECEDENCE if code in codes), 0)


def span(seconds: float) -> str:
    """Write a duration in the largest unit that fits."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        # From two of a unit on, because the number is rounded: 35 hours would read as one day.
        if abs(seconds) >= 2 * length:
            return f"{abs(seconds) / length:.0f} {unit}"
    return f"{abs(seconds):.0f} s"


# Tokens and clock


def access_token(left_s: float | None) -> Finding:
    """Judge how long the access token still lives; None when nobody said."""
    if left_s is None:
        return good("access_token", "it is not known when it ends; it is renewed before it is used")
    if left_s <= 0:
        return good("access_token", f"it ended {span(left_s)} ago and has to be renewed")
    return good("access_token", f"it lives for another {span(left_s)}")


def refresh_token(left_s: float | None) -> Finding:
    """Judge how long the refresh token still lives; None when nobody said."""
    if left_s is None:
        return good("refresh_token", "it is there; Webex did not say when it ends")
    # Unlike an access token, which this one renews, nothing but a person can replace it.
    if left_s <= 0:
        return bad("refresh_token", f"it died {span(left_s)} ago", LOGIN, EXIT_AUTH)
    todo = f"{LOGIN} before that" if left_s < REFRESH_TOKEN_WARNED_S else ""
    return good("refresh_token", f"it lives for another {span(left_s)}", todo)


def clock(skews: Mapping[str, float], refused_by: str = "") -> Finding:
    """Judge how far this machine's clock is ahead of each server's, in seconds.

    ``refused_by`` is a server that refuses requests because of it.
    """
    shown = ", ".join(f"{_skew(seconds)} {host}'s" for host, seconds in skews.items())
    worst = max(map(abs, skews.values()), default=0.0)
    todo = "set the clock of this machine (NTP)"
    if worst > SKEW_REFUSED_S or refused_by:
        said = f"{refused_by} refuses requests because of the time" if refused_by else ""
        return bad("clock", "; ".join(filter(None, [said, f"it is {shown}" if shown else ""])), todo)
    if not skews:
        return unknown("clock", "no server said what time it is")
    # `Date` has whole seconds, and the answer took a while to come.
    if worst < 2:
        return good("clock", f"it agrees with {', '.join(skews)}")
    return good("clock", f"it is {shown}", todo if worst > SKEW_WARNED_S else "")


def _skew(seconds: float) -> str:
    return f"{span(seconds)} {'ahead of' if seconds > 0 else 'behind'}"


# What Webex answers


@dataclass(frozen=True, slots=True)
class Answers:
    """What Webex answered to its questions with a token that lives: None is 200, else the failure.

    ``organisation`` and ``tasks`` are one question: the tasks of a millisecond
    prove both.  ``region`` is how the settings name the place, ``host`` the place itself.
    """

    region: str
    host: str
    organisation: WxrecError | None
    tasks: WxrecError | None
    captures: WxrecError | None
    search: WxrecError | None = None

    @property
    def all(self) -> tuple[WxrecError | None, ...]:
        return self.organisation, self.tasks, self.captures

    @property
    def at_home(self) -> bool:
        """Whether something was answered, so that the region is the right one."""
        return None in self.all


def region(answers: Answers, org_id: str) -> Finding:
    """Judge whether this is where the organisation lives: elsewhere a token that lives is not known."""
    if answers.at_home:
        return good("region", f"{answers.host} knows the organisation and the token")
    # Never None here, since nothing was answered; the `or` is for the type checker.
    failure = answers.organisation or ConfigError()
    # Only these three can mean "nobody here knows you"; another failure says nothing of the region.
    if not isinstance(failure, HTTPStatusError) or failure.status not in (401, 403, 404):
        return failed("region", failure)
    if _speaks_of_scopes(answers):
        return unknown("region", f"{answers.host} answers nothing before the scopes are right")
    words = f"{answers.host} ({answers.region}) refuses organisation {org_id} although the token lives: {failure}"
    return bad("region", words, "set [webex] region (or base_url) to where the tenant lives", EXIT_USAGE)


def _speaks_of_scopes(answers: Answers) -> bool:
    return any(isinstance(each, HTTPStatusError) and "scope" in each.words.lower() for each in answers.all)


def scope(name: str, failure: WxrecError | None, needed: str, answers: Answers, granted: str = "") -> Finding:
    """Judge whether the token may ask ``name`` (``tasks`` or ``captures``)."""
    if failure is None:
        return good(name, "the token may ask for them")
    if isinstance(failure, ConnectError | TLSError):
        return unknown(name, "not known before Webex can be reached")
    if not isinstance(failure, HTTPStatusError):
        return failed(name, failure)
    # A 403 speaks of this permission only where another question was answered; else the region may be wrong.
    if failure.status == 403 and (answers.at_home or "scope" in failure.words.lower()):
        words = f"the token may not ask for them: {failure}; needed: {needed}"
        todo = f"add the scope to the integration and {LOGIN} as an administrator"
        return bad(name, words + (f"; granted: {granted}" if granted else ""), todo, EXIT_AUTH)
    if failure.status in (401, 403, 404):
        return unknown(name, "not known before the region is right")
    return failed(name, failure)


# Some tenants have no Search: what a gateway says of a path it does not serve.
SEARCH_ABSENT = (404, 405, 501)


def second_list(failure: WxrecError | None, wanted: str) -> Finding:
    """Judge the second list, and say what that means for certificates; ``wanted`` is ``[webex] search``."""
    name = "search"
    if wanted == "off":
        return good(name, "not asked ([webex] search): certificates rest on the list of tasks alone, and say so")
    if failure is None:
        return good(name, "it answers: `reconcile` holds every day against it, and certificates rest on both lists")
    if isinstance(failure, ConnectError | TLSError):
        return unknown(name, "not known before Webex can be reached")
    if isinstance(failure, HTTPStatusError) and failure.status in SEARCH_ABSENT:
        words, todo = f"there is none here ({failure})", ""
    else:
        words = f"it refuses to answer: {failure}"
        todo = f"needed: {TASK_SCOPES}, and an administrator or supervisor"
    words += "; certificates would rest on the list of tasks alone, and say so"
    if wanted == "required":
        return bad(name, words, todo or 'set [webex] search = "auto" to go without', EXIT_WRONG)
    return good(name, words, todo or "calls that only Search lists would not be found")


def disk(path: str, free: int, network: str | None) -> Finding:
    """Judge the place of the ledger: ``free`` bytes, ``network`` names a file system that is not local."""
    todo = "make room: a year of a large organisation takes some GiB"
    where = f"{path}: {free / (1 << 30):.1f} GiB free" + (f", on {network}" if network else "")
    if free < DISK_REFUSED:
        return bad("ledger", where, todo, EXIT_LEDGER)
    if network:
        return good("ledger", where, "a local disk is faster, and safe without the network's locks")
    return good("ledger", where, todo if free < DISK_WARNED else "")
