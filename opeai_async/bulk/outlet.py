"""Where workers leave results, and the reader finds them: as they come, or in the order of the requests.

What nobody reads is bounded. A request counts as open from when it is taken from the input until its result is handed
out; with ``most`` of them open, workers wait until half of that is left, so that they are woken together and seldom::

    input -- took() --> open ... put(result) --> ready -- take() --> reader
                             \\-- put, ordered --> early, until all before it have come --> ready
"""

from __future__ import annotations

import asyncio
from collections import deque

from opeai_async.bulk.result import BulkResult

MIN_ROOM = 256
ROOM_PER_WORKER = 4


class Outlet:
    """The results of a run that wait for their reader.

    Args:
        is_ordered: Whether they are handed out in the order of the requests.

    Attributes:
        most: How many requests may be open.
        open: How many are.
        ready: Results that the reader may have now.
        room: Is set when workers that wait for room shall look again.
    """

    def __init__(self, *, is_ordered: bool) -> None:
        self.most: int = MIN_ROOM
        self.open: int = 0
        self.ready: deque[BulkResult] = deque()
        self.room: asyncio.Event = asyncio.Event()
        self._is_ordered = is_ordered
        self._early: dict[int, BulkResult | None] = {}  # what came before its turn; None for what has no result
        self._next = 0  # the index whose turn it is
        self._reader: asyncio.Future[None] | None = None  # while it waits

    def fit(self, workers: int) -> None:
        """Have room for what so many workers do."""
        self.most = max(MIN_ROOM, ROOM_PER_WORKER * workers)

    def put(self, result: BulkResult) -> None:
        """Add the result of a request that is open."""
        if self._is_ordered:
            self._early[result.index] = result
            self._let_out_in_order()
        else:
            self.ready.append(result)
        if self._reader is not None and self.ready:
            self.wake_reader()

    def skip(self, index: int) -> None:
        """Take note that a request that is open has no result."""
        if not self._is_ordered:
            self.forget()
            return
        self._early[index] = None
        self._let_out_in_order()
        if self.ready:
            self.wake_reader()

    def forget(self) -> None:
        """Close a request: its result was handed out, or there will be none."""
        self.open -= 1
        if self.open <= self.most // 2:
            self.room.set()

    def take(self) -> BulkResult | None:
        """Return the next result that is ready, if there is one."""
        if not self.ready:
            return None
        self.forget()
        return self.ready.popleft()

    def let_out_the_rest(self) -> bool:
        """Hand out those too that wait for others, which will not come; return whether there are any."""
        for index in sorted(self._early):
            self._let_out(index)
        return bool(self.ready)

    async def wait_for_room(self) -> None:
        """Wait until workers shall look again whether there is room."""
        self.room.clear()
        await self.room.wait()

    async def wait(self) -> None:
        """Wait until there may be a result, or the end."""
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def wake_reader(self) -> None:
        """End the reader's ``wait``, if it waits."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _let_out_in_order(self) -> None:
        while self._next in self._early:
            self._let_out(self._next)
            self._next += 1

    def _let_out(self, index: int) -> None:
        result = self._early.pop(index)
        if result is None:
            self.forget()
        else:
            self.ready.append(result)
