"""Deltas that bring the whole text so far, each time: they are read as snapshots, of which only the end is new.

An ordinary stream may begin like one: after ``1`` may come ``12``, and mean ``112``. So the chunks are kept back from
the second piece that begins with all of the first until it is certain what they are, which few streams ever come to:

=========================  ======================================================================================
the pieces so far          what is done
=========================  ======================================================================================
one                        handed out
the next grows             kept back, and those after it
two grew, of some length   snapshots, from the first on: what each adds is handed out
three grew                 the same, however short they are
one did not grow           an ordinary stream: all is handed out as it came, and nothing more is looked at
=========================  ======================================================================================

A finish_reason, a tool call or the end of the stream decides, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)

_GROWN_FOR_SURE = 3
_GROWN_IF_LONG = 2
_LONG_CHARS = 6
MAX_LOOKED_AT = 16

_FIELDS = ("content", "reasoning_content")
# The first piece of each text, by the choice and the field.
FirstTexts: TypeAlias = dict[tuple[int, str], str]


def grows(chunks: Sequence[ChatCompletionChunk], first: FirstTexts) -> bool | None:
    """Tell whether a piece among *chunks* begins with the one before it; None if none does, nor will.

    Args:
        chunks: What came next.
        first: The first piece of each text so far; those of *chunks* are added, unless a piece grows.
    """
    # Every stream pays for this until its second text.
    known = len(first)
    for chunk in chunks:
        for choice in chunk.choices:
            delta = choice.delta
            if text := delta.content:
                key = (choice.index, "content")
            elif text := delta.reasoning_content:
                key = (choice.index, "reasoning_content")
            elif delta.tool_calls:
                return None
            else:
                continue
            before = first.setdefault(key, text)
            if before is text:
                continue
            if len(text) <= len(before) or not text.startswith(before):
                return None
            while len(first) > known:
                first.popitem()
            return True
    return False


class GrowthFilter(Generic[ChunkT]):
    """Makes ordinary deltas of those that bring the text so far, once it is certain that they do.

    Args:
        first: The first piece of each text that was handed out.

    Attributes:
        is_over: Whether the stream is an ordinary one, and need not be looked at any more.
        is_sure: Whether it is one of those.
        sure_from: How many chunks the read that showed it had handed out before.
    """

    def __init__(self, first: FirstTexts) -> None:
        self.is_over = self.is_sure = False
        self.sure_from = 0
        self._pieces: dict[tuple[int, str], list[str]] = {key: [text] for key, text in first.items()}
        self._told: dict[tuple[int, str], str] = dict(first)
        self._held: list[ChunkT] = []
        self._looked_at = 0

    def read(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """Return what can be handed out of *chunks*, and of those kept back before."""
        ready: list[ChunkT] = []
        for position, chunk in enumerate(chunks):
            if self.is_sure:
                self._shorten(chunk)
                ready.append(chunk)
                continue
            is_sure = self._look_at(chunk)
            if is_sure is None:
                self.is_over = True
                return ready + self.rest() + chunks[position:]
            if is_sure:
                self.is_sure, self.sure_from = True, len(ready)
                self._held.append(chunk)
                ready += self._shortened()
            elif any(len(pieces) > 1 for pieces in self._pieces.values()):
                self._held.append(chunk)
            else:
                ready.append(chunk)
                self._take_as_told(chunk)
        return ready

    def rest(self) -> list[ChunkT]:
        """Return what was kept back, as it came: nothing shows that it was something else."""
        held, self._held = self._held, []
        return held

    def _look_at(self, chunk: ChunkT) -> bool | None:
        """Tell whether it is certain, with *chunk*, that texts so far come; None if it is that they do not."""
        self._looked_at += 1
        has_ended = False
        for choice in chunk.choices:
            has_ended = has_ended or bool(choice.finish_reason or choice.delta.tool_calls)
            for name, text in _texts(choice.delta):
                pieces = self._pieces.setdefault((choice.index, name), [])
                if pieces and not (len(text) > len(pieces[-1]) and text.startswith(pieces[-1])):
                    return None
                pieces.append(text)
        grown = [pieces for pieces in self._pieces.values() if len(pieces) > _GROWN_IF_LONG]
        if any(len(pieces) > _GROWN_FOR_SURE or len(pieces[1]) >= _LONG_CHARS for pieces in grown):
            return True
        return None if has_ended or self._looked_at >= MAX_LOOKED_AT else False

    def _shortened(self) -> list[ChunkT]:
        held = self.rest()
        for chunk in held:
            self._shorten(chunk)
        self._pieces.clear()
        return held

    def _take_as_told(self, chunk: ChunkT) -> None:
        for choice in chunk.choices:
            self._told.update({(choice.index, name): text for name, text in _texts(choice.delta)})

    def _shorten(self, chunk: ChunkT) -> None:
        """Leave only what is new in the texts of *chunk*."""
        for choice in chunk.choices:
            for name, text in _texts(choice.delta):
                told = self._told.get((choice.index, name), "")
                is_so_far = text.startswith(told)
                self._told[choice.index, name] = text if is_so_far else told + text
                setattr(choice.delta, name, text[len(told) :] if is_so_far else text)


def _texts(delta: ChoiceDelta) -> list[tuple[str, str]]:
    return [(name, text) for name in _FIELDS if (text := getattr(delta, name))]
