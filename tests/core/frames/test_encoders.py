"""Frames as messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opeai_async._core.frames.encoders import encode_json, encode_text
from opeai_async.types.common import Annotation, CompletionUsage, PromptTokensDetails
from opeai_async.types.frames import AnnotationsFrame, ContentFrame, DoneFrame, Frame, PingFrame, StartFrame


@pytest.mark.parametrize(
    ("frame", "fields"),
    [
        (StartFrame(v=1, id="c", model="m", offset=1), {"v": 1, "id": "c", "model": "m", "offset": 1}),
        (ContentFrame(text="Grüße 👋", offset=8), {"text": "Grüße 👋", "offset": 8}),
        (ContentFrame(text="a", choice=1, offset=2), {"text": "a", "choice": 1, "offset": 2}),
        (PingFrame(offset=2), {"offset": 2}),
        (
            DoneFrame(reason="completed", finish_reasons={0: "stop", 1: "length"}, offset=3),
            {"reason": "completed", "finish_reasons": {"0": "stop", "1": "length"}, "offset": 3},
        ),
    ],
)
def test_json(frame: Frame, fields: dict[str, Any]) -> None:
    """What is documented, defaults left out, and it can be read again."""
    text = encode_json(frame)
    assert msgspec.json.decode(text) == {"type": type(frame).__struct_config__.tag, **fields}
    assert msgspec.json.decode(text, type=Frame) == frame


def test_vendor_fields_are_beside_the_others() -> None:
    """At every level; what the API names is not replaced."""
    usage = CompletionUsage(
        total_tokens=3,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=1, extra={"video_tokens": 2}),
        extra={"cost": 0.5, "total_tokens": 9},
    )
    fields = msgspec.json.decode(encode_json(DoneFrame(reason="completed", usage=usage)))
    assert fields["usage"]["cost"] == 0.5
    assert fields["usage"]["total_tokens"] == 3
    assert fields["usage"]["prompt_tokens_details"] == {"cached_tokens": 1, "video_tokens": 2}
    note = Annotation(type="url_citation", extra={"seen": [True]})
    fields = msgspec.json.decode(encode_json(AnnotationsFrame(annotations=[note], offset=1)))
    assert fields["annotations"] == [{"type": "url_citation", "seen": [True]}]


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (ContentFrame(text="a"), "a"),
        (ContentFrame(text="a", choice=1), None),
        (StartFrame(v=1), None),
        (DoneFrame(reason="completed"), None),
        (PingFrame(), None),
    ],
)
def test_text(frame: Frame, text: str | None) -> None:
    """Only the content of choice 0 goes out."""
    assert encode_text(frame) == text
