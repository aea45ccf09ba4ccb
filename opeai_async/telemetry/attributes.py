"""Attributes of spans and metrics, made of the records. Nothing here knows an SDK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from opeai_async.telemetry import conventions as names
from opeai_async.types.common import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from opeai_async.types.records import CallRecord, CallStarted, Waits

Value: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = dict[str, Value]

_NO_PROMPT_DETAILS = PromptTokensDetails()
_NO_COMPLETION_DETAILS = CompletionTokensDetails()


def at_start(call: CallStarted) -> Attributes:
    """Return what samplers may decide by."""
    return {names.OPERATION: call.operation, names.REQUEST_MODEL: call.model, **of_server(call.host, call.port)}


def of_server(host: str, port: int) -> Attributes:
    """Return which server it is, and whose."""
    return {names.PROVIDER: names.provider_of(host), names.SERVER_ADDRESS: host, names.SERVER_PORT: port}


def place_of(record: CallRecord) -> tuple[str, int]:
    """Return host and port of the server that brought the answer, or was asked last."""
    if record.url is None:
        return record.call.host, record.call.port
    url = urlsplit(record.url)
    return url.hostname or "", url.port or {"https": 443, "http": 80}.get(url.scheme, 0)


def of_request(call: CallStarted) -> Attributes:
    """Return what else a request says: how to answer, and never what."""
    found: Attributes = {names.CALL_ID: call.call_id, names.API_TYPE: "chat_completions"}
    if call.stream:
        found[names.REQUEST_STREAM] = True
    if call.choices != 1:
        found[names.REQUEST_CHOICES] = call.choices
    if call.output_type is not None:
        found[names.OUTPUT_TYPE] = call.output_type
    if call.conversation_id is not None:
        found[names.CONVERSATION_ID] = call.conversation_id
    if call.custom_id is not None:
        found[names.CUSTOM_ID] = call.custom_id
        if call.run_id is not None:
            found[names.BULK_RUN_ID] = call.run_id
    tier = call.params.get("service_tier")
    if isinstance(tier, str) and tier != "auto":
        found[names.REQUEST_TIER] = tier
    for param, name in names.REQUEST_PARAMS.items():
        if (value := _typed(param, call.params.get(param))) is not None:
            found[name] = value
    return found


def _typed(param: str, value: object) -> Value | None:
    """Return *value* in the type that the conventions want; None for what cannot be of it."""
    if param == "stop":
        if isinstance(value, str):
            return (value,)
        texts = cast("Sequence[object]", value) if isinstance(value, Sequence) else ()
        return tuple(text for text in texts if isinstance(text, str)) or None
    if param in names.DOUBLES or param in names.WHOLE_NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return float(value) if param in names.DOUBLES else int(value)
    return value if isinstance(value, str) else None


def of_answer(record: CallRecord) -> Attributes:
    """Return what is known when the call is over; `error.type` only where that was an error."""
    found: Attributes = {names.OUTCOME: record.outcome, names.ATTEMPTS: len(record.attempts)}
    optional: dict[str, Value | None] = {
        names.RESPONSE_ID: record.response_id,
        names.RESPONSE_MODEL: record.response_model,
        names.FINISH_REASONS: record.finish_reasons or None,
        names.FIRST_CHUNK: record.first_chunk_s if record.call.stream else None,
        names.RESPONSE_TIER: record.service_tier,
        names.FINGERPRINT: record.system_fingerprint,
        names.ERROR_TYPE: record.error,
        names.STATUS: record.attempts[-1].status_code if record.attempts else None,
        names.REQUEST_ID: record.request_id,
        names.QUIRKS: record.quirks or None,
        names.ENDPOINT: record.endpoint,
        names.CONTINUED: len(record.continued) or None,
    }
    if record.url is not None:
        found.update(of_server(*place_of(record)))
    found.update((name, value) for name, value in optional.items() if value is not None)
    found.update(of_usage(record.usage))
    found.update((names.WAIT + part, seconds) for part, seconds in waits(record.waits) if seconds > 0)
    return found


def waits(parts: Waits) -> Iterator[tuple[str, float]]:
    """Yield each part of a call's time by name."""
    for part in names.WAIT_NAMES:
        yield part, getattr(parts, part + "_s")


