"""What a model is told of a tool call: the result as text, JSON or content parts, or what went wrong.

An error is JSON with the one field ``error``, a sentence that says what was expected. What an exception says is not in
it: that text was written for programmers, and may hold a password or a customer's data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeGuard, get_args

import msgspec

from opeai_async._core.encode import flattened
from opeai_async._core.schema import Mismatch
from opeai_async.types.common import WireStruct
from opeai_async.types.frames import ToolErrorCode
from opeai_async.types.request import ContentPart

ToolContent: TypeAlias = str | list[Any]

_PARTS: tuple[type[WireStruct], ...] = get_args(ContentPart)


class ToolAnswer(NamedTuple):
    """What became of a call: what the model is told, and what only this side knows."""

    content: ToolContent
    error: ToolErrorCode | None = None
    result: Any = None
    exception: BaseException | None = None


def content_of(result: Any) -> ToolContent:
    """*result* as the content of a tool's message.

    Text goes as it is. A content part, or a list in which there is one, goes as content parts. Everything else that has
    a JSON form goes as JSON, None too, because some servers refuse a message without content.

    Raises:
        TypeError, ValueError: If it has no JSON form.
    """
    if isinstance(result, str):
        return _sendable(result)
    if isinstance(result, _PARTS):
        return [result]
    if _is_row(result) and any(isinstance(item, _PARTS) for item in result):
        return list(result)
    return msgspec.json.encode(flattened(result), enc_hook=_of_pydantic).decode()


def unknown_tool(name: str, known: Iterable[str]) -> ToolAnswer:
    """What to say of a tool that there is not."""
    return _error("unknown_tool", f"There is no tool named {name!r}. The tools are: {', '.join(known)}.")


def wrong_arguments(mismatch: Mismatch) -> ToolAnswer:
    """What to say of arguments that do not fit: what was expected, what came, and where."""
    message = f"The arguments do not fit: {mismatch.reason} - at {mismatch.path}"
    return _error("invalid_arguments", message, mismatch)


def failed(exception: BaseException, message: str | None = None) -> ToolAnswer:
    """What to say where a tool raised *exception*: *message*, or no more than its type."""
    message = message if message is not None else f"The tool failed with {type(exception).__name__}."
    return _error("failed", message, exception)


def too_slow(exception: BaseException, limit_s: float) -> ToolAnswer:
    """What to say where a tool took longer than *limit_s* seconds."""
    return _error("timeout", f"The tool was stopped, because it took longer than {limit_s:g} s.", exception)


def _error(code: ToolErrorCode, message: str, exception: BaseException | None = None) -> ToolAnswer:
    content = msgspec.json.encode({"error": _sendable(message)}).decode()
    return ToolAnswer(content, code, exception=exception)


def _sendable(text: str) -> str:
    """*text* as a plain string without lone surrogates, which no JSON may hold."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _is_row(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def _of_pydantic(value: Any) -> Any:
    """A model of pydantic, which is never imported here, as plain JSON values."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"a {type(value).__name__} has no JSON form")
    return dump(mode="json")
