"""Find the JSON of an answer that is not all of the text: after the thinking, in a code fence, unescaped.

Models wrap their JSON unless the server enforces a schema. Each wrapping has a name, which is reported as a quirk; the
strict dialect refuses it. Nothing is guessed: prose around bare JSON, or JSON with an error in it, stays invalid.

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
"""By quirk: where the JSON is, and which option reads it."""

_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)(?:^[ \t]*```[ \t]*$|```\s*\Z|\Z)", re.DOTALL | re.MULTILINE)
_THINK_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


class Candidate(NamedTuple):
    """A text that may be the JSON, and the quirks it was found by."""

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
    # In text that begins as JSON, the tag is inside a string.
    if ends and not source.text.lstrip().startswith(("{", "[", '"')):
        source = Candidate(source.text[ends[-1].end() :], (*source.quirks, AFTER_THINKING))
        yield source
    for fence in _FENCE.finditer(source.text):
        # A word such as "json"; anything longer is prose, and then the backticks do not open a block.
        language = fence[1].strip()
        if (language or "json").isalnum():
            yield Candidate(fence[2], (*source.quirks, FENCED))
