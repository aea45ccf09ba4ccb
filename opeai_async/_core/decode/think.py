"""Splits thinking that comes inside the content from the answer, for servers that do not do it themselves.

A model writes ``<think>``, its reasoning, ``</think>``, some newlines, and the answer. Only what begins so counts: a
tag that appears later in an answer is text, as an answer about HTML or about these models must have it. Some templates
put the opener into the prompt, so that the content begins inside the thinking, and only the closer shows.

Tags arrive cut anywhere. What may yet become a tag is held back, never more than that, and comes out at the finish of
the choice or at the end of the stream; so nothing is lost, and nothing said twice. The white space before the opener
and right after the closer belongs to the tags, and goes with them.

Where a choice has reasoning_content too, the server has split it, and the content is left alone: one source. But a
server may send the same text both ways; then the tags and what is between them go, and the thinking is told once, as
far as either of the two has come (``think_twice.py``).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from opeai_async._core.decode.think_twice import TwoTexts
from opeai_async.types.chunk import ChatCompletionChunk, ChunkChoice
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ChatCompletion

if TYPE_CHECKING:
    from opeai_async.types.options import InContent


ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)
StructT = TypeVar("StructT", bound=WireStruct)


OPENER = "<think>"
CLOSER = "</think>"
_WHITE = " \t\r\n"


class _At(Enum):
    """Where in the content the splitter is."""

    BEGINNING = auto()
    THINKING = auto()
    GAP = auto()
    """Behind the closer, before the answer's first character."""
    ANSWER = auto()


class ThinkSplitter:
    """Splits the content of one choice; any cuts of a text give what the whole text gives.

    Args:
        tags: ``"think"`` or ``"open"``.
    """

    def __init__(self, tags: InContent) -> None:
        self._at_first_text = _At.THINKING if tags == "open" else _At.ANSWER
        self._at = _At.BEGINNING
        self._white: list[str] = []
        self._held = ""  # what may be the beginning of a tag, at most one character less than it

    @property
    def is_thinking(self) -> bool:
        """Whether the content so far has not come to the closer."""
        return self._at is _At.THINKING

    @property
    def is_in_answer(self) -> bool:
        """Whether the answer has begun, so that all that follows belongs to it."""
        return self._at is _At.ANSWER

    def feed(self, text: str) -> tuple[str, str]:
        """What *text* adds to the reasoning, and to the content."""
        reasoning = ""
        if self._at is _At.BEGINNING:
            text = self._after_opener(text)
        if self._at is _At.THINKING:
            reasoning, text = self._to_closer(text)
        if self._at is _At.GAP:
            text = text.lstrip(_WHITE)
            if text:
                self._at = _At.ANSWER
        return reasoning, text

    def flush(self) -> tuple[str, str]:
        """What was held back, as reasoning and content, because no more text is expected."""
        if self._at is _At.BEGINNING:
            self._at = self._at_first_text
        held, self._held, self._white = "".join(self._white) + self._held, "", []
        return (held, "") if self._at is _At.THINKING else ("", held)

    def _after_opener(self, text: str) -> str:
        """What follows the opener; all of the text so far if there is none; nothing while that is open."""
        if not self._held:
            rest = text.lstrip(_WHITE)
            self._white.append(text[: len(text) - len(rest)])
            text = rest
        self._held += text
        if self._held != OPENER and OPENER.startswith(self._held):
            return ""
        text, white = self._held, "".join(self._white)
        self._held, self._white = "", []
        if text.startswith(OPENER):
            self._at = _At.THINKING
            return text.removeprefix(OPENER)
        self._at = self._at_first_text
        return white + text

    def _to_closer(self, text: str) -> tuple[str, str]:
        """The reasoning in *text*, and what follows the closer."""
        reasoning, closer, rest = (self._held + text).partition(CLOSER)
        self._held = ""
        if closer:
            self._at = _At.GAP
            return reasoning, rest
        # A tag has one "<", so only the last one can begin it.
        begin = reasoning.rfind("<", max(0, len(reasoning) - len(CLOSER) + 1))
        if begin >= 0 and CLOSER.startswith(reasoning[begin:]):
            reasoning, self._held = reasoning[:begin], reasoning[begin:]
        return reasoning, rest


