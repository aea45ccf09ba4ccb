"""Types that chunks, completions and requests share: the base Struct, usage, logprobs, annotations."""

# No ``from __future__ import annotations``: msgspec would have to compile each string at the first request.
import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NoReturn, Self, TypeGuard, TypeVar, cast

import msgspec
from msgspec import Struct

from opeai_async._names.former import WIRE, usable_names, with_former_names
from opeai_async._public import claim

T = TypeVar("T", bound="WireStruct")


class _NoExtra(dict[str, Any]):
    """Empty, immutable dict, of which all Structs without vendor fields share one."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this `extra` is shared and empty; build the Struct with extra={...} instead")

    __setitem__ = __delitem__ = pop = popitem = clear = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse
    __ior__: Any = _refuse

    # The name of a global: so it is the same object after pickle and copy, and ``extra is NO_EXTRA`` still holds.
    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: dict[str, Any] = _NoExtra()


@with_former_names(WIRE)
class WireStruct(
    Struct,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    eq=False,
    gc=False,
):
    """Base of everything that crosses the wire.

    ``extra`` holds the fields from the server that the Struct does not declare; if there were none, it is one empty
    dict that all Structs share. Structs are not tracked by the cyclic collector (``gc=False`` makes decoding a third
    cheaper): do not build reference cycles out of them.

    To read vendor fields with types, subclass the Struct with your own fields, and pass it as ``chunk_type`` or
    ``completion_type``.
    """

    # Set in private twins only (see _core/decode/strict_twins.py): the class that users know, and whether the twin
    # lacks the rare fields.
    public_type: ClassVar[type[Struct] | None] = None
    is_plain: ClassVar[bool] = False

    extra: dict[str, Any] = msgspec.field(default=NO_EXTRA, name="_extra")

    def __dir__(self) -> list[str]:
        return [name for name in usable_names(self) if name not in ("public_type", "is_plain")]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WireStruct) or _public(type(self)) is not _public(type(other)):
            return NotImplemented
        return msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    def __ne__(self, other: object) -> bool:
        # Struct defines its own, which does not call __eq__.
        return not self == other

    # As the public class: a private twin cannot be found by its name when it is unpickled.
    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _rebuild, (_public(type(self)), fields)

    # --- storing --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the Struct in the API's own form: plain dicts, lists and values, vendor fields in their places.

        Fields that are not of the wire, such as ``meta``, are left out; so are fields that the server did not send.
        """
        config = type(self).__struct_config__
        fields: dict[str, Any] = {} if config.tag is None else {str(config.tag_field): config.tag}
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            is_known = value is not msgspec.UNSET and (value is not None or field.default is not None)
            if is_known and not field.encode_name.startswith("_"):
                fields[field.encode_name] = _plain(value)
        # A vendor field never replaces a declared one.
        return {**_plain(self.extra), **fields}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return ``to_dict`` as JSON text; with *indent*, in lines that are indented by that many spaces."""
        encoded = msgspec.json.encode(self.to_dict())
        return (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Build the Struct from the result of ``to_dict``; a field that it does not declare goes to ``extra``.

        Raises:
            msgspec.ValidationError: If a field is missing, or of another type.
        """
        return msgspec.convert(_with_extra(fields, cls), cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Build the Struct from the result of ``to_json``, see ``from_dict``.

        Raises:
            msgspec.DecodeError: If it is not JSON; or as ``msgspec.ValidationError``, if it is of another shape.
        """
        return cls.from_dict(msgspec.json.decode(text))

    def __iter__(self) -> Iterator[Any]:
        # For ``dict(message)``, and for routes of FastAPI that return one without declaring it.
        return iter(self.to_dict().items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> dict[str, Any]:
        # A schema of pydantic is a dict, so pydantic need not be imported.
        def validate(value: Any) -> WireStruct:
            if isinstance(value, cls):
                return value
            try:
                return cls.from_json(value) if isinstance(value, (str, bytes)) else cls.from_dict(value)
            except (msgspec.MsgspecError, TypeError) as exc:
                # Pydantic turns a ValueError into its own error.
                raise ValueError(f"no {cls.__name__}: {exc}") from None

        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": validate},
            "serialization": {"type": "function-plain", "function": WireStruct.to_dict},
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "object", "title": cls.__name__, "description": (cls.__doc__ or "").partition("\n")[0]}


def _plain(value: Any) -> Any:
    """Return *value* with dicts in place of Structs."""
    if isinstance(value, WireStruct):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return msgspec.to_builtins(value)


def _with_extra(fields: Any, cls: type[WireStruct]) -> Any:
    """Return *fields* with those that *cls* does not declare in ``_extra``, also in all Structs within."""
    if not isinstance(fields, Mapping):
        return fields
    within = _structs_within(cls)
    named: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in cast("Mapping[str, Any]", fields).items():
        inner = within.get(name)
        if name not in within and name != cls.__struct_config__.tag_field:
            extra[name] = value
        elif inner is None:
            named[name] = value
        elif _is_list(value):
            named[name] = [_with_extra(item, inner) for item in value]
        else:
            named[name] = _with_extra(value, inner)
    return {**named, "_extra": extra} if extra else named


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


@functools.lru_cache(maxsize=256)
def _structs_within(cls: type[WireStruct]) -> dict[str, type[WireStruct] | None]:
    """Return the fields of *cls* by their wire names, each with the Struct in it or in its list; None if none is."""
    return {
        field.encode_name: next(_wire_types(field.type), None)
        for field in msgspec.structs.fields(cls)
        if not field.encode_name.startswith("_")
    }


def _wire_types(annotation: Any) -> Iterator[type[WireStruct]]:
    if isinstance(annotation, type) and issubclass(annotation, WireStruct):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _wire_types(argument)


def _public(cls: type[WireStruct]) -> type[Struct]:
    return cls.public_type or cls


def _rebuild(cls: type[T], fields: dict[str, Any]) -> T:
    return cls(**fields)


class PromptTokensDetails(WireStruct):
    """Counts of the prompt's tokens: by their source, and those written to the cache."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(WireStruct):
    """Counts of the completion's tokens by their use."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class UsageView(Struct, frozen=True, kw_only=True):
    """Counts of a request under one name each, whatever its server calls them; None for those that it did not send.

    Attributes:
        cached_tokens: Tokens of the prompt that were in the cache.
        cache_written_tokens: Tokens of the prompt that were written to the cache.
        reasoning_tokens: Tokens of the completion that were reasoning.
        input_audio_tokens: Tokens of the prompt that were audio.
        output_audio_tokens: Tokens of the completion that were audio.
        cost: Price in US dollars, or in the credits of a gateway.
        queue_s: Seconds before the server began.
        prompt_s: Seconds for reading the prompt.
        completion_s: Seconds for the answer.
        total_s: Seconds on the server.
    """

    cached_tokens: int | None = None
    cache_written_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    cost: float | None = None
    queue_s: float | None = None
    prompt_s: float | None = None
    completion_s: float | None = None
    total_s: float | None = None


# By count: the paths at which servers send it; the first that has a number counts. DeepSeek: prompt_cache_hit_tokens.
# Moonshot: cached_tokens. Anthropic and gateways to it: cache_read_..., cache_creation_... Groq: the times. OpenRouter:
# cost. Perplexity: cost.total_cost. DeepInfra: estimated_cost. SGLang and Perplexity: reasoning_tokens.
_PROMPT, _COMPLETION = "prompt_tokens_details", "completion_tokens_details"
_PATHS: dict[str, tuple[str, ...]] = {
    "cached_tokens": (
        f"{_PROMPT}.cached_tokens",
        "input_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        f"{_PROMPT}.cache_read_input_tokens",
    ),
    "cache_written_tokens": (
        f"{_PROMPT}.cache_write_tokens",
        "cache_write_tokens",
        "cache_creation_input_tokens",
        f"{_PROMPT}.cache_creation_input_tokens",
        f"{_PROMPT}.cache_creation_tokens",
    ),
    "reasoning_tokens": (
        f"{_COMPLETION}.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
    ),
    "input_audio_tokens": (f"{_PROMPT}.audio_tokens", "prompt_audio_tokens"),
    "output_audio_tokens": (f"{_COMPLETION}.audio_tokens", "completion_audio_tokens"),
    "cost": ("cost", "cost.total_cost", "estimated_cost", "total_cost"),
    "queue_s": ("queue_time",),
    "prompt_s": ("prompt_time",),
    "completion_s": ("completion_time",),
    "total_s": ("total_time",),
}
# Unit of xAI's cost_in_usd_ticks.
_TICKS_PER_DOLLAR = 10**10


class CompletionUsage(WireStruct):
    """Token counts of one request, as billed; None for a count that the server did not send.

    ``view`` has the counts that vendors send under other names.

    See https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
    """

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @property
    def view(self) -> UsageView:
        """The counts under one name each, from whichever vendor."""
        counts = self.to_dict()
        found = {name: _number_at(counts, paths) for name, paths in _PATHS.items()}
        if found["cost"] is None and (ticks := _number_at(counts, ("cost_in_usd_ticks",))) is not None:
            found["cost"] = ticks / _TICKS_PER_DOLLAR
        return UsageView(**cast("dict[str, Any]", found))


def _number_at(counts: dict[str, Any], paths: tuple[str, ...]) -> float | None:
    """Return the number at the first of *paths* that has one."""
    for path in paths:
        value: Any = counts
        for name in path.split("."):
            value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    return None


class TopLogprob(WireStruct):
    """One of the likeliest tokens at a position."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(WireStruct):
    """The token at a position, its log probability, and the likeliest alternatives."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] | None = None


class ChoiceLogprobs(WireStruct):
    """Log probabilities of one choice, for each of its texts; ``reasoning_content`` is an addition of DeepSeek's."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None


class UrlCitation(WireStruct):
    """Citation of a web page; the indexes are positions in the text, in characters.

    Any field may be absent: some gateways send only the URL.
    """

    start_index: int | None = None
    end_index: int | None = None
    url: str | None = None
    title: str | None = None


class Annotation(WireStruct):
    """A note on the text, such as a citation."""

    type: str = ""
    url_citation: UrlCitation | None = None


class ModerationResult(WireStruct):
    """What a moderation says of one text or picture, by category."""

    type: str = ""
    model: str = ""
    flagged: bool = False
    categories: dict[str, bool] = {}
    category_scores: dict[str, float] = {}
    category_applied_input_types: dict[str, list[str]] = {}


class ModerationResults(WireStruct):
    """The moderation of the input, or of the output.

    Attributes:
        type: ``"moderation_results"``, or ``"error"``, which has ``code`` and ``message`` in place of results.
    """

    type: str = ""
    model: str | None = None
    results: list[ModerationResult] | None = None
    code: str | None = None
    message: str | None = None


class Moderation(WireStruct):
    """What the moderation that was asked for says of both sides."""

    input: ModerationResults | None = None
    output: ModerationResults | None = None


claim(__name__)
