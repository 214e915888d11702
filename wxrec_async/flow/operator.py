"""Who runs this program, for the audit trail: kept in the ledger, and nowhere else."""

from __future__ import annotations

import os
import platform
import pwd
from functools import cache

from wxrec_async._version import __version__
from wxrec_async.ledger.records import Operator


@cache
def current_operator() -> Operator:
    """Return our version, and the operating system's user as ``name@host``, both in plain words.

    An audit asks who it was, and a hash answers to nobody; the ledger is this
    user's own file.  The name is that of the user id: environment variables may
    say anything.
    """
    return Operator(__version__, f"{_user()}@{platform.node() or 'unknown'}")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid-{os.getuid()}"
