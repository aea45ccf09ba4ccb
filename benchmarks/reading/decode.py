"""What does the typed decode of a chunk cost, and what would other layouts of the Structs cost?

*plain* is a decoder of the public ``ChatCompletionChunk``; *strict twin* is the decoder our streams use, which also
refuses what is out of the ordinary. Each other contender differs from *plain* in one thing.

Found (ratios to plain, which is 0.7 us at best): the strict twin 0.98 to 1.02, so its checks are free. gc=True 1.4 to
1.6: the one choice that matters. Lost in the noise of two runs: where ``extra`` stands or whether it is there at all,
kw_only, forbid_unknown_fields. Fields against the wire's order 1.07 and more. Without ``object`` 0.93, without the
fingerprint too 0.9, text only 0.63 to 0.7. decode_lines 0.91 to 0.95. Untyped 1.75.
"""

import functools
import operator
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks.lab.generators import text_answer
from benchmarks.lab.lab import Contender, Lab, Question, computation
from opeai_async import ChatCompletionChunk
from opeai_async._core.decode.decoder import strict_decoder
from opeai_async.types.common import WireStruct

CHUNKS = 2_000
TIMES = 4


class Layout:
    """The wire types once more, as plain Structs of another layout.

    Args:
        gc: Whether the cyclic collector tracks them.
        kw_only: Whether fields are given by keyword only.
        extra: Where the field for vendor fields stands: ``"first"``, ``"last"`` or ``"none"``.
        skip: Fields that are not decoded.
        backwards: Whether fields stand in the opposite order to the wire's.
        forbid: Whether fields that nobody named are refused.
    """

    def __init__(
        self,
        *,
        gc: bool = False,
        kw_only: bool = True,
        extra: str = "first",
        skip: frozenset[str] = frozenset(),
        backwards: bool = False,
        forbid: bool = False,
    ) -> None:
        self._options = {"gc": gc, "kw_only": kw_only, "forbid_unknown_fields": forbid, "eq": False}
        self._extra = extra
        self._skip = skip
        self._backwards = backwards
        self._made: dict[type, type] = {}

    def of(self, cls: type) -> type:
        """*cls* in this layout."""
        if cls not in self._made:
            fields = [field for field in msgspec.structs.fields(cls) if field.name not in self._skip]
            extra = [field for field in fields if field.name == "extra"]
            named = [field for field in fields if field.name != "extra"]
            if self._backwards:
                named.reverse()
            ordered = {"first": extra + named, "last": named + extra, "none": named}[self._extra]
            self._made[cls] = msgspec.defstruct(cls.__name__, [self._field(f) for f in ordered], **self._options)
        return self._made[cls]

    def _field(self, field: msgspec.structs.FieldInfo) -> tuple[str, Any, Any]:
        annotation = self._in_annotation(field.type)
        if field.default is not msgspec.NODEFAULT:
            return field.name, annotation, msgspec.field(default=field.default, name=field.encode_name)
        if field.default_factory in (list, dict):
            return field.name, annotation, msgspec.field(default_factory=field.default_factory, name=field.encode_name)
        made = annotation if isinstance(annotation, type) else field.default_factory
        return field.name, annotation, msgspec.field(default_factory=made, name=field.encode_name)

    def _in_annotation(self, annotation: Any) -> Any:
        if isinstance(annotation, type) and issubclass(annotation, WireStruct):
            return self.of(annotation)
        args = tuple(map(self._in_annotation, typing.get_args(annotation)))
        if all(map(operator.is_, args, typing.get_args(annotation))):
            return annotation
        if isinstance(annotation, types.UnionType):
            return functools.reduce(operator.or_, args)
        return types.GenericAlias(typing.get_origin(annotation), args)


class TextDelta(msgspec.Struct, gc=False):
    """Nothing but the text of a delta."""

    content: str | None = None


class TextChoice(msgspec.Struct, gc=False):
    """Nothing but the delta of a choice."""

    delta: TextDelta


class TextChunk(msgspec.Struct, gc=False):
    """Nothing but the choices of a chunk: what can be gained at most by naming fewer fields."""

    choices: list[TextChoice]


LAYOUTS = {
    "rebuilt as plain": Layout(),
    "gc=True": Layout(gc=True),
    "extra last": Layout(extra="last"),
    "no extra": Layout(extra="none"),
    "kw_only=False": Layout(kw_only=False),
    "fields backwards": Layout(backwards=True),
    "no object": Layout(skip=frozenset({"object"})),
    "no object, no fingerprint": Layout(skip=frozenset({"object", "system_fingerprint"})),
    "forbid_unknown_fields": Layout(forbid=True),
}


def decoding(name: str, decode: Callable[[bytes], object], payloads: list[bytes]) -> Contender:
    """Decodes all payloads and keeps them for a moment, as a batch of a stream does."""
    return computation(name, lambda: list(map(decode, payloads)), times=TIMES, units=len(payloads))


async def _contenders(lab: Lab) -> Sequence[Contender]:
    payloads = text_answer(lab.scaled(CHUNKS, least=10)).payloads
    plain = msgspec.json.Decoder(ChatCompletionChunk).decode
    contenders = [
        decoding("plain", plain, payloads),
        decoding("strict twin", strict_decoder(ChatCompletionChunk).decode, payloads),
    ]
    for name, layout in LAYOUTS.items():
        decoder = msgspec.json.Decoder(layout.of(ChatCompletionChunk))
        contenders.append(decoding(name, decoder.decode, payloads))
    text_only = msgspec.json.Decoder(TextChunk).decode
    lines = msgspec.json.Decoder(ChatCompletionChunk).decode_lines
    joined = b"\n".join(payloads)
    contenders += [
        decoding("text only", text_only, payloads),
        computation("plain, decode_lines", lambda: lines(joined), times=TIMES, units=len(payloads)),
        decoding("untyped", msgspec.json.decode, payloads),
    ]
    return contenders


QUESTION = Question(
    name="decode",
    title="typed decode of one chunk of about 300 bytes, no I/O",
    unit="chunk",
    bases=("plain",),
    turns=5,
    contenders=_contenders,
    needs_loop=False,
)
