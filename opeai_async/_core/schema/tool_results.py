"""Build the message that a model gets for a tool call: the result as text, JSON or content parts, or an error.

An error is JSON with the one field ``error``, a sentence that says what was expected. The text of an exception is never
sent: it was written for programmers, and may contain a password or a customer's data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import msgspec

from opeai_async._core.call.encode import as_builtin
from opeai_async._core.call.send_back import flattened
from opeai_async._core.json import is_row
from opeai_async._core.schema.schema import Mismatch
from opeai_async._public import claim
from opeai_async.types.common import WireStruct
from opeai_async.types.frames import ToolErrorCode
from opeai_async.types.request import ContentPart, TextPart

ToolContent: TypeAlias = str | list[Any]

_PARTS: tuple[type[WireStruct], ...] = get_args(ContentPart)


class ToolError(Exception):
    """Exception to raise in a tool to tell the model what is wrong: its message is sent to the model unchanged."""


class ToolAnswer(NamedTuple):
    """Outcome of a call.

    Attributes:
        content: Content of the message to the model.
        error: Why there is no result; None if there is one.
        result: The value that the tool returned; it is not sent.
        exception: The exception that the tool raised, or that kept its result from being encoded.
    """

    content: ToolContent
    error: ToolErrorCode | None = None
    result: Any = None
    exception: BaseException | None = None


def content_of(result: Any) -> ToolContent:
    """Convert *result* to the content of a tool's message.

    Text is sent as it is. A content part, or a list with one in it, is sent as content parts, with text in that list as
    text parts. Anything else is sent as JSON, by the rule for requests (``as_builtin``). So is None, because some
    servers refuse a message without content.

    Raises:
        TypeError, ValueError: If it has no JSON form.
    """
    if isinstance(result, str):
        return _sendable(result)
    if isinstance(result, _PARTS):
        return [result]
    if is_row(result) and any(isinstance(item, _PARTS) for item in result):
        return [TextPart(_sendable(item)) if isinstance(item, str) else item for item in result]
    return msgspec.json.encode(flattened(result), enc_hook=as_builtin).decode()


def answer_with(result: Any) -> ToolAnswer:
    """Build the answer with the *result* of a tool.

    A result that has no JSON form is not a failure: the tool has done its work, and a model that read of a failure
    would order a second time. ``exception`` then says why the result cannot be sent.
    """
    try:
        return ToolAnswer(content_of(result), result=result)
    except Exception as exc:  # noqa: BLE001 - a conversion of the result's own may raise anything
        note = f"The tool has done its work, but its result, a {type(result).__name__}, cannot be shown as JSON."
        content = msgspec.json.encode({"done": True, "note": note}).decode()
        return ToolAnswer(content, result=result, exception=exc)


def unknown_tool(name: str, known: Iterable[str]) -> ToolAnswer:
    """Tell the model that no such tool exists."""
    return _error("unknown_tool", f"There is no tool named {name!r}. The tools are: {', '.join(known)}.")


def wrong_arguments(mismatch: Mismatch) -> ToolAnswer:
    """Tell the model that its arguments do not fit: what was expected, what came, and where."""
    message = f"The arguments do not fit: {mismatch.reason} - at {mismatch.path}"
    return _error("invalid_arguments", message, mismatch)


def told_by(exception: BaseException) -> str | None:
    """Return the text for the model in *exception*; None if it is not a ``ToolError`` and contains none.

    A task group raises a group of errors: those that are not a ``ToolError`` are named by their types only.
    """
    if isinstance(exception, BaseExceptionGroup):
        parts: tuple[BaseException, ...] = cast("BaseExceptionGroup[BaseException]", exception).exceptions
        texts = [told_by(part) for part in parts]
        if not any(texts):
            return None
        others = [failure_of(part) for part, text in zip(parts, texts, strict=True) if text is None]
        return " ".join([*filter(None, texts), *others])
    return str(exception) if isinstance(exception, ToolError) else None


def failure_of(exception: BaseException) -> str:
    """Return the text for the model about an exception that is not meant for it: only the type."""
    return f"The tool failed with {type(exception).__name__}."


def failed(exception: BaseException, message: str | None = None) -> ToolAnswer:
    """Tell the model that the tool raised *exception*: by *message*, or by the type of the exception."""
    message = message if message is not None else failure_of(exception)
    return _error("failed", message, exception)


def too_slow(exception: BaseException, limit_s: float) -> ToolAnswer:
    """Tell the model that the tool took longer than *limit_s* seconds."""
    return _error("timeout", f"The tool was stopped, because it took longer than {limit_s:g} s.", exception)


def refused(reason: bool | str) -> ToolAnswer:
    """Tell the model that its call was not approved, and why, if *reason* is a text."""
    message = "The user did not approve this call."
    return _error("not_approved", f"{message} {reason}" if isinstance(reason, str) and reason else message)


def _error(code: ToolErrorCode, message: str, exception: BaseException | None = None) -> ToolAnswer:
    content = msgspec.json.encode({"error": _sendable(message)}).decode()
    return ToolAnswer(content, code, exception=exception)


def _sendable(text: str) -> str:
    """Return *text* as a plain string without lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


claim(__name__)
