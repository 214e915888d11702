"""Doctor: is everything there that a backfill needs?  Looked at, one line each, and nothing left behind."""

from wxrec_async.rules.diagnosis import Finding, exit_code_of
from wxrec_async.setup.doctor.all_checks import examine, examine_file

__all__ = ["Finding", "examine", "examine_file", "exit_code_of"]
