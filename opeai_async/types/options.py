"""Words that options are set to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

DialectMode = Literal["repair", "strict"]
OutputMode = Literal["json_schema", "json_object", "tool"]
OUTPUT_MODES: tuple[OutputMode, ...] = ("json_schema", "json_object", "tool")
InContent: TypeAlias = Literal["think", "open"]
"""``"think"``: content that begins with the opener; ``"open"``: content that begins inside the thinking."""
ReasoningTags: TypeAlias = Literal["none", "think", "open"]
OnTruncated = Literal["raise", "return"]
ON_TRUNCATED: tuple[OnTruncated, ...] = ("raise", "return")
DIALECTS: tuple[DialectMode, ...] = ("repair", "strict")
REASONING_TAGS: tuple[ReasoningTags, ...] = ("none", "think", "open")
AskForKey: TypeAlias = Callable[[], str | Awaitable[str]]
"""A function, which may be a coroutine function, that gives the key."""
