"""Proves a period complete, or names what is missing.

`reconcile` is the way in.  It reads both lists Webex has, the ledger and the
bucket, lays them side by side for each day, and says of every task in which one
state it is.  What it finds to do goes into the ledger as work; of the bucket
only the evidence is written, for each day that is proven complete.
"""

from wxrec_async.reconcile.day import Certifier
from wxrec_async.reconcile.period import reconcile
from wxrec_async.reconcile.report import DayReport, Difference, ReconcileReport

__all__ = ["Certifier", "DayReport", "Difference", "ReconcileReport", "reconcile"]
