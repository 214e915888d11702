"""The flags of every command, declared once, and which setting each of them stands for.

They are here and not beside what a command does, so that ``--help`` and a shell's
completion load nothing else.  Every field is None, False or 0 when its flag was
not given, so that a file or the environment can speak.  No flag takes a secret:
the command line is visible to everybody on the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

PERIOD, SANDBOX, WORK, OUTPUT = "What", "The simulated organisation", "How much", "Output"
CHOICE = "Which of them (names may be given more than once; * and ? are wildcards)"
SETTINGS = "Settings, above environment and file"
REPORTS = "Which reports"
PEOPLE = "People (in CSV and JSON lines; the page names nobody)"
# Also their order in --help: what the command is about first, the settings last.
PANELS = (REPORTS, PERIOD, CHOICE, SANDBOX, WORK, PEOPLE, OUTPUT, SETTINGS)
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def read_duration(text: str) -> float:
    """Read ``90``, ``90s``, ``30m``, ``8h`` or ``1d`` as seconds; raises `typer.BadParameter`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    # Zero too: as the time after which nothing is begun it would end a run before its first task.
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is not a duration; write seconds, or 90s, 30m, 8h")
    return float(found[1]) * SECONDS[found[2]]


def _option(*names: str, panel: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's word
    # Defaults stand in the words of the help; a field's own is None, which means that nothing was given.
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


@dataclass(kw_only=True)
class OutputFlags:
    """What every command takes: how it talks."""

    json: Annotated[bool, _option("--json", panel=OUTPUT, help="JSON lines on stdout")] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        _option(
            "--log-level",
            metavar="LEVEL",
            panel=OUTPUT,
            help="debug, info, warning, error; default: warning beside a progress bar, else info (at most one line a "
            "recording)",
        ),
    ] = None
    log_format: Annotated[
        Literal["console", "json"] | None,
        _option("--log-format", metavar="FORM", panel=OUTPUT, help="console or json, on stderr"),
    ] = None
    no_progress: Annotated[bool, _option("--no-progress", panel=OUTPUT, help="no progress bar, no progress lines")] = (
        False
    )
    quiet: Annotated[bool, _option("-q", "--quiet", panel=OUTPUT, help="no progress; warnings and errors only")] = False
    verbose: Annotated[bool, _option("-v", "--verbose", panel=OUTPUT, help="same as --log-level debug")] = False


@dataclass(kw_only=True)
class CommonFlags(OutputFlags):
    """Where settings and ledger are."""

    config: Annotated[
        Path | None,
        _option("--config", metavar="FILE", panel=SETTINGS, help="the settings (default: config.toml, if it is here)"),
    ] = None
    ledger: Annotated[Path | None, _option("--ledger", metavar="PATH", panel=SETTINGS, help="the ledger's file")] = None


@dataclass(kw_only=True)
class Extent:
    """How much is done at once, and before it ends."""

    limit: Annotated[int | None, _option("--limit", metavar="N", min=1, panel=WORK, help="stop after N recordings")] = (
        None
    )
    max_duration: Annotated[
        float | None,
        _option(
            "--max-duration",
            metavar="TIME",
            parser=read_duration,
            panel=WORK,
            help="begin nothing new after so many seconds, or 90s, 30m, 8h",
        ),
    ] = None
    concurrency: Annotated[
        int | None, _option("--concurrency", metavar="N", min=1, panel=WORK, help="recordings at once (default: 32)")
    ] = None
    grace: Annotated[
        float | None,
        _option("--grace", metavar="S", min=0, panel=WORK, help="seconds to finish in after a Ctrl-C (default: 30)"),
    ] = None


@dataclass(kw_only=True)
class TrustFlags(CommonFlags):
    """Whose certificates are believed."""

    ca_bundle: Annotated[
        Path | None, _option("--ca-bundle", metavar="FILE", panel=SETTINGS, help="certificates to trust (PEM)")
    ] = None


