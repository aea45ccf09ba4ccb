"""Where the JSON of an answer stands, if it is not all of the text: after the thinking, in a code fence, unescaped.

Models that no server holds to JSON wrap it. Each wrapping is known by a name, which is told where it was taken off, and
the strict dialect refuses it. Nothing is guessed: prose around bare JSON, or JSON with an error in it, stays wrong.

| quirk | what the model wrote |
|---|---|
| ``output_after_thinking`` | thinking up to ``</think>`` (or thinking, thought, reasoning), then the JSON |
| ``output_fenced`` | the JSON in a code fence (three backticks), perhaps never closed, or with words around it |
| ``output_unescaped`` | line breaks, tabs or other control characters inside strings |
| ``output_in_reasoning`` | the JSON in ``reasoning_content``, and no content |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from opeai_async._core.schema.plain_json import with_escapes

AFTER_THINKING = "output_after_thinking"
FENCED = "output_fenced"
UNESCAPED = "output_unescaped"
IN_REASONING = "output_in_reasoning"

WHERE = {
    AFTER_THINKING: "after the thinking: dialect='repair' reads it there, and reasoning_tags='think' takes <think> out",
    FENCED: "in a code fence: dialect='repair' reads it there",
    UNESCAPED: "with control characters in its strings: dialect='repair' escapes them",
    IN_REASONING: "in reasoning_content: dialect='repair' reads it there",
}
"""Where the text is, and which option reads it, by quirk."""

_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)(?:^[ \t]*```[ \t]*$|```\s*\Z|\Z)", re.DOTALL | re.MULTILINE)
_THINK_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


class Candidate(NamedTuple):
    """A text that may be the JSON, and the quirks that led to it."""

    text: str
    quirks: tuple[str, ...] = ()


def candidates(content: str, reasoning: str | None) -> Iterator[Candidate]:
    """Yield the texts in which the JSON of an answer may be, the answer as it came first."""
    sources = [Candidate(content)]
    if not content.strip() and reasoning:
        sources.append(Candidate(reasoning, (IN_REASONING,)))
    for source in sources:
        for found in _inside(source):
            yield found
            escaped = with_escapes(found.text)
            if escaped != found.text:
                yield Candidate(escaped, (*found.quirks, UNESCAPED))


def _inside(source: Candidate) -> Iterator[Candidate]:
    yield source
    ends = list(_THINK_END.finditer(source.text))
    if ends and not source.text.lstrip().startswith(("{", "[", '"')):
        source = Candidate(source.text[ends[-1].end() :], (*source.quirks, AFTER_THINKING))
        yield source
    for fence in _FENCE.finditer(source.text):
        language = fence[1].strip()
        if (language or "json").isalnum():
            yield Candidate(fence[2], (*source.quirks, FENCED))
