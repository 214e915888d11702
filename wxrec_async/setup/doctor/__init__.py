"""Doctor: is everything there that a backfill needs?  Looked at, one line each, and nothing left behind."""

from wxrec_async.doctor.examination import examine, examine_file
from wxrec_async.rules.diagnosis import Finding, exit_code_of

__all__ = ["Finding", "examine", "examine_file", "exit_code_of"]