class ThinkFilter(Generic[ChunkT]):
    """Splits the content of each choice of one stream, in its chunks.

    Args:
        tags: ``"think"`` or ``"open"``.
    """

    def __init__(self, tags: InContent) -> None:
        self._tags: InContent = tags
        self._choices: dict[int, _Choice] = {}
        self._last: ChunkT | None = None

    def split(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """*chunks* themselves, their texts moved from content to reasoning_content where they belong there."""
        for chunk in chunks:
            for choice in chunk.choices:
                self._last = chunk
                parts = self._choices.get(choice.index) or self._choices.setdefault(choice.index, _Choice(self._tags))
                parts.split(choice)
        return chunks

    def rest(self) -> list[ChunkT]:
        """What was held back of choices that did not finish, as one more chunk; for the end of the stream."""
        flushed = {index: parts.flush() for index, parts in self._choices.items()}
        held = {index: texts for index, texts in flushed.items() if any(texts)}
        if self._last is None or not held:
            return []
        like = self._last.choices[0]
        choices = [
            _bare(
                like, index=index, delta=_bare(like.delta, reasoning_content=reasoning or None, content=content or None)
            )
            for index, (reasoning, content) in held.items()
        ]
        return [msgspec.structs.replace(self._last, choices=choices, usage=None)]


class _Choice:
    """One choice: its content taken apart, and what its reasoning_content says of the same."""

    __slots__ = ("_is_left_alone", "_raw", "_splitter", "_tags", "_texts")

    def __init__(self, tags: InContent) -> None:
        self._tags = tags
        self._splitter = ThinkSplitter(tags)
        self._texts = TwoTexts()
        self._raw: list[str] = []  # content of which nothing was told as such
        self._is_left_alone = False

    def split(self, choice: ChunkChoice) -> None:
        """Move the texts of *choice* where they belong."""
        delta = choice.delta
        reasoning, content = self._feed(delta.reasoning_content or "", delta.content or "")
        if choice.finish_reason:
            more_reasoning, more_content = self.flush()
            reasoning, content = reasoning + more_reasoning, content + more_content
        if reasoning or delta.reasoning_content:
            delta.reasoning_content = reasoning or None
        if content or delta.content:
            delta.content = content or None

    def _feed(self, field: str, content: str) -> tuple[str, str]:
        reasoning = self._texts.add("field", field)
        reasoning = field if reasoning is None else reasoning
        if self._is_left_alone:
            return reasoning, content
        if not content:
            return reasoning, ""
        between, content = self._take(content)
        told = self._texts.add("tags", between)
        if told is None and "tags" not in self._texts.told:
            return reasoning, self._leave_alone()
        if content:
            self._raw.clear()
            self._is_left_alone = self._splitter.is_in_answer
        return reasoning + (between if told is None else told), content

    def _take(self, content: str) -> tuple[str, str]:
        if "tags" not in self._texts.told:
            self._raw.append(content)
        return self._splitter.feed(content)

    def _leave_alone(self) -> str:
        """The server has split it: what looks like thinking is part of the answer."""
        self._is_left_alone = True
        raw, self._raw = "".join(self._raw), []
        self._splitter.flush()
        return raw

    def flush(self) -> tuple[str, str]:
        """What was held back, as reasoning and content, because no more text is expected."""
        if self._is_left_alone:
            return "", ""
        is_unclosed = self._splitter.is_thinking
        if is_unclosed and self._tags == "open" and "field" in self._texts.has and "tags" not in self._texts.told:
            return "", self._leave_alone()
        between, content = self._splitter.flush()
        told = self._texts.add("tags", between)
        if told is None and "tags" not in self._texts.told:
            return "", self._leave_alone()
        return between if told is None else told, content


def split_completion(completion: ChatCompletion, tags: InContent) -> None:
    """Move the thinking in each message's content to its reasoning_content, unless the server did so.

    Where it is in both, it goes from the content.
    """
    for choice in completion.choices:
        message = choice.message
        if message.content:
            splitter = ThinkSplitter(tags)
            fed, is_closed = splitter.feed(message.content), not splitter.is_thinking
            reasoning, content = map("".join, zip(fed, splitter.flush(), strict=True))
            if not message.reasoning_content:
                message.reasoning_content = reasoning or message.reasoning_content
                message.content = content or None
            elif (is_closed or tags == "think") and reasoning.strip() == message.reasoning_content.strip():
                message.content = content or None


def _bare(like: StructT, **values: Any) -> StructT:
    """One of the same type as *like* with *values*, and beside them only what the type must have."""
    fields = msgspec.structs.fields(type(like))
    required = {field.name: getattr(like, field.name) for field in fields if field.required}
    return type(like)(**{**required, **values})
