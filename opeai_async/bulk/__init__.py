"""Many prompts at once: ``client.chat.completions.map``, with limits, a journal and progress.

::

    options   what a run may be given            journal   what is finished, on disk
    request   a request, and its key             intake    limits per minute and of the run
    run       the workers                        tally     counts, times
    results   the iterator that users hold       drawing   progress for people
    batch     lines of the Batch format
"""

from __future__ import annotations

from opeai_async.bulk.journal import JournalEntry, JournalError, read_journal
from opeai_async.bulk.options import Adaptive, BulkParams, per_million
from opeai_async.bulk.result import BulkProgress, BulkResult, BulkTiming, Stop
from opeai_async.bulk.results import BulkResults

__all__ = [
    "Adaptive",
    "BulkParams",
    "BulkProgress",
    "BulkResult",
    "BulkResults",
    "BulkTiming",
    "JournalEntry",
    "JournalError",
    "Stop",
    "per_million",
    "read_journal",
]
