"""Add up the token counts of several answers, and join those of one answer that come in parts.

Both work on vendors' own numbers, such as a price, too.
"""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.json import is_number, is_object
from opeai_async.types.common import NO_EXTRA, CompletionUsage, WireStruct


def added(first: CompletionUsage | None, second: CompletionUsage | None) -> CompletionUsage | None:
    """Return the sum of two counts; the other one if one is None."""
    total: CompletionUsage | None = _added(first, second)
    return total


def latest(known: CompletionUsage | None, newer: CompletionUsage) -> CompletionUsage:
    """Return *newer*, the latest counts of an answer, with missing ones from *known*, its earlier counts."""
    # The commonest case: nothing is missing, and *newer* itself is returned.
    if known is None or (
        newer.prompt_tokens
        and newer.completion_tokens is not None
        and (newer.prompt_tokens_details is not None or known.prompt_tokens_details is None)
        and (newer.completion_tokens_details is not None or known.completion_tokens_details is None)
        and not known.extra
    ):
        return newer
    if newer.prompt_tokens == 0 == newer.completion_tokens and not newer.total_tokens and known.prompt_tokens:
        return known  # an empty struct of a server in Go
    whole = msgspec.structs.replace(
        newer,
        **{
            name: _kept(getattr(known, name), getattr(newer, name))
            for name in newer.__struct_fields__
            if name != "extra"
        },
        extra={**known.extra, **{name: value for name, value in newer.extra.items() if value is not None}} or NO_EXTRA,
    )
    # A server that sends its counts in parts cannot know the total in the first part.
    if newer.total_tokens is None and whole.prompt_tokens is not None and whole.completion_tokens is not None:
        whole.total_tokens = whole.prompt_tokens + whole.completion_tokens
    return whole


def _kept(known: Any, newer: Any) -> Any:
    return known if newer is None else newer


def _added(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, WireStruct):
        names = set(first.__struct_fields__) & set(second.__struct_fields__)
        return msgspec.structs.replace(
            first, **{name: _added(getattr(first, name), getattr(second, name)) for name in names}
        )
    if is_object(first) and is_object(second):
        if not (first and second):
            return first or second  # keeps NO_EXTRA, the empty dict that all share
        return {name: _added(first.get(name), second.get(name)) for name in first | second}
    if is_number(first) and is_number(second):
        return first + second
    return second
