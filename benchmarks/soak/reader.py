"""Reads one stream as its plan says, and judges what came of it.

The judge trusts nothing but the plan: the ending must be one that the way allows, the error the one that the fault
causes, the text a beginning of what was to come (all of it, where the stream is said to be whole), what was handed out
piece by piece the same as what the message holds, the request id its own, and no attempt more than the faults explain.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from benchmarks.soak.plan import PLAN_HEADER, WAYS, Ending, Plan
from opeai_async import (
    APITimeoutError,
    AsyncOpeAI,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStream,
    OpeAIError,
    Outcome,
    StreamError,
)

MESSAGES = [{"role": "user", "content": "hello"}]
SLOW_READER_SLEEPS = 2


@dataclass
class Read:
    """What one reader was handed.

    Attributes:
        whole: Whether all text passed through here, and not only its content, or only the final message.
        pieces: The text.
        chunks: How many chunks, or pieces of text.
        error: What ended the reading, if the SDK raised.
        left: Whether the reader walked away.
    """

    on_chunks: Callable[[int], None]
    whole: bool = True
    pieces: list[str] = field(default_factory=list)
    chunks: int = 0
    error: OpeAIError | None = None
    left: bool = False

    def saw(self, batch: list[ChatCompletionChunk]) -> None:
        """Take chunks."""
        for chunk in batch:
            for choice in chunk.choices:
                self.pieces.append(choice.delta.reasoning_content or choice.delta.content or "")
        self.chunks += len(batch)
        self.on_chunks(len(batch))


@dataclass(frozen=True)
class Verdict:
    """How a stream ended; *problems* says what of it was not injected, and is empty where all is well."""

    plan: Plan
    ending: Ending
    problems: list[str]


async def read(client: AsyncOpeAI, plan: Plan, on_chunks: Callable[[int], None]) -> Verdict:
    """Run one stream through its fate; *on_chunks* is told how many chunks came, as they come."""
    got = Read(on_chunks)
    stream = client.chat.completions.stream(
        model="soak",
        messages=MESSAGES,
        timeouts=plan.timeouts(),
        extra_headers={PLAN_HEADER: msgspec.json.encode(plan).decode()},
    )
    try:
        await _LEAVING.get(plan.way, _staying)(stream, plan, got)
    except OpeAIError as exc:
        got.error = exc
    return _judged(plan, stream, got)


# --- leaving ---------------------------------------------------------------------------------------------------------


async def _staying(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    async with stream:
        await _READING.get(plan.way, _by_chunk)(stream, plan, got)


async def _leaving_by_task_cancel(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    task = asyncio.create_task(_staying(stream, plan, got))
    timer = asyncio.get_running_loop().call_later(plan.leave_s, task.cancel)
    try:
        await asyncio.wait([task])
        got.left = task.cancelled()
        if not got.left:
            task.result()
    finally:
        timer.cancel()
        task.cancel()


async def _leaving_by_stream_cancel(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    def leave() -> None:
        stream.cancel()
        got.left = True

    timer = asyncio.get_running_loop().call_later(plan.leave_s, leave)
    try:
        await _staying(stream, plan, got)
    finally:
        timer.cancel()


async def _leaving_by_timeout(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    scope = asyncio.timeout(plan.leave_s)
    try:
        async with scope:
            await _staying(stream, plan, got)
    except TimeoutError:
        if not scope.expired():
            raise
        got.left = True


async def _leaving_by_break(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    async with stream:
        async for chunk in stream:
            got.saw([chunk])
            if got.chunks == plan.at:
                got.left = True
                break


_LEAVING = {
    "task_cancel": _leaving_by_task_cancel,
    "stream_cancel": _leaving_by_stream_cancel,
    "timeout": _leaving_by_timeout,
    "break": _leaving_by_break,
}


# --- reading ---------------------------------------------------------------------------------------------------------


async def _by_chunk(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    async for chunk in stream:
        got.saw([chunk])


async def _by_text(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    got.whole = False
    async for text in stream.text():
        got.pieces.append(text)
        got.chunks += 1
        got.on_chunks(1)


async def _by_batch(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    async for batch in stream.batches():
        got.saw(batch)


async def _at_once(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    got.whole = False
    completion = await stream.completion()
    got.pieces.append(completion.choices[0].message.content or "")
    got.on_chunks(plan.pieces)


async def _by_polling(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    while True:
        try:
            got.saw([await asyncio.wait_for(anext(stream), plan.pace_s / 2)])
        except TimeoutError as exc:
            if isinstance(exc, OpeAIError):
                raise
        except StopAsyncIteration:
            return


async def _slowly(stream: ChatCompletionStream, plan: Plan, got: Read) -> None:
    sleeps = 0
    async for batch in stream.batches():
        got.saw(batch)
        if sleeps < SLOW_READER_SLEEPS:
            sleeps += 1
            await asyncio.sleep(1.2 * plan.patience_s)


_READING = {
    "text": _by_text,
    "batches": _by_batch,
    "completion": _at_once,
    "polling": _by_polling,
    "slow_reader": _slowly,
}


# --- judging ---------------------------------------------------------------------------------------------------------


def _judged(plan: Plan, stream: ChatCompletionStream, got: Read) -> Verdict:
    ending = _ending(stream, got)
    if ending is None:
        return Verdict(plan, Ending.CUT, [f"outcome {stream.outcome} without an error, and nobody left"])
    problems: list[str] = []
    if ending not in WAYS[plan.way].endings:
        problems.append(f"{ending}, with {got.error!r}, expected {' or '.join(WAYS[plan.way].endings)}")
    elif got.error is not None:
        problems += _error_problems(plan, got.error)
    problems += _text_problems(plan, stream, got, ending)
    problems += _fact_problems(plan, stream, got, ending)
    return Verdict(plan, ending, problems)


def _ending(stream: ChatCompletionStream, got: Read) -> Ending | None:
    if got.error is not None:
        # A clock is a cut even before the response began; any other failure to get one is a refusal.
        return Ending.CUT if isinstance(got.error, (StreamError, APITimeoutError)) else Ending.REFUSED
    if stream.outcome is Outcome.COMPLETE:
        return Ending.DELIVERED
    return Ending.CANCELLED if got.left else None


def _error_problems(plan: Plan, error: OpeAIError) -> list[str]:
    way = WAYS[plan.way]
    if way.error is None or not isinstance(error, way.error):
        return [f"{error!r}, expected {way.error and way.error.__name__}"]
    if getattr(error, "phase", None) != way.phase:
        return [f"the clock {getattr(error, 'phase', None)} ended it, expected {way.phase}"]
    if way.attempts > 1 and "budget" not in "".join(error.__notes__):
        return [f"{error!r} was not retried, and the budget is not empty"]
    return []


def _text_problems(plan: Plan, stream: ChatCompletionStream, got: Read, ending: Ending) -> list[str]:
    """What is wrong with the text of the message, and of what was handed out."""
    message = got.error.partial if isinstance(got.error, StreamError) else stream.snapshot
    reasoning, content = _texts(message)
    whole = plan.text()
    text = reasoning + content
    problems = []
    if not whole.startswith(text) or (content and reasoning != plan.text(0, plan.reasoning)):
        problems.append(f"the text is no beginning of what was sent: {_excerpt(text, whole)}")
    if ending is Ending.DELIVERED and text != whole:
        problems.append(f"delivered {len(text)} characters of {len(whole)}")
    if ending is Ending.CUT and WAYS[plan.way].is_exact and text != plan.text(0, plan.at):
        problems.append(f"the partial has {len(text)} characters, {len(plan.text(0, plan.at))} were sent")
    handed_out, expected = "".join(got.pieces), text if got.whole else content
    if handed_out != expected:
        problems.append(f"handed out {len(handed_out)} characters, the message has {len(expected)}")
    return problems


def _fact_problems(plan: Plan, stream: ChatCompletionStream, got: Read, ending: Ending) -> list[str]:
    """What is wrong with usage, request id and attempts."""
    problems = []
    meta = stream.meta
    if meta.request_id not in (plan.request_id, None):
        problems.append(f"the answer to {meta.request_id}")
    if ending is Ending.DELIVERED:
        if stream.usage is None:
            if plan.way != "no_done" and not got.left:  # who leaves after the finish_reason has all but the usage
                problems.append("no usage")
        elif stream.usage.completion_tokens != plan.pieces:
            problems.append(f"usage of {stream.usage.completion_tokens} tokens, expected {plan.pieces}")
        if len(meta.attempts) != WAYS[plan.way].attempts:
            problems.append(f"{len(meta.attempts)} attempts: {meta.attempts}")
    return problems


def _texts(message: ChatCompletion | None) -> tuple[str, str]:
    if message is None or not message.choices:
        return "", ""
    answer = message.choices[0].message
    return answer.reasoning_content or "", answer.content or ""


def _excerpt(text: str, whole: str) -> str:
    """Where the two part."""
    place = next((at for at, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
    begin = max(0, place - 20)
    return f"{text[begin : place + 20]!r} at {place}, expected {whole[begin : place + 20]!r}"