@dataclass(kw_only=True)
class BucketFlags(TrustFlags):
    """Where the bucket is."""

    profile: Annotated[str | None, _option("--profile", metavar="NAME", panel=SETTINGS, help="AWS profile")] = None
    region: Annotated[
        str | None, _option("--region", metavar="NAME", panel=SETTINGS, help="AWS region of the bucket, not of Webex")
    ] = None
    endpoint_url: Annotated[
        str | None, _option("--endpoint-url", metavar="URL", panel=SETTINGS, help="S3 other than AWS's")
    ] = None


@dataclass(kw_only=True)
class SettingsFlags(BucketFlags):
    """Those that stand for a setting."""

    overwrite: Annotated[
        bool, _option("--overwrite", panel=SETTINGS, help="replace objects that are already there (default: never)")
    ] = False
    rate: Annotated[
        float | None, _option("--rate", metavar="N", panel=SETTINGS, help="requests to Webex a minute (default: 250)")
    ] = None


@dataclass(kw_only=True)
class PeriodFlags:
    """Whose recordings."""

    from_: Annotated[
        str | None,
        _option(
            "--from", metavar="WHEN", panel=PERIOD, help="calls since this date or ISO 8601 time, UTC unless it says"
        ),
    ] = None
    to: Annotated[
        str | None, _option("--to", metavar="WHEN", panel=PERIOD, help="and before this one (default: now)")
    ] = None
    days_back: Annotated[
        float | None, _option("--days-back", metavar="N", panel=PERIOD, help="instead of --from (default: 7)")
    ] = None


@dataclass(kw_only=True)
class FilterFlags:
    """Which tasks are wanted."""

    queue: Annotated[
        list[str] | None, _option("--queue", metavar="NAME", panel=CHOICE, help="only calls of this queue, name or id")
    ] = None
    exclude_queue: Annotated[
        list[str] | None, _option("--exclude-queue", metavar="NAME", panel=CHOICE, help="no calls of this queue")
    ] = None
    agent: Annotated[
        list[str] | None, _option("--agent", metavar="NAME", panel=CHOICE, help="only calls of this agent, name or id")
    ] = None
    exclude_agent: Annotated[
        list[str] | None, _option("--exclude-agent", metavar="NAME", panel=CHOICE, help="no calls of this agent")
    ] = None
    direction: Annotated[
        list[str] | None,
        _option("--direction", metavar="KIND", panel=CHOICE, help="only inbound, outbound or outdial calls"),
    ] = None
    min_duration: Annotated[
        float | None,
        _option(
            "--min-duration",
            metavar="TIME",
            parser=read_duration,
            panel=CHOICE,
            help="no calls known to be shorter than so many seconds, or 90s, 5m",
        ),
    ] = None


@dataclass(kw_only=True)
class KindFlags:
    """What is taken besides audio."""

    transcripts: Annotated[bool | None, _option("--transcripts", panel=CHOICE, help="transcripts as well")] = None
    screen: Annotated[bool | None, _option("--screen", panel=CHOICE, help="screen recordings as well")] = None


@dataclass(kw_only=True)
class WorkFlags(SettingsFlags, Extent, FilterFlags, KindFlags):
    """Those of commands that move recordings."""

    bwlimit: Annotated[
        float | None,
        _option(
            "--bwlimit",
            metavar="MIB",
            min=0,
            panel=WORK,
            help="MiB a second to download, all together (default: 0, any)",
        ),
    ] = None


@dataclass(kw_only=True)
class PlanFlags(SettingsFlags, PeriodFlags, FilterFlags, KindFlags):
    """Those of ``plan``."""


@dataclass(kw_only=True)
class RunsFlags(CommonFlags):
    """Those of ``runs``."""

    last: Annotated[
        int | None, _option("--last", metavar="N", min=1, panel=WORK, help="as many runs (default: 20)")
    ] = None


@dataclass(kw_only=True)
class RunDetailFlags(CommonFlags):
    """Those of ``runs show``."""

    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="its id, or how that begins", rich_help_panel=PERIOD)
    ] = None


