"""What a model is told of a tool call."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from opeai_async._core.schema.schema import Mismatch
from opeai_async._core.schema.tool_results import content_of, failed, too_slow, unknown_tool, wrong_arguments
from opeai_async.types.request import ImagePart, ImageURL, TextPart, UserMessage


@dataclass
class Point:
    x: int
    y: float


class Text(str):
    """A string with a form of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("sunny", "sunny"),
        ("", ""),
        (Text("sunny"), "sunny"),
        (None, "null"),
        (True, "true"),
        (3.5, "3.5"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        (("a", "b"), '["a","b"]'),
        ([{"type": "text", "text": "data"}], '[{"type":"text","text":"data"}]'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        ([Point(1, 2.5)], '[{"x":1,"y":2.5}]'),
        (datetime.date(2026, 11, 22), '"2026-11-22"'),
        (b"abc", '"YWJj"'),
        (UserMessage(content="hi", extra={"mood": "good"}), '{"mood":"good","role":"user","content":"hi"}'),
    ],
)
def test_text_goes_as_it_is_and_all_else_as_json(result: Any, content: str) -> None:
    """A list of dicts is data, whatever is in them: only parts of this package are parts for certain."""
    assert content_of(result) == content
    assert type(content_of(result)) is str


def test_parts_go_as_parts() -> None:
    """One, or a list in which one is; a vendor's parts, as dicts, may be among them."""
    text, image = TextPart(text="a map"), ImagePart(image_url=ImageURL(url="data:image/png;base64,"))
    assert content_of(image) == [image]
    assert content_of((text, {"type": "video"}, image)) == [text, {"type": "video"}, image]


def test_a_lone_surrogate_is_replaced() -> None:
    """A result that no request could hold would end the run."""
    assert content_of("a\ud800b") == "a\ufffd\ufffd\ufffdb"
    msgspec.json.encode(content_of("\udfff"))


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="a generator has no JSON form"):
        content_of(x for x in "ab")


def test_a_pydantic_model_goes_as_json() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", day=(datetime.date, ...))
    assert content_of([model(day="2026-11-22")]) == '[{"day":"2026-11-22"}]'


def test_an_error_says_what_was_expected_and_where() -> None:
    answer = wrong_arguments(Mismatch("Expected `int`, got `str`", "$.days"))
    assert answer.content == '{"error":"The arguments do not fit: Expected `int`, got `str` - at $.days"}'
    assert answer.error == "invalid_arguments"


def test_an_unknown_tool_is_answered_with_those_there_are() -> None:
    assert unknown_tool("go\ud800", ["walk", "run"]).content == (
        '{"error":"There is no tool named \'go\\\\ud800\'. The tools are: walk, run."}'
    )


def test_an_exception_is_told_by_its_type_only() -> None:
    """Its text is for programmers, and may hold a secret; a message meant for the model goes as it is."""
    answer = failed(ValueError("password hunter2"))
    assert answer == ('{"error":"The tool failed with ValueError."}', "failed", None, answer.exception)
    assert failed(ValueError("hunter2"), 'no city "X"').content == '{"error":"no city \\"X\\""}'


def test_a_slow_tool_is_told_by_its_limit() -> None:
    answer = too_slow(TimeoutError(), 2.5)
    assert (answer.content, answer.error) == (
        '{"error":"The tool was stopped, because it took longer than 2.5 s."}',
        "timeout",
    )
