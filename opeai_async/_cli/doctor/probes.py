"""The questions to an endpoint: one small function per probe, each with its own limit of time.

A probe returns a verdict, and leaves what else it learnt in the ``Patient``: the quirks it met, by probe, and the facts
for the advice. No probe needs another; an error in one of them is only its own verdict.

A probe is asked up to three times::

    without a limit of tokens --no end in time--> with a limit, as are all probes after it
                                                       |
                                                       +--no end in time--> again at the end, if the limit helped others

The last try is for servers that keep making an answer that nobody reads any more, and let the next request wait for it.
Where a word is enough of an answer, the probe sets its own limit, which is lower still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from opeai_async._cli.doctor.obstacle import obstacle_of
from opeai_async._cli.doctor.patient import Attempt, Finding, Patient, Verdict
from opeai_async._cli.doctor.quirks import REASONING_FIELDS, error_shape
from opeai_async._cli.doctor.watch import Seen
from opeai_async._cli.models import is_about_model
from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX
from opeai_async._core.json import is_object
from opeai_async.errors import APIStatusError, OpeAIError
from opeai_async.types.completion import ChatCompletion, ToolCall
from opeai_async.types.request import MessageParam

UNKNOWN_MODEL = "opeai-async-doctor-no-such-model"
A_WORD = 16
"""The limit, in tokens, of answers whose text does not matter."""
SOME_LINES = 64
"""The limit of answers, in tokens, once one without a limit did not end in time."""
A_THOUGHT = 512
"""The same for the first try of a probe whose model must think first, or still be at it when the reader leaves."""
_SHOWN_CHARS = 110
_REFUSALS = (400, 422)

# Many servers accept the first; some accept the second; one that accepts the third has checked nothing.
_WRONG: tuple[dict[str, Any], ...] = ({"temperature": 9}, {"temperature": "hot"}, {"messages": 9})

_HELLO: list[MessageParam] = [{"role": "user", "content": "Say hello in five words."}]
_COUNT: list[MessageParam] = [{"role": "user", "content": "Count from 1 to 50, in words, one per line."}]
_SUM: list[MessageParam] = [{"role": "user", "content": "What is 17 * 23? Think first, then give the number only."}]
_WEATHER: list[MessageParam] = [{"role": "user", "content": "How is the weather in Paris? Call get_weather."}]
_WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Probe(NamedTuple):
    """One question.

    Attributes:
        name: The name in the table.
        ask: A coroutine function that asks, and returns what it found.
        max_tokens: The limit of its first try, once answers are known to end in time only with a limit.
    """

    name: str
    ask: Callable[[Patient], Awaitable[Finding]]
    max_tokens: int = SOME_LINES


async def examine(patient: Patient, timeout_s: float, progress: Callable[[str], None]) -> dict[str, Finding]:
    """Ask all questions, one after the other, each for *timeout_s* seconds at a time; return the findings by name.

    Where the first one meets an obstacle, it is the only one; the patient has the obstacle then.
    """
    findings: dict[str, Finding] = {}
    for probe in PROBES:
        progress(probe.name)
        findings[probe.name] = await _find(probe, patient, timeout_s, progress)
        if probe.name == REACHABLE and patient.failure is not None:
            patient.obstacle = await obstacle_of(patient.failure, patient.client, patient.model)
            if patient.obstacle is not None:
                return findings
    # Only if the limit has helped somewhere: otherwise the server is slow or dead, and asking again would show nothing.
    if any(found.max_tokens is not None and found.verdict != "failed" for found in findings.values()):
        for probe in (probe for probe in PROBES if probe.name in patient.held_up):
            progress(f"{probe.name}, again")
            findings[probe.name] = await _find_at_last(probe, patient, timeout_s, findings[probe.name])
    return findings


async def _find(probe: Probe, patient: Patient, timeout_s: float, progress: Callable[[str], None]) -> Finding:
    """Ask, and once more with a lower limit if there was no end in time and that may help; return the finding."""
    first = Attempt(_first_limit(probe, patient))
    finding = await _within(probe, patient, first, timeout_s)
    if finding is not None:
        return finding
    late = _limited(_late(patient.wire.last, timeout_s), first)
    if not first.would_gain_by(SOME_LINES) or patient.facts.limit_field is None:
        return late
    patient.needs_limit = True
    progress(f"{probe.name}, with {SOME_LINES} tokens at most")
    second = Attempt(SOME_LINES)
    finding = await _within(probe, patient, second, timeout_s)
    if finding is None:
        finding = _limited(_late(patient.wire.last, timeout_s), second)
        patient.held_up.add(probe.name)
    elif first.max_tokens is None and finding.verdict != "failed":
        patient.facts.endless_after_s = timeout_s
    return finding._replace(seen=f"{late.seen}; {finding.seen}")


async def _find_at_last(probe: Probe, patient: Patient, timeout_s: float, before: Finding) -> Finding:
    """Ask again, now that no abandoned answer is in the way; return *before* if there is no end again."""
    finding = await _within(probe, patient, Attempt(SOME_LINES), timeout_s)
    if finding is None:
        return before
    if finding.verdict != "failed":
        patient.facts.endless_after_s = timeout_s
    return finding._replace(seen=f"{before.seen}; asked again at the end, {finding.seen}")


def _first_limit(probe: Probe, patient: Patient) -> int | None:
    if not patient.needs_limit:
        return None
    return probe.max_tokens if patient.facts.endless_after_s else SOME_LINES


async def _within(probe: Probe, patient: Patient, attempt: Attempt, timeout_s: float) -> Finding | None:
    """Ask in one *attempt*, and return the finding; None if *timeout_s* seconds were not enough."""
    try:
        async with asyncio.timeout(timeout_s):
            with patient.probe(probe.name, attempt):
                finding = await probe.ask(patient)
    except TimeoutError:
        return None
    except OpeAIError as exc:
        finding = Finding("failed", told(exc))
    return _limited(finding, attempt)


def _limited(finding: Finding, attempt: Attempt) -> Finding:
    """Return *finding* with the limit under which it was made, if there was one."""
    limit = attempt.limit()
    if limit is None:
        return finding
    return finding._replace(seen=f"with {limit} tokens at most: {finding.seen}", max_tokens=limit)


def _late(seen: Seen | None, timeout_s: float) -> Finding:
    """Return the finding that there was no end in time, and how much had come."""
    came = "nothing came" if seen is None else f"after {seen.size} bytes" if seen.size else "after the head alone"
    return Finding("failed", f"no end within {timeout_s:g} s, {came}")


# --- the probes -------------------------------------------------------------------------------------------------------


async def _reachable(patient: Patient) -> Finding:
    """Find out whether a server answers and accepts the key; a refusal of anything else is an answer too."""
    try:
        completion = await patient.create(limit=A_WORD, model=patient.model, messages=_HELLO)
    except APIStatusError as exc:
        if exc.status_code not in _REFUSALS or is_about_model(exc):
            raise
        patient.note_refusal(exc)
        if "max_tokens" in (exc.param or exc.message):
            await _learn_limit_field(patient)
        return Finding("odd", told(exc))
    head_s = completion.meta.attempts[-1].elapsed_s if completion.meta.attempts else 0.0
    return Finding("yes", f"HTTP {completion.meta.status_code} after {_seconds(head_s)}, the key was accepted")


async def _learn_limit_field(patient: Patient) -> None:
    """Find out whether the newer name is accepted where ``max_tokens`` is not."""
    patient.facts.limit_field = "max_completion_tokens"
    try:
        await patient.create(limit=A_WORD, model=patient.model, messages=_HELLO)
    except APIStatusError as exc:
        if exc.status_code not in _REFUSALS:
            raise
        patient.note_refusal(exc)
        patient.facts.limit_field = None


async def _plain(patient: Patient) -> Finding:
    completion = await patient.create(model=patient.model, messages=_HELLO)
    text, reason = _text_of(completion), _reason_of(completion)
    usage = f"{completion.usage.total_tokens} tokens" if completion.usage is not None else "no usage"
    return Finding("yes" if text else "odd", f"{_quoted(text)}, finish_reason {reason!r}, {usage}")


async def _stream(patient: Patient) -> Finding:
    stream = await patient.stream(model=patient.model, messages=_HELLO)
    async with stream:
        completion = await stream.completion()
    # The client shows its stream repaired; how it was framed is in the transport's memory.
    timing, seen, facts = stream.timing, patient.wire.seen[-1], patient.facts
    facts.answers = facts.streams = True
    facts.note_stream(seen, stream.outcome, timing.first_content_s)
    facts.sends_usage_unasked = completion.usage is not None
    parts = [
        f"first byte {_seconds(timing.first_byte_s)}",
        f"first content {_seconds(timing.first_content_s)}",
        str(stream.outcome.value),
        "[DONE]" if seen.has_done else "no [DONE]",
        f"finish_reason {_reason_of(completion)!r}",
        "usage unasked" if facts.sends_usage_unasked else "no usage unasked",
    ]
    is_sound = stream.outcome is Outcome.COMPLETE and "json_for_stream" not in stream.quirks
    return Finding("yes" if is_sound and _text_of(completion) else "odd", ", ".join(parts))


async def _usage(patient: Patient) -> Finding:
    # A refusal is a finding here and not a failure; other statuses say nothing about this option.
    try:
        async with await patient.stream(usage=True, model=patient.model, messages=_HELLO) as stream:
            usage = (await stream.completion()).usage
    except APIStatusError as exc:
        if exc.status_code not in _REFUSALS:
            raise
        patient.facts.stream_options_refused = True
        return Finding("no", f"stream_options is refused: {told(exc)}")
    if usage is None:
        return Finding("no", "stream_options.include_usage is ignored")
    patient.facts.sends_usage_asked = True
    return Finding(
        "yes", f"prompt {usage.prompt_tokens}, completion {usage.completion_tokens}, sum {usage.total_tokens}"
    )


async def _tools(patient: Patient) -> Finding:
    async def call(choice: str) -> Finding:
        completion = await patient.create(
            model=patient.model, messages=_WEATHER, tools=[_WEATHER_TOOL], tool_choice=choice
        )
        return _judged_calls(completion, choice)

    return await _with_tool_choice(patient, call)


async def _streamed_tools(patient: Patient) -> Finding:
    async def call(choice: str) -> Finding:
        stream = await patient.stream(model=patient.model, messages=_WEATHER, tools=[_WEATHER_TOOL], tool_choice=choice)
        async with stream:
            found = _judged_calls(await stream.completion(), choice)
        # The client numbers the calls itself, so the indexes that were sent are read from the bytes.
        indexes = sorted({repr(piece.get("index", "none")) for piece in patient.wire.seen[-1].tool_calls})
        return found._replace(seen=f"{found.seen}, index {', '.join(indexes)}") if indexes else found

    return await _with_tool_choice(patient, call)


async def _with_tool_choice(patient: Patient, call: Callable[[str], Awaitable[Finding]]) -> Finding:
    """Ask with ``tool_choice="required"``; if that is refused, with "auto"."""
    try:
        return await call("required")
    except APIStatusError as exc:
        if exc.status_code not in _REFUSALS:
            raise
        patient.note_refusal(exc)
    try:
        finding = await call("auto")
    except APIStatusError as exc:
        if exc.status_code not in _REFUSALS:
            raise
        return Finding("no", f"tools are refused: {told(exc)}")
    patient.facts.tool_choice_refused = True
    return finding


def _judged_calls(completion: ChatCompletion, choice: str) -> Finding:
    calls = [call for item in completion.choices for call in item.message.tool_calls or []]
    if not calls:
        reason = _reason_of(completion)
        seen = f"no call came, with tool_choice {choice!r}; finish_reason {reason!r}"
        return Finding("odd" if reason == "length" else "no", seen)  # an answer that was cut may have come to it
    shown = ", ".join(_quoted(call.function.name) if call.type == "function" else call.type for call in calls)
    faults = [fault for call in calls for fault in _faults(call)]
    if "tool_id_shared" in completion.meta.quirks:
        faults.append("ids that repeat")
    sound = "ids and JSON arguments are sound" if not faults else "; ".join(faults)
    return Finding("odd" if faults else "yes", f"{shown}: {sound}; tool_choice {choice!r}")


def _faults(call: ToolCall) -> list[str]:
    faults: list[str] = []
    if call.id.startswith(SYNTHETIC_ID_PREFIX):
        faults.append("no id")
    if call.type == "function" and not _is_json_object(call.function.arguments):
        faults.append("arguments that are no JSON object")
    if call.type == "function" and call.function.name != "get_weather":
        faults.append("a name that was not offered")
    return faults


async def _reasoning(patient: Patient) -> Finding:
    async with await patient.stream(model=patient.model, messages=_SUM) as stream:
        completion = await stream.completion()
    # The client shows reasoning under one name, so the names that were sent are read from the bytes.
    names = [name for name in REASONING_FIELDS if any(delta.get(name) for delta in patient.wire.seen[-1].deltas)]
    text = "".join(choice.message.reasoning_content or "" for choice in completion.choices)
    if text:
        end = "" if _text_of(completion) else ", and no content after them"
        return Finding("yes", f"{len(text)} characters, sent as {' and '.join(names) or 'blocks of content'}{end}")
    if names:
        return Finding("odd", f"sent as {' and '.join(names)}, which stays in `extra`")
    if "</think>" in _text_of(completion):
        return Finding("odd", "inside of the content, up to </think>")
    return Finding("no", "none came")


async def _two_choices(patient: Patient) -> Finding:
    try:
        completion = await patient.create(limit=A_WORD, model=patient.model, messages=_HELLO, n=2)
    except APIStatusError as exc:
        return _refused_choices(patient, exc)
    return _judged_choices(completion)


async def _two_streamed_choices(patient: Patient) -> Finding:
    # Two choices with usage show servers that count each choice by itself.
    is_asked = not patient.facts.stream_options_refused
    try:
        stream = await patient.stream(usage=is_asked, limit=A_WORD, model=patient.model, messages=_HELLO, n=2)
        async with stream:
            found = _judged_choices(await stream.completion())
    except APIStatusError as exc:
        return _refused_choices(patient, exc)
    odd = [str(stream.outcome.value)] if stream.outcome is not Outcome.COMPLETE else []
    sums = [usage.get("total_tokens") for usage in patient.wire.seen[-1].usages(with_choices=False)]
    odd += [f"usage {len(sums)} times, of {', '.join(map(str, sums))} tokens"] if len(sums) > 1 else []
    if not odd:
        return found
    return Finding("odd" if found.verdict == "yes" else found.verdict, ", ".join([found.seen, *odd]))


def _refused_choices(patient: Patient, error: APIStatusError) -> Finding:
    if error.status_code not in _REFUSALS:
        raise error
    patient.note_refusal(error)
    return Finding("no", f"refused: {told(error)}")


def _judged_choices(completion: ChatCompletion) -> Finding:
    indexes = [choice.index for choice in completion.choices]
    if len(indexes) < 2:
        return Finding("no", f"ignored: {len(indexes)} choice")
    return Finding("yes" if sorted(indexes) == [0, 1] else "odd", f"choices {', '.join(map(str, indexes))}")


async def _bad_request(patient: Patient) -> Finding:
    """Find out how the server reports an error: send wrong requests, the next one worse, until one is refused."""
    accepted: list[str] = []
    for wrong in _WRONG:
        what = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
        try:
            await patient.create(limit=A_WORD, model=patient.model, messages=_HELLO, extra_body=wrong)
        except APIStatusError as exc:
            patient.note_refusal(exc)
            found = _judged_error(exc)
            return found._replace(seen=f"{', '.join(accepted)} accepted; {what}: {found.seen}") if accepted else found
        accepted.append(what)
    return Finding("no", f"all accepted: {', '.join(accepted)}")


def _judged_error(error: APIStatusError) -> Finding:
    # As the API documents it: {"error": {...}} with status 400; some gateways use 422.
    shape = error_shape(error)
    is_usual = shape == "error object" and error.status_code in _REFUSALS
    facts = f"param {error.param!r}, code {error.code!r}, type {error.type!r}"
    return Finding("yes" if is_usual else "odd", f"HTTP {error.status_code} with {shape}: {facts}")


async def _unknown_model(patient: Patient) -> Finding:
    try:
        completion = await patient.create(limit=A_WORD, model=UNKNOWN_MODEL, messages=_HELLO)
    except APIStatusError as exc:
        patient.note_refusal(exc)
        return Finding("yes" if exc.status_code == 404 else "odd", told(exc))
    return Finding("no", f"accepted, HTTP {completion.meta.status_code}, answered by {_quoted(completion.model)}")


async def _early_close(patient: Patient) -> Finding:
    async with await patient.stream(model=patient.model, messages=_COUNT) as stream:
        async for _ in stream:
            break
    # The next request shows whether the server has noticed: some serve one answer at a time.
    outcome = stream.outcome
    completion = await patient.create(limit=A_WORD, model=patient.model, messages=_HELLO)
    how = "left after the first chunk" if outcome is Outcome.CANCELLED else f"the stream was over ({outcome.value})"
    return Finding("yes" if completion.choices else "odd", f"{how}; the next request was answered")


async def _request_id(patient: Patient) -> Finding:
    # It asks nothing: the responses to all other probes are the sample, so it comes last.
    heads = [seen.head for seen in patient.wire.seen]
    if not heads:
        return Finding("failed", "no response came")
    with_id = sum(head.request_id is not None for head in heads)
    verdict: Verdict = "no" if not with_id else "yes" if with_id == len(heads) else "odd"
    return Finding(verdict, f"on {with_id} of {len(heads)} responses")


REACHABLE, PLAIN, STREAM = "reachable", "plain completion", "stream"

PROBES: tuple[Probe, ...] = (
    Probe(REACHABLE, _reachable),
    Probe(PLAIN, _plain),
    Probe(STREAM, _stream),
    Probe("usage in stream", _usage),
    Probe("tools", _tools),
    Probe("tools, streamed", _streamed_tools),
    Probe("reasoning", _reasoning, max_tokens=A_THOUGHT),
    Probe("n=2", _two_choices),
    Probe("n=2, streamed", _two_streamed_choices),
    Probe("bad request", _bad_request),
    Probe("unknown model", _unknown_model),
    Probe("early close", _early_close, max_tokens=A_THOUGHT),
    Probe("request id", _request_id),
)


# --- saying it briefly ------------------------------------------------------------------------------------------------


def told(error: OpeAIError) -> str:
    """Return *error* on one line."""
    return f"{type(error).__name__}: {_clipped(error.message)}"


def _quoted(text: str) -> str:
    return f'"{_clipped(text, 40)}"'


def _clipped(text: str, limit: int = _SHOWN_CHARS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _text_of(completion: ChatCompletion) -> str:
    return completion.choices[0].message.content or "" if completion.choices else ""


def _reason_of(completion: ChatCompletion) -> str | None:
    reason = completion.choices[0].finish_reason if completion.choices else None
    return None if reason is None else _clipped(reason, 40)


def _is_json_object(text: str) -> bool:
    try:
        return is_object(msgspec.json.decode(text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