@dataclass(kw_only=True)
class CallFlags(BucketFlags):
    """Those of ``show``."""

    task_ids: Annotated[
        list[str] | None, typer.Argument(metavar="TASK_ID", help="the calls, by task id", rich_help_panel=PERIOD)
    ] = None
    bucket: Annotated[
        bool, _option("--bucket", panel=WORK, help="also ask the bucket for each object (one HEAD a recording)")
    ] = False


@dataclass(kw_only=True)
class ShowFlags(WorkFlags, PeriodFlags):
    """Those of ``config show``."""


@dataclass(kw_only=True)
class RunFlags(WorkFlags, PeriodFlags):
    """Those of a backfill."""

    task_ids_from: Annotated[
        str | None,
        _option(
            "--task-ids-from", metavar="FILE|-", panel=PERIOD, help="these tasks instead of a period, one id a line"
        ),
    ] = None
    dry_run: Annotated[bool, _option("-n", "--dry-run", panel=WORK, help="only say what would be done")] = False
    follow: Annotated[
        bool, _option("--follow", panel=WORK, help="then keep polling the last days until stopped, as a service does")
    ] = False
    scheduled: Annotated[
        bool,
        _option(
            "--scheduled",
            panel=WORK,
            help="for a timer: ask for what is owed or failed when it is due only, and list the last days again",
        ),
    ] = False
    temporal: Annotated[
        str | None,
        _option(
            "--temporal",
            metavar="HOST:PORT",
            panel=WORK,
            help="by the workers of this Temporal server (see `worker`): begin, or join what is under way",
        ),
    ] = None


@dataclass(kw_only=True)
class WorkerFlags(OutputFlags):
    """Those of a worker."""

    temporal: Annotated[
        str | None, _option("--temporal", metavar="HOST:PORT", panel=WORK, help="the Temporal server (needed)")
    ] = None
    config: Annotated[
        list[Path] | None,
        _option(
            "--config",
            metavar="FILE",
            panel=SETTINGS,
            help="the settings of an organisation, may be given once for each (default: config.toml)",
        ),
    ] = None
    processes: Annotated[
        int | None,
        _option("--processes", metavar="N", min=1, panel=WORK, help="so many of them, for many cores (default: 1)"),
    ] = None
    concurrency: Annotated[
        int | None,
        _option("--concurrency", metavar="N", min=1, panel=WORK, help="recordings at once, in each process"),
    ] = None
    grace: Annotated[
        float | None,
        _option("--grace", metavar="S", min=0, panel=WORK, help="seconds to finish in after a SIGTERM (default: 30)"),
    ] = None
    keep_ledger: Annotated[
        bool,
        _option("--keep-ledger", panel=WORK, help="keep the ledger too, for backfills begun by a schedule; one worker"),
    ] = False


@dataclass(kw_only=True)
class SiteFlags(OutputFlags):
    """Which simulated organisation."""

    tasks: Annotated[
        int | None, _option("--tasks", metavar="N", min=1, panel=SANDBOX, help="its contacts (default: 500)")
    ] = None
    seed: Annotated[
        int | None,
        _option("--seed", metavar="S", panel=SANDBOX, help="another seed, another organisation (default: 1)"),
    ] = None
    faults: Annotated[
        Literal["none", "mild", "storm"] | None,
        _option("--faults", metavar="KIND", panel=SANDBOX, help="what goes wrong: none, mild or storm (default: none)"),
    ] = None
    days: Annotated[
        # Its contacts are older than 26 hours, so that nothing is owed: a single day has no room for them.
        int | None, _option("--days", metavar="N", min=2, panel=SANDBOX, help="over how many days (default: 7)")
    ] = None
    late: Annotated[
        int | None,
        _option("--late", metavar="N", min=0, panel=SANDBOX, help="calls whose recording comes in a day or two"),
    ] = None
    search: Annotated[
        Literal["full", "none", "disagreeing"] | None,
        _option(
            "--search",
            metavar="KIND",
            panel=SANDBOX,
            help="its second list of calls: full, none, or disagreeing with the first (default: full)",
        ),
    ] = None
    dir: Annotated[
        Path | None,
        _option("--dir", metavar="DIR", panel=SANDBOX, help="bucket, ledger and settings (default: ./wxrec-sandbox)"),
    ] = None