def of_usage(usage: CompletionUsage | None) -> Attributes:
    """Return the token counts; those that a server does not tell are left out."""
    return {} if usage is None else {names.USAGE + name: count for name, count in counts(usage)}


def counts(usage: CompletionUsage) -> Iterator[tuple[str, int]]:
    """Yield each count by the end of its name in the conventions, totals first."""
    prompt = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    read, written = cached(usage)
    found: tuple[tuple[str, int | None], ...] = (
        ("input_tokens", usage.prompt_tokens),
        ("output_tokens", usage.completion_tokens),
        ("cache_read.input_tokens", read),
        ("cache_write.input_tokens", written),
        ("reasoning.output_tokens", completion.reasoning_tokens),
        ("text.input_tokens", prompt.text_tokens),
        ("image.input_tokens", prompt.image_tokens),
        ("audio.input_tokens", prompt.audio_tokens),
        ("text.output_tokens", completion.text_tokens),
        ("image.output_tokens", _number(completion.extra.get("image_tokens"))),
        ("audio.output_tokens", completion.audio_tokens),
    )
    for name, count in found:
        if count is not None:
            yield name, count


def cached(usage: CompletionUsage) -> tuple[int | None, int | None]:
    """Return how many of the prompt's tokens came from a cache, and went to one; None for what was not told.

    This API tells the first one. DeepSeek and what stands before Anthropic have names of their own.
    """
    details = usage.prompt_tokens_details
    read = None if details is None else details.cached_tokens
    if read is None:
        read = _first(usage.extra, "prompt_cache_hit_tokens", "cache_read_input_tokens")
    written = None if details is None else _first(details.extra, "cache_write_tokens", "cache_creation_tokens")
    if written is None:
        written = _first(usage.extra, "cache_creation_input_tokens", "cache_write_input_tokens")
    return read, written


def by_modality(usage: CompletionUsage | None) -> Iterator[tuple[str, str, int]]:
    """Yield counts as counters want them: (end of the name, modality, tokens).

    The parts of a total add up to it: what no modality was told for counts as ``unknown``, and so does the 0 of a
    call without usage.
    """
    if usage is None:
        yield "input_tokens", names.UNKNOWN_MODALITY, 0
        yield "output_tokens", names.UNKNOWN_MODALITY, 0
        return
    told = dict(counts(usage))
    for total in ("input_tokens", "output_tokens"):
        rest = told.get(total, 0)
        for modality in ("text", "image", "audio"):
            part = min(told.get(f"{modality}.{total}", 0), rest)
            if part > 0:
                yield total, modality, part
                rest -= part
        if rest > 0 or told.get(total, 0) == 0:
            yield total, names.UNKNOWN_MODALITY, rest
    for name in ("cache_read.input_tokens", "cache_write.input_tokens", "reasoning.output_tokens"):
        if name in told:
            yield name, names.UNKNOWN_MODALITY, told[name]


def of_metric(record: CallRecord) -> Attributes:
    """Return the labels of a call's metrics, all of which a handful of values is known for."""
    found = at_start(record.call)
    if record.endpoint is not None:
        found.update({**of_server(*place_of(record)), names.ENDPOINT: record.endpoint})
    if record.response_model is not None:
        found[names.RESPONSE_MODEL] = record.response_model
    return found


def of_tries(record: CallRecord) -> Attributes:
    """Return the labels of tries, each of which adds its own endpoint."""
    return {names.OPERATION: record.call.operation, names.REQUEST_MODEL: record.call.model}


def time_per_chunk(record: CallRecord) -> float | None:
    """Return the mean of the seconds between two chunks; None where there were not two.

    The conventions would have each chunk measured by itself. Chunks that arrive in one read have no time between
    them that anybody could measure, and a record per chunk would cost more than reading it.
    """
    first, total = record.first_chunk_s, record.timing.total_s
    if first is None or total is None or record.chunks < 2 or total <= first:
        return None
    return (total - first) / (record.chunks - 1)


def _first(fields: dict[str, Any], *keys: str) -> int | None:
    return next((count for key in keys if (count := _number(fields.get(key))) is not None), None)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
