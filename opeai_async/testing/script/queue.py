"""The scripting half of the server: a queue of answers, filled in a line each. No I/O.

An answer stays at the head of the queue until it has served its ``times`` requests. All methods may be called from any
thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Unpack

from opeai_async.testing.script.reply import Answer, BreakKind, Drop, Failure, Faulty, Raw, Reply, ReplyOptions


class AnswerQueue:
    """The answers to the next requests, in order."""

    def __init__(self) -> None:
        # Each answer with the number of requests that it still serves; None for all.
        self._waiting: deque[tuple[Answer, int | None]] = deque()

    def reply(
        self, content: str | Sequence[str] | None = None, *, times: int | None = 1, **options: Unpack[ReplyOptions]
    ) -> None:
        """Answer the next *times* requests (None: all further ones) with a text; see `Reply` for the options.

        Raises:
            ValueError: If *times* is not positive.
        """
        self.answer(Reply(content, **options), times=times)

    def fail(
        self,
        status: int,
        *,
        message: str | None = None,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
        times: int | None = 1,
    ) -> None:
        """Answer with an error *status* and the documented body; see `Failure`."""
        failure = Failure(
            status, message=message, code=code, type=type, param=param, headers=headers or {}, delay_s=delay_s
        )
        self.answer(failure, times=times)

    def cut(
        self,
        content: str | Sequence[str] | None = None,
        *,
        after: int | None = None,
        how: BreakKind = "fin",
        times: int | None = 1,
        **options: Unpack[ReplyOptions],
    ) -> None:
        """Break the answer off after *after* chunks (None: after all the content), before any finish_reason.

        Args:
            content: As for `reply`.
            after: The number of chunks that arrive whole; the first of a stream only names the role.
            how: ``"fin"`` and ``"rst"`` close the connection inside the next HTTP chunk, politely or by reset;
                ``"clean"`` ends the body as if it were whole, but without ``[DONE]``.
            times: The number of requests to answer so; None for all further ones.
            **options: As for `reply`.
        """
        self.answer(Reply(content, ending=how, after=after, **options), times=times)

    def stall(
        self,
        content: str | Sequence[str] | None = None,
        *,
        after: int | None = None,
        times: int | None = 1,
        **options: Unpack[ReplyOptions],
    ) -> None:
        """Fall silent after *after* chunks, with the connection open, until the client goes; arguments as for `cut`."""
        self.answer(Reply(content, ending="stall", after=after, **options), times=times)

    def drop(self, *, how: Literal["fin", "rst"] = "fin", delay_s: float = 0.0, times: int | None = 1) -> None:
        """Close the connection after the request, before any byte of response."""
        self.answer(Drop(how, delay_s), times=times)

    def fault(
        self,
        name: str,
        content: str | Sequence[str] | None = "This answer meets a fault.",
        *,
        after: int | None = None,
        gap_s: float = 0.05,
        times: int | None = 1,
        **options: Unpack[ReplyOptions],
    ) -> None:
        """Let the fault *name* strike the answer; `opeai_async.testing.FAULTS` has them all.

        Args:
            name: The name of the fault.
            content: As for `reply`.
            after: The number of chunks that arrive whole before a fault of the body (None: all the content, but no
                finish_reason); the first of a stream only names the role.
            gap_s: Seconds between two repetitions of what the fault repeats, such as comments.
            times: The number of requests to answer so; None for all further ones.
            **options: As for `reply`.

        Raises:
            ValueError: If there is no such fault, or if it strikes before a request can be sent: then an `Endpoint`
                plays it.
        """
        self.answer(Faulty(name, Reply(content, after=after, **options), gap_s=gap_s), times=times)

    def raw(
        self,
        body: bytes | Iterable[bytes],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
        chunk_delay_s: float = 0.0,
        times: int | None = 1,
    ) -> None:
        """Answer with bytes exactly as given, each item an HTTP chunk of its own; see `Raw`."""
        chunks = (body,) if isinstance(body, bytes) else tuple(body)
        raw = Raw(chunks, status=status, headers=headers or {}, delay_s=delay_s, chunk_delay_s=chunk_delay_s)
        self.answer(raw, times=times)

    def answer(self, answer: Answer, *, times: int | None = 1) -> None:
        """Queue any answer, such as one that was built beforehand.

        Raises:
            ValueError: If *times* is not positive.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}, expected 1 or more, or None for all further requests")
        self._waiting.append((answer, times))

    def next_answer(self) -> Answer | None:
        """Take the answer for one request; None if the queue is empty."""
        if not self._waiting:
            return None
        answer, times = self._waiting[0]
        if times == 1:
            self._waiting.popleft()
        elif times is not None:
            self._waiting[0] = (answer, times - 1)
        return answer