@dataclass(kw_only=True)
class SandboxFlags(SiteFlags, Extent):
    """Those of ``sandbox``."""


@dataclass(kw_only=True)
class ServeFlags(SiteFlags):
    """Those of ``sandbox serve``."""

    port: Annotated[
        int | None,
        # The last of five is then 65535.
        _option("--port", metavar="N", min=1, max=65531, panel=SANDBOX, help="the first of five (default: free ones)"),
    ] = None


@dataclass(kw_only=True)
class InspectingFlags(BucketFlags):
    """Those of all that look at the bucket."""

    concurrency: Annotated[
        int | None,
        _option("--concurrency", metavar="N", min=1, panel=WORK, help="objects at once (default: 32)"),
    ] = None


@dataclass(kw_only=True)
class PartFlags:
    """Which part of what there is, all of it when nothing is said."""

    from_: Annotated[
        str | None,
        _option(
            "--from",
            metavar="WHEN",
            panel=PERIOD,
            help="calls since this date or ISO 8601 time, UTC unless it says (default: all there are)",
        ),
    ] = None
    to: Annotated[
        str | None,
        _option("--to", metavar="WHEN", panel=PERIOD, help="and before this one (default: now)"),
    ] = None


@dataclass(kw_only=True)
class VerifyFlags(InspectingFlags, PartFlags):
    """Those of ``verify``."""

    level: Annotated[
        Literal["head", "full"],
        _option(
            "--level",
            metavar="LEVEL",
            panel=WORK,
            help="head compares size, checksum and ids as S3 names them (default); full reads every byte back",
        ),
    ] = "head"
    mark: Annotated[
        bool,
        _option(
            "--mark", panel=WORK, help="have the next run fetch again what is missing or differs (default: only say so)"
        ),
    ] = False
    evidence: Annotated[
        bool,
        _option(
            "--evidence",
            panel=WORK,
            help="check manifests and certificates, and the bucket against them; needs no ledger (default: the ledger)",
        ),
    ] = False


