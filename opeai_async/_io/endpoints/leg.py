"""The body of an attempt at one of several endpoints: it knows when the call leaves there, and can be read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from opeai_async._core.call.timeouts import Limits
from opeai_async._io.reader import BodyReader, ReadExpired
from opeai_async._io.transport import BodyError, Response


class LegReader(BodyReader):
    """A ``BodyReader`` that can take back what was read, and says once that it has ended.

    Args:
        on_end: Called once, with whether the body ended well.
    """

    __slots__ = ("_ahead", "_on_end")

    def __init__(self, response: Response, limits: Limits, started_at: float, on_end: Callable[[bool], None]) -> None:
        super().__init__(response, limits, started_at)
        self._ahead: deque[bytes | ReadExpired | BodyError] = deque()
        self._on_end: Callable[[bool], None] | None = on_end

    async def read(self) -> bytes:
        if self._ahead:
            read = self._ahead.popleft()
            if isinstance(read, bytes):
                return read
            raise read
        return await super().read()

    async def read_ahead(self, is_enough: Callable[[bytes], bool]) -> bool:
        """Read until *is_enough* of what has come, or the end; the next reads bring it all again.

        Returns:
            Whether it was enough, rather than a failure that the next reads will meet.
        """
        read: list[bytes | ReadExpired | BodyError] = []
        try:
            while True:
                data = await self.read()
                read.append(data)
                if is_enough(data):
                    return True
                if not data:
                    return False
        except (ReadExpired, BodyError) as exc:
            read.append(exc)
            return False
        finally:
            self._ahead.extend(read)

    def release(self) -> None:
        self._tell(is_good=True)
        super().release()

    def abort(self) -> None:
        self._tell(is_good=False)
        super().abort()

    def _tell(self, *, is_good: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(is_good)
