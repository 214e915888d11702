"""Proves a period complete, or names what is missing.

`reconcile` is the way in.  It reads both lists Webex has, the ledger and the
bucket, lays them side by side for each day, and says of every task in which one
state it is.  What it finds to do goes into the ledger as work; of the bucket
only the evidence is written, for each day that is proven complete.
"""

from wxrec_async.reconciliation.day import Certifier
from wxrec_async.reconciliation.day_report import DayReport, Difference, ReconcileReport
from wxrec_async.reconciliation.period import reconcile

__all__ = ["Certifier", "DayReport", "Difference", "ReconcileReport", "reconcile"]