@dataclass(kw_only=True)
class CleanupFlags(InspectingFlags):
    """Those of ``cleanup``."""

    all_under_prefix: Annotated[
        bool,
        _option(
            "--all-under-prefix", panel=WORK, help="also those the ledger does not know, under the prefix of [s3] key"
        ),
    ] = False
    older_than: Annotated[
        float | None,
        _option(
            "--older-than",
            metavar="TIME",
            parser=read_duration,
            panel=WORK,
            help="of those, only what was begun so long ago: 90s, 30m, 8h, 2d (default: 7d)",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        _option("-n", "--dry-run", panel=WORK, help="only say what would be aborted"),
    ] = False
    yes: Annotated[
        bool,
        _option("--yes", panel=WORK, help="also abort what may be a run's that goes on, without being asked"),
    ] = False


@dataclass(kw_only=True)
class StatusFlags(CommonFlags):
    """Those of ``status``."""

    failed: Annotated[
        bool,
        _option("--failed", panel=WORK, help="name every task and recording that failed, and nothing else"),
    ] = False


@dataclass(kw_only=True)
class RebuildFlags(InspectingFlags):
    """Those of ``ledger rebuild``."""

    replace: Annotated[
        bool,
        _option("--replace", panel=WORK, help="set a damaged ledger aside, as NAME.damaged-TIME (default: refuse)"),
    ] = False
    merge: Annotated[
        bool,
        _option("--merge", panel=WORK, help="add what the bucket has more to a sound ledger, as after a restore"),
    ] = False


@dataclass(kw_only=True)
class EnrichFlags(TrustFlags, PartFlags):
    """Those of ``ledger enrich``."""

    rate: Annotated[
        float | None,
        _option("--rate", metavar="N", panel=SETTINGS, help="requests to Webex a minute (default: 250)"),
    ] = None


@dataclass(kw_only=True)
class ReportFlags(CommonFlags, PartFlags):
    """Those of ``report``."""

    html: Annotated[
        str | None,
        _option(
            "--html",
            metavar="FILE|-",
            panel=REPORTS,
            help="one page that opens offline: calendar of coverage, progress, failures, runs, certificates",
        ),
    ] = None
    csv: Annotated[
        str | None,
        _option(
            "--csv",
            metavar="FILE|-",
            panel=REPORTS,
            help="a row a recording, and one for every task without; no cell is executed by a spreadsheet",
        ),
    ] = None
    jsonl: Annotated[
        str | None,
        _option("--jsonl", metavar="FILE|-", panel=REPORTS, help="the same, an object a line"),
    ] = None
    phone_numbers: Annotated[
        Literal["masked", "plain"],
        _option(
            "--phone-numbers",
            metavar="HOW",
            panel=PEOPLE,
            help="masked (default), or plain as far as the ledger has them plain ([ledger] phone_numbers)",
        ),
    ] = "masked"
    agent_names: Annotated[
        bool,
        _option("--agent-names", panel=PEOPLE, help="fill the column agent_name too (default: only ids)"),
    ] = False


@dataclass(kw_only=True)
class ReconcileFlags(BucketFlags, PeriodFlags, FilterFlags):
    """Those of ``reconcile``."""

    concurrency: Annotated[
        int | None,
        _option("--concurrency", metavar="N", min=1, panel=WORK, help="objects looked at at once (default: 32)"),
    ] = None
    rate: Annotated[
        float | None,
        _option("--rate", metavar="N", panel=SETTINGS, help="requests to Webex a minute (default: 250)"),
    ] = None


@dataclass(kw_only=True)
class LoginFlags(TrustFlags):
    """Those of ``login``."""

    no_browser: Annotated[
        bool,
        _option(
            "--no-browser",
            panel=WORK,
            help="show the address to open anywhere, and take the address it led to from stdin",
        ),
    ] = False
    tokens_from: Annotated[
        str | None,
        _option(
            "--tokens-from",
            metavar="FILE|-",
            panel=WORK,
            help="take in a token reply (JSON) instead, as Webex shows it for a service app",
        ),
    ] = None
    wait: Annotated[
        float | None,
        _option(
            "--wait",
            metavar="TIME",
            parser=read_duration,
            panel=WORK,
            help="how long the browser is waited for: 90s, 10m (default: 5m)",
        ),
    ] = None


@dataclass(kw_only=True)
class DoctorFlags(BucketFlags):
    """Those of ``doctor``."""

    renew: Annotated[
        bool,
        _option("--renew", panel=WORK, help="renew the token even when it is fresh, to see that it can be"),
    ] = False
    make_phone_key: Annotated[
        bool,
        _option("--make-phone-key", panel=WORK, help="write a new key for hashed phone numbers into the credentials"),
    ] = False


# Which setting a flag stands for.  One that is not here is of its command alone and stands in no file.
SETTING_OF = {
    "ledger": "ledger.path",
    "concurrency": "backfill.concurrency",
    "overwrite": "s3.overwrite",
    "rate": "webex.requests_per_minute",
    "profile": "s3.profile",
    "region": "s3.region",
    "endpoint_url": "s3.endpoint_url",
    "ca_bundle": "ca_bundle",
    "grace": "backfill.grace_seconds",
    "from_": "backfill.from",
    "to": "backfill.to",
    "days_back": "backfill.days_back",
    "bwlimit": "backfill.max_mib_per_second",
    "transcripts": "webex.include_transcripts",
    "screen": "webex.include_screen",
    "queue": "filters.queues",
    "exclude_queue": "filters.exclude_queues",
    "agent": "filters.agents",
    "exclude_agent": "filters.exclude_agents",
    "direction": "filters.directions",
    "min_duration": "filters.min_duration_seconds",
}
