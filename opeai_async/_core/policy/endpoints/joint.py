"""Joins what was handed out of a broken answer to the chunks of the one that goes on with it: no character twice, none
missing, or an error.

A way that goes on (all but ANEW) should bring what follows. A server that does not know it begins anew, or repeats what
it was given; then the text begins as the whole answer began, so text is held back for as long as it does::

    handed out   One two thr             HELD: "One", "One tw" ...   begins as the answer began: is it an echo?
    comes        ee four                 PASSING                     cannot be an echo: all of it is new
    comes        One two three four      UNCERTAIN after ECHO_CHARS  an echo, or a model that repeats itself: nobody
                                                                     knows, so nothing of it is taken

Asked anew, the answer must begin with all that was handed out, which is passed over; anything else is uncertain::

    handed out   One two thr
    comes        One two three four      "ee four" is new
    comes        One, two                UNCERTAIN

To look for what was handed out anywhere in the new text was tried and rejected: "no" occurs in most answers, and long
texts repeat themselves, too. Only the beginning of an answer has a place of its own.

Thinking is no part of the answer: where that was cut and the new thoughts are others, the old ones stay as they were,
the new ones are dropped, and the answer comes whole.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from opeai_async._core.policy.endpoints.going_on import Way
from opeai_async.types.chunk import ChatCompletionChunk, ChunkChoice
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, Choice

ECHO_CHARS = 24
"""Text that is the same as the beginning of the answer for so long is taken for an echo of it."""


class Uncertain(Exception):
    """What came cannot be joined to what was handed out, or nobody could tell."""


class _Text(Enum):
    HELD = "held"
    PASSING = "passing"
    DROPPED = "dropped"


class Joint:
    """Takes the chunks that go on; returns those to hand out.

    Args:
        way: How the endpoint was asked.
        answer: What was handed out.

    Attributes:
        has_cut_reasoning: Whether thoughts of the new answer were dropped, because they were others.
    """

    __slots__ = ("_answer", "_choices", "_way", "has_cut_reasoning")

    def __init__(self, way: Way, answer: ChatCompletion) -> None:
        self._way = way
        self._answer = answer
        self._choices = {choice.index: _ChoiceJoint(way, choice) for choice in answer.choices}
        self.has_cut_reasoning = False

    def join(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk | None:
        """Return what of *chunk* is new; None if that is nothing.

        Raises:
            Uncertain: If it cannot be told.
        """
        choices = [joined for choice in chunk.choices if (joined := self._joined(choice)) is not None]
        if not choices and chunk.usage is None:
            return None
        answer = self._answer
        return msgspec.structs.replace(
            chunk,
            id=answer.id or chunk.id,
            created=answer.created or chunk.created,
            choices=choices,
            usage=None if chunk.usage is None else sum_of(answer.usage, chunk.usage),
        )

    def _joined(self, choice: ChunkChoice) -> ChunkChoice | None:
        joint = self._choices.get(choice.index)
        if joint is None:
            if self._way is not Way.ANEW:
                raise Uncertain
            return choice  # it had not begun
        joined = joint.join(choice)
        self.has_cut_reasoning = self.has_cut_reasoning or joint.has_cut_reasoning
        return joined

    def check_end(self) -> None:
        """Take note that the answer has ended.

        Raises:
            Uncertain: If it ended before all that was handed out had come.
        """
        for joint in self._choices.values():
            joint.check_end()


class _ChoiceJoint:
    """The same for one choice."""

    __slots__ = ("_content", "_held", "_is_anew", "_lead", "_reasoning", "_state", "_thoughts", "has_cut_reasoning")

    def __init__(self, way: Way, choice: Choice) -> None:
        self._is_anew = way is Way.ANEW
        self._content = choice.message.content or ""
        self._reasoning = choice.message.reasoning_content or ""
        self._held = ""  # what has come, and is not decided about
        self._state = _Text.HELD if self._content else _Text.PASSING
        # White space that was handed out, was not sent, and comes again.
        self._lead = self._content[len(self._content.rstrip()) :] if way is Way.ASSISTANT_LAST else ""
        self._thoughts = _Text.HELD if self._reasoning else _Text.PASSING
        if self._content:
            self._thoughts = _Text.DROPPED  # they belong before it, where they cannot be handed out any more
        self.has_cut_reasoning = False

    def join(self, choice: ChunkChoice) -> ChunkChoice | None:
        delta = choice.delta
        reasoning = self._new_thoughts(delta.reasoning_content) if delta.reasoning_content else None
        content = self._new_text(delta.content) if delta.content else None
        if (choice.finish_reason or delta.tool_calls) and self._state is _Text.HELD:
            content = (content or "") + self._rest()
        is_bare = not content and not reasoning and not delta.tool_calls and not choice.finish_reason
        if is_bare and not delta.refusal:
            return None
        new = msgspec.structs.replace(delta, role=None, content=content or None, reasoning_content=reasoning or None)
        return msgspec.structs.replace(choice, delta=new)

    def check_end(self) -> None:
        if self._state is _Text.HELD and (self._is_anew or self._held):
            raise Uncertain

    def _new_text(self, text: str) -> str:
        if self._state is _Text.PASSING:
            return self._without_lead(text)
        self._held += text
        return self._after_all() if self._is_anew else self._after_echo()

    def _after_all(self) -> str:
        """The text past what was handed out, which must come first."""
        held, old = self._held, self._content
        if len(held) < len(old) and old.startswith(held):
            return ""
        if not held.startswith(old):
            raise Uncertain
        self._state, self._held = _Text.PASSING, ""
        return held[len(old) :]

    def _after_echo(self) -> str:
        """The text, once it is certain that it does not begin the answer again."""
        held, old = self._held, self._content
        bound = min(len(old), ECHO_CHARS)
        if held[:bound] == old[:bound]:
            raise Uncertain
        if old.startswith(held):
            return ""
        self._state, self._held = _Text.PASSING, ""
        return self._without_lead(held)

    def _rest(self) -> str:
        """The text that was held back, where no more comes."""
        if self._is_anew:
            raise Uncertain
        self._state, held, self._held = _Text.PASSING, self._held, ""
        return self._without_lead(held)

    def _without_lead(self, text: str) -> str:
        while self._lead and text:
            if text[0] != self._lead[0]:
                self._lead = ""
            else:
                self._lead, text = self._lead[1:], text[1:]
        return text

    def _new_thoughts(self, text: str) -> str:
        if self._thoughts is _Text.PASSING:
            return text
        if self._thoughts is _Text.DROPPED:
            return ""
        old = self._reasoning  # what of it has not come again yet
        if old.startswith(text):
            self._reasoning = old[len(text) :]
            self._thoughts = _Text.HELD if self._reasoning else _Text.PASSING
            return ""
        if text.startswith(old):
            self._thoughts = _Text.PASSING
            return text[len(old) :]
        self._thoughts, self.has_cut_reasoning = _Text.DROPPED, True
        return ""


def sum_of(one: CompletionUsage | None, other: CompletionUsage) -> CompletionUsage:
    """Return the tokens of two requests together; details are those of *other*."""
    if one is None:
        return other
    return msgspec.structs.replace(
        other,
        prompt_tokens=_sum(one.prompt_tokens, other.prompt_tokens),
        completion_tokens=_sum(one.completion_tokens, other.completion_tokens),
        total_tokens=_sum(one.total_tokens, other.total_tokens),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
