"""What a call may be given: the parameters of the API, and options of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

from msgspec import Struct

from opeai_async._core.call.redact import hidden_values
from opeai_async._core.call.timeouts import TimeoutsLike
from opeai_async._core.limits import DEFAULT_MAX_EVENT_BYTES, MAX_STREAM_BYTES
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import DialectMode, ReasoningTags
from opeai_async.types.request import CompletionParams, ResponseFormatParam, SharedParams, UnformattedParams

if TYPE_CHECKING:
    from opeai_async._core.call.retry import RetryPolicy
    from opeai_async.types.options import AskForKey, OnTruncated
    from opeai_async.types.records import ObserversParam
    from opeai_async.types.run_options import Approvals, BeforeRound, OnToolError


T = TypeVar("T")

OutputMode = Literal["json_schema", "json_object", "tool"]


class CallOptions(TypedDict, total=False):
    """What a call may set beside the API's own parameters.

    Attributes:
        extra_body: Fields added to the body, or put in place of others, unchecked.
        extra_headers: Headers added to the client's, or put in their place.
        extra_query: Parameters added to the URL.
        timeouts: Limits in place of the client's, where set; a number is that of seconds for the whole call.
        timeout: The same by another name.
        max_retries: Tries after the first one, in place of the client's.
        dialect: ``"repair"`` or ``"strict"``, in place of the client's.
        on_truncated: ``"raise"`` or ``"return"``, in place of the client's.
        reasoning_tags: ``"none"``, ``"think"`` or ``"open"``, in place of the client's.
        observers: Who is told what the call does, beside the client's.
        conversation_id: What observers are told that the call belongs to; it is not sent.
    """

    extra_body: Mapping[str, object] | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, str] | None
    timeouts: TimeoutsLike | None
    timeout: TimeoutsLike | None
    max_retries: int | None
    dialect: DialectMode
    on_truncated: OnTruncated
    reasoning_tags: ReasoningTags
    observers: ObserversParam
    conversation_id: str | None


class ListOptions(TypedDict, total=False):
    """What ``models.list`` may be given.

    Attributes:
        extra_headers: Headers added to the client's, or put in their place.
        extra_query: Parameters added to the URL.
        timeouts: Limits in place of the client's, where set; a number is that of seconds for the whole call.
        timeout: The same by another name.
        max_retries: Tries after the first one, in place of the client's.
    """

    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, str] | None
    timeouts: TimeoutsLike | None
    timeout: TimeoutsLike | None
    max_retries: int | None


class ClientOptions(TypedDict, total=False):
    """What a client of ``with_options`` may have of its own.

    Attributes:
        api_key: Another key, or a function that gives it.
        base_url: Another address.
        timeouts: Limits in place of the client's, where set; a number is that of seconds for the whole call.
        timeout: The same by another name.
        max_retries: Tries after the first one.
        retry: The whole retry policy.
        default_headers: Headers added to the client's, or put in their place.
        default_query: Parameters added to each URL.
        dialect: ``"repair"`` or ``"strict"``.
        on_truncated: ``"raise"`` or ``"return"``.
        reasoning_tags: ``"none"``, ``"think"`` or ``"open"``.
        max_event_bytes: Bound on one event of a stream.
    """

    api_key: str | AskForKey | None
    base_url: str | None
    timeouts: TimeoutsLike | None
    timeout: TimeoutsLike | None
    max_retries: int | None
    retry: RetryPolicy | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, str] | None
    dialect: DialectMode | None
    on_truncated: OnTruncated | None
    reasoning_tags: ReasoningTags | None
    max_event_bytes: int | None


class CreateParams(CompletionParams, CallOptions):
    """Every keyword of ``create`` but ``stream`` and the types."""


class ParseParams(UnformattedParams, CallOptions):
    """The same for ``parse``, whose ``response_format`` is a Python type."""


class RunOptionParams(TypedDict, total=False):
    """How a run of tools goes.

    Attributes:
        max_rounds: How often the model is asked, 10 by default. What the last round calls is run, but the model is not
            told.
        parallel: How many tools run at once, 8 by default.
        call_timeout: Seconds that one call may take, unless its tool has a limit of its own; None for no limit.
        eager: Start a call as soon as it is certain, while the model still writes the next. Should the answer then
            break off, it has been started all the same: for tools which only read.
        on_error: What becomes of an exception of a tool: ``"tell"`` the model its type, ``"raise"`` it, or a function
            of the exception and the call, which returns what to tell, and may be async. A ``ToolError`` is always told.
        max_calls: How many calls are run in all; one more ends the run, when the others have run.
        max_total_tokens: When all rounds together have used as many, no other round is begun.
        deadline_s: Seconds after the first read at which the run ends, whatever it is doing.
        before_round: Is called with the conversation, the usage so far and the round's number before each round;
            returns what is sent in place of the conversation, such as its end, or a ``NextRound``, or None.
        approvals: Where *messages* are those of a run that ended with the reason ``"approval"``: for each of its
            ``pending_calls``, by id, True, or why it is not run. These are run first. Any that is left out stays
            pending, and ends this run at once.
    """

    max_rounds: int
    parallel: int
    call_timeout: float | None
    eager: bool
    on_error: OnToolError
    max_calls: int | None
    max_total_tokens: int | None
    deadline_s: float | None
    before_round: BeforeRound | None
    approvals: Approvals | None


class UnformattedRunParams(SharedParams, CallOptions, RunOptionParams):
    """Every keyword of ``run`` but ``tools`` and the ``response_format``, where that is a Python type."""


class RunParams(UnformattedRunParams, total=False):
    """The same for ``run`` with a ``response_format`` in the API's own form."""

    response_format: ResponseFormatParam | None


