"""An answer as it arrives: content in one place, reasoning in another and visibly apart."""

from __future__ import annotations

from opeai_async import ChatCompletionStream
from opeai_async._cli.terminal import Terminal
from opeai_async.types.chunk import ChatCompletionChunk

REASONING_LABEL = "[reasoning] "


class AnswerWriter:
    """Writes the first choice of each chunk.

    Args:
        answer: Gets the content, and a newline at its end.
        aside: Gets the reasoning, labelled and dim; None hides it. May be the same terminal.
    """

    def __init__(self, answer: Terminal, aside: Terminal | None) -> None:
        self._answer = answer
        self._aside = aside
        self._current: Terminal | None = None
        self._is_reasoning = False
        self._at_line_start = True

    async def show(self, stream: ChatCompletionStream) -> None:
        """Write all of *stream*, and close it."""
        async with stream:
            async for chunk in stream:
                self.add(chunk)

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Write what *chunk* adds."""
        for choice in chunk.choices:
            if choice.index == 0:
                self._add_reasoning(choice.delta.reasoning_content or "")
                self._add_content((choice.delta.content or "") + (choice.delta.refusal or ""))

    def end(self) -> None:
        """End the line that is being written, if any."""
        if self._current is not None and not self._at_line_start:
            self._current.write("\n")
        self._current = None

    def _add_reasoning(self, text: str) -> None:
        if self._aside is None or not text:
            return
        if self._current is None or not self._is_reasoning:
            self._aside.write(REASONING_LABEL if self._current is None else f"\n\n{REASONING_LABEL}", "dim")
        self._write(self._aside, text, is_reasoning=True)

    def _add_content(self, text: str) -> None:
        if not text:
            return
        if self._current is not None and self._is_reasoning:
            self._current.write("\n\n")
        self._write(self._answer, text, is_reasoning=False)

    def _write(self, terminal: Terminal, text: str, *, is_reasoning: bool) -> None:
        terminal.write(text, "dim" if is_reasoning else "plain")
        self._current, self._is_reasoning, self._at_line_start = terminal, is_reasoning, text.endswith("\n")
