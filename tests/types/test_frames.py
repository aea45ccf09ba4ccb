"""The frames as they are documented."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest

import opeai_async.types.frames as module
from opeai_async.types.frames import FRAMES_VERSION, DoneFrame, ErrorFrame, Frame, StartFrame


def documented() -> list[str]:
    """The examples of the module's docstring."""
    lines = [line.strip().replace("{...}", "{}") for line in (module.__doc__ or "").splitlines()]
    return [line for line in lines if re.fullmatch(r'{"type".*}', line)]


@pytest.mark.parametrize("example", documented())
def test_what_is_documented_is_what_is_sent(example: str) -> None:
    """Every example is a frame, and comes out again as it is."""
    frame = msgspec.json.decode(example, type=Frame)
    assert msgspec.json.decode(msgspec.json.encode(frame)) == msgspec.json.decode(example)


def test_the_documented_version_is_that_which_is_sent() -> None:
    (start,) = (frame for frame in map(decoded, documented()) if isinstance(frame, StartFrame))
    assert start.v == FRAMES_VERSION
    assert f"Version {FRAMES_VERSION} of" in (module.__doc__ or "")


def test_the_documented_ends_are_all_there_are() -> None:
    ends = {type(frame) for frame in map(decoded, documented())} & {DoneFrame, ErrorFrame}
    assert ends == {DoneFrame, ErrorFrame}


@pytest.mark.parametrize("kind", get_args(Frame))
def test_a_frame_is_told_by_its_tag(kind: type[Any]) -> None:
    """A snake_case word, named after the class."""
    tag = kind.__struct_config__.tag
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower() == f"{tag}_frame"


def test_unknown_fields_are_ignored() -> None:
    """So that a later server can say more."""
    assert decoded('{"type": "ping", "offset": 3, "mood": "good"}').offset == 3


def decoded(text: str) -> Frame:
    return msgspec.json.decode(text, type=Frame)
