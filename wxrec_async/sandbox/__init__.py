"""A simulated Webex Contact Center organisation and a strict S3, on loopback.

It imports nothing else of this package: it is written from what is known about
the outside, so that it can contradict us.

::

    async with Sandbox(Options(tasks=50, seed=7)) as sandbox:
        config = sandbox.write_config(folder)
        ...                                     # run the job with sandbox.environment()
        sandbox.truth(), await sandbox.objects(), sandbox.log.of("captures")
"""

from wxrec_async.sandbox.faults import Fault, Faults, Rule
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.sandbox.server import Sandbox
from wxrec_async.sandbox.truth import TruthRecording

__all__ = ["Fault", "Faults", "Options", "Organisation", "Rule", "Sandbox", "TruthRecording"]
