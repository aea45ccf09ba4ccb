"""What a prepared call shows of itself, and how its answer is to be read."""

from typing import Any

import pytest

from opeai_async._core.call.params import audio_asked, usage_asked
from opeai_async._core.call.prepare import Asked
from opeai_async.types.request import StreamOptions


def test_a_prompt_does_not_show() -> None:
    """Traceback printers show locals; what was asked is nobody's business."""
    asked = Asked({"messages": [{"role": "user", "content": "the question"}]}, {"key": "secret"})
    assert "question" not in repr(asked)
    assert "secret" not in repr(asked)


@pytest.mark.parametrize(
    ("fields", "extra_body", "is_asked"),
    [
        ({}, None, True),
        ({"stream_options": None}, None, True),
        ({"stream_options": {"include_usage": True}}, None, True),
        ({"stream_options": {}}, None, False),
        ({"stream_options": StreamOptions(include_usage=True)}, None, True),
        ({"stream_options": StreamOptions()}, None, False),
        ({"stream_options": {"include_usage": True}}, {"stream_options": {"include_usage": False}}, False),
    ],
)
def test_whether_counts_are_asked_for(
    fields: dict[str, Any], extra_body: dict[str, Any] | None, is_asked: bool
) -> None:
    """By the call's own options, else by default; ``extra_body`` goes over them."""
    assert usage_asked(fields, {"extra_body": extra_body}, by_default=True) is is_asked


@pytest.mark.parametrize(
    ("fields", "extra_body", "is_asked"),
    [
        ({}, None, False),
        ({"modalities": ["text"]}, None, False),
        ({"modalities": ("text", "audio")}, None, True),
        ({}, {"modalities": ["audio"]}, True),
    ],
)
def test_whether_sound_is_asked_for(fields: dict[str, Any], extra_body: dict[str, Any] | None, is_asked: bool) -> None:
    """Also where ``extra_body`` asks."""
    assert audio_asked(fields, {"extra_body": extra_body}) is is_asked
