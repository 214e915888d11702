"""``doctor``: whether everything is there that a run needs."""

from __future__ import annotations

from collections import Counter
from functools import partial

from wxrec_async.cli.command import run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.flags import DoctorFlags
from wxrec_async.cli.parsing import overrides
from wxrec_async.cli.session import run_until_signal
from wxrec_async.cli.text import harmless
from wxrec_async.setup import doctor

NAME_WIDTH = 18
MEANINGS = {
    0: "nothing is wrong",
    2: "the settings are wrong",
    3: "something is wrong and is named above",
    4: "a login or a permission is missing",
    7: "the ledger cannot be used",
    8: "Webex, S3 or the network does not answer",
}


def run_doctor(flags: DoctorFlags) -> int:
    """Look at everything a backfill needs."""
    return run_command(Console(flags), lambda console: _doctor(flags, console))


def _doctor(flags: DoctorFlags, console: Console) -> int:
    def print_finding(finding: doctor.Finding) -> None:
        if console.json:
            # At once: there are few, and the next one may wait for a server that does not answer.
            console.out.record(finding_record(finding))
        else:
            console.out.line(finding_line(finding))

    findings = run_until_signal(
        partial(
            # The file, not its settings: that they cannot be read is a finding as well.
            doctor.examine_file,
            flags.config,
            overrides=overrides(flags),
            on_finding=print_finding,
            emit=EventLog(console.log, console.level).on_event,
            renew=flags.renew,
            make_phone_key=flags.make_phone_key,
        )
    )
    code = doctor.exit_code_of(findings)
    counts = Counter(finding.state for finding in findings)
    if console.json:
        numbers = {state: counts[state] for state in ("ok", "warn", "fail", "unknown")}
        console.out.record({"event": "doctor", "schema": 1, **numbers, "exit_code": code})
    else:
        console.out.line(f"exit {code}: {MEANINGS[code]}")
    return code


def finding_record(finding: doctor.Finding) -> dict[str, object]:
    """Return the JSON line of a finding."""
    return {
        "event": "finding",
        "name": finding.name,
        "state": finding.state,
        "ok": finding.ok,
        "words": harmless(finding.words),
        "todo": harmless(finding.todo),
        "exit_code": finding.exit_code,
    }


def finding_line(finding: doctor.Finding) -> str:
    """Write a finding for people: its state, its name, what was found, what to do."""
    state = {"unknown": "?"}.get(finding.state, finding.state)
    name = finding.name.replace("_", " ")
    todo = f" -> {harmless(finding.todo)}" if finding.todo else ""
    return f"{state:<5} {name:<{NAME_WIDTH}} {harmless(finding.words)}{todo}"