ParamsT = TypeVar("ParamsT", CreateParams, ParseParams, RunParams, UnformattedRunParams)


_OPTION_NAMES = frozenset(CallOptions.__annotations__)
_RUN_OPTION_NAMES = frozenset(RunOptionParams.__annotations__)


def split_params(params: CreateParams) -> tuple[dict[str, Any], CallOptions]:
    """The API's parameters, and the call's options."""
    fields = dict(params)
    options = {name: fields.pop(name) for name in _OPTION_NAMES & fields.keys()}
    return fields, cast("CallOptions", options)


def split_run_params(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the keywords of ``run`` into those of a stream, and the options of the run."""
    fields = dict(params)
    return fields, {name: fields.pop(name) for name in _RUN_OPTION_NAMES & fields.keys()}


def choices_asked(fields: Mapping[str, Any], options: CallOptions) -> int:
    """Return how many answers are asked for: ``n``, also where ``extra_body`` has it."""
    asked = _asked("n", fields, options)
    return asked if isinstance(asked, int) and asked > 0 else 1


def usage_asked(fields: Mapping[str, Any], options: CallOptions, *, by_default: bool) -> bool:
    """Tell whether token counts are asked for at the end of a stream."""
    asked = _asked("stream_options", fields, options)
    if asked is None:
        return by_default
    if isinstance(asked, Mapping):
        return bool(cast("Mapping[str, Any]", asked).get("include_usage"))
    return bool(getattr(asked, "include_usage", False))


def audio_asked(fields: Mapping[str, Any], options: CallOptions) -> bool:
    """Tell whether a spoken answer is asked for."""
    modalities = _asked("modalities", fields, options)
    return isinstance(modalities, Collection) and "audio" in modalities


def _asked(name: str, fields: Mapping[str, Any], options: CallOptions) -> Any:
    return (options.get("extra_body") or {}).get(name, fields.get(name))


def hidden_params(params: ParamsT) -> ParamsT:
    """*params* with headers that no repr shows: traceback printers show locals, and some servers take a key there."""
    headers = params.get("extra_headers")
    return params if not headers else cast("ParamsT", {**params, "extra_headers": hidden_values(headers)})


def one_of(name: str, value: T, allowed: tuple[T, ...]) -> T:
    """*value*, if it is allowed; else a ``ConfigurationError`` names those that are."""
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value


class ReadOptions(Struct, frozen=True, kw_only=True):
    """How a stream reads.

    Attributes:
        dialect: ``"repair"``, or ``"strict"`` to raise where a repair would be needed.
        on_truncated: ``"raise"``, or ``"return"`` to end quietly where a body ends without a finish_reason.
        reasoning_tags: How to find the thinking in the content: ``"none"``, ``"think"`` or ``"open"``.
        choices: How many answers were asked for (``n``).
        wants_usage: Whether token counts were asked for, which come at the end.
        wants_audio: Whether a spoken answer was asked for.
    """

    dialect: DialectMode = "repair"
    on_truncated: OnTruncated = "raise"
    reasoning_tags: ReasoningTags = "none"
    choices: int = 1
    wants_usage: bool = False
    wants_audio: bool = False
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    max_stream_bytes: int = MAX_STREAM_BYTES
