"""What chunks, completions and requests share: the base Struct, usage, logprobs, annotations."""

# Annotations are no strings here: msgspec would compile each of them by itself, when the first request is made.
from typing import Any, ClassVar, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from opeai_async._public import claim

T = TypeVar("T", bound="WireStruct")


class _NoExtra(dict[str, Any]):
    """The one empty, immutable dict that every Struct without vendor fields shares."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this `extra` is shared and empty; build the Struct with extra={...} instead")

    __setitem__ = __delitem__ = pop = popitem = clear = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse
    __ior__: Any = _refuse

    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: dict[str, Any] = _NoExtra()


class WireStruct(
    Struct,
    kw_only=True,
    omit_defaults=True,
    repr_omit_defaults=True,
    eq=False,
    gc=False,
):
    """Base of everything that crosses the wire.

    ``extra`` holds the fields the server sent that the Struct does not name; it is shared and empty when there were
    none. Structs are not tracked by the cyclic collector (``gc=False`` makes decoding a third cheaper): do not
    build reference cycles out of them.

    To read vendor fields typed, extend the Struct with fields of your own and give it as ``chunk_type`` or
    ``completion_type``.
    """

    # Where a Struct is a private twin (see _core/decode/strict_twins.py), the class that users know; and whether it is
    # a plain one.
    public_type: ClassVar[type[Struct] | None] = None
    is_plain: ClassVar[bool] = False

    extra: dict[str, Any] = msgspec.field(default=NO_EXTRA, name="_extra")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WireStruct) or _public(type(self)) is not _public(type(other)):
            return NotImplemented
        return msgspec.structs.astuple(self) == msgspec.structs.astuple(other)

    def __ne__(self, other: object) -> bool:
        # Struct has one of its own, which does not ask __eq__.
        return not self == other

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return _rebuild, (_public(type(self)), fields)


def _public(cls: type[WireStruct]) -> type[Struct]:
    return cls.public_type or cls


def _rebuild(cls: type[T], fields: dict[str, Any]) -> T:
    return cls(**fields)


class PromptTokensDetails(WireStruct):
    """Where the prompt's tokens came from."""

    cached_tokens: int | None = None
    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionTokensDetails(WireStruct):
    """What the completion's tokens were spent on."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class CompletionUsage(WireStruct):
    """Token counts of one request, as billed; None is a count that the server did not tell.

    See https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
    """

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    total_tokens: int | None = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class TopLogprob(WireStruct):
    """One of the likeliest tokens at a position."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(WireStruct):
    """A token that was chosen, its log probability, and its rivals."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] | None = None


class ChoiceLogprobs(WireStruct):
    """Log probabilities of one choice, per text; ``reasoning_content`` is DeepSeek's."""

    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None


class UrlCitation(WireStruct):
    """Where in the text a web page is cited; indices are in characters.

    All may be absent: some gateways send only the address.
    """

    start_index: int | None = None
    end_index: int | None = None
    url: str | None = None
    title: str | None = None


class Annotation(WireStruct):
    """A note on the text, such as a citation."""

    type: str = ""
    url_citation: UrlCitation | None = None


claim(__name__)
