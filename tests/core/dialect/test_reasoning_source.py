"""Which of several names of reasoning is read."""

from __future__ import annotations

import pytest

from opeai_async._core.dialect.reasoning_source import ReasoningSource

CASES: dict[str, tuple[list[dict[str, str]], str]] = {
    "one name": ([{"a": "x"}, {"a": "y"}], "xy"),
    "both at once": ([{"a": "x", "b": "x"}, {"a": "y", "b": "y"}], "xy"),
    "in turn": ([{"a": "x"}, {"b": "x"}, {"a": "y"}, {"b": "y"}], "xy"),
    "a copy at the end": ([{"a": "x"}, {"a": "y"}, {"b": "xy"}], "xy"),
    "the name changes": ([{"a": "x"}, {"b": "y"}, {"b": "z"}], "xyz"),
    "the name changes to one that was a copy": ([{"a": "x", "b": "x"}, {"b": "y"}], "xy"),
    "long": ([*[{"a": "x" * 600}] * 3, {"b": "x" * 1800}], "x" * 1800),
}


@pytest.mark.parametrize("name", CASES)
def test_each_text_is_read_once(name: str) -> None:
    """A copy is not added, and what goes on is not lost."""
    chunks, expected = CASES[name]
    source = ReasoningSource()
    chosen = [source.choose(found) for found in chunks]
    assert "".join(found[name] for found, name in zip(chunks, chosen, strict=True) if name is not None) == expected


def test_after_the_fast_tier() -> None:
    """It tells only how the text begins: what begins the same is a copy."""
    source = ReasoningSource()
    source.saw_ordinary("I ")
    assert source.choose({"reasoning": "I thi"}) is None
    assert source.choose({"reasoning_content": "think"}) == "reasoning_content"
    source = ReasoningSource()
    source.saw_ordinary("I ")
    assert source.choose({"reasoning": "think"}) == "reasoning"
