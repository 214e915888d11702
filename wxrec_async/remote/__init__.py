"""The job in pieces, for an engine that runs them on many machines.

`Station` is the side that works: it talks to Webex and the bucket.  `Books` is
the side that remembers: it keeps the one ledger.  Between them travel the records
of `remote.records`, through whatever engine there is; `wxrec_async.scaleout` is one.
"""

from wxrec_async.flow.job import Cursor
from wxrec_async.lister import Lister
from wxrec_async.remote.books import LATE, Books
from wxrec_async.remote.opening import open_books, who
from wxrec_async.remote.outcomes import Answer, BatchOutcome, Done, Found, LeftOpen, Progress
from wxrec_async.remote.records import Batch, PageAsk, PageRow, Span, TaskRow, Todo
from wxrec_async.remote.station import Station
from wxrec_async.remote.terms import ComeBack

__all__ = [
    "LATE",
    "Answer",
    "Batch",
    "BatchOutcome",
    "Books",
    "ComeBack",
    "Cursor",
    "Done",
    "Found",
    "LeftOpen",
    "Lister",
    "PageAsk",
    "PageRow",
    "Progress",
    "Span",
    "Station",
    "TaskRow",
    "Todo",
    "open_books",
    "who",
]
