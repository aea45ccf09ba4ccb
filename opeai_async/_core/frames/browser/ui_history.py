"""The conversation that ``useChat`` posts, as messages of the API; of versions 5 to 7 of the npm package ``ai``.

A UI message of the assistant holds a whole run: its steps, and in each of them texts, reasoning, and calls together
with their results. The API wants a message for each step, and one for each result. So a message is cut at its
``step-start`` parts; of each piece come an assistant's message and the results of its calls.

=================== ==================================================================================================
state of a call     what becomes of it
=================== ==================================================================================================
input-streaming     left out: the answer was cut in the middle of it
output-available    a call, and its output: text as it is, content parts as such, everything else as JSON
output-error        a call, and ``{"error": ...}``; an input that is no JSON object goes back in one
output-denied       a call, and what a run tells the model of calls that nobody approved
approval-responded  in the last message a call that is open, and an entry of ``approvals``; before that, it is closed
the others          calls that are open; they are closed ("not run: ..."), but beside a call with an approval
=================== ==================================================================================================

See https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import msgspec

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.schema.sendable import sendable
from opeai_async._core.schema.tool_results import refused
from opeai_async._public import claim
from opeai_async.errors import RequestValidationError
from opeai_async.types.request import ContentPart, MessageParam

_HINT: Final = "pass the body that useChat posts, or its list of UI messages (of the npm package `ai`, from version 5)"
_AUDIO: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
# What only the page needs, or what the API has no place for.
_NOT_TOLD: Final = ("source-url", "source-document", "custom", "reasoning-file", "data-")


class UIConversation(list[MessageParam]):
    """The messages of a conversation, for a request: ``messages=``.

    Attributes:
        approvals: What the user decided of the calls that the last message waits with, by the call's id: True, False,
            or why not. None if there is nothing to go on with. For ``chat.completions.run(approvals=...)``.
    """

    def __init__(self, messages: Iterable[MessageParam], approvals: dict[str, bool | str] | None) -> None:
        super().__init__(messages)
        self.approvals = approvals


def messages_from_ui(body: object) -> UIConversation:
    """Return what ``useChat`` posts as messages in the API's shape, dicts that a server takes as they are.

    Texts, files, tool calls with outputs and errors, reasoning (as ``reasoning_content``) and approvals are taken over.
    Sources, ``data-...`` parts and files of the assistant are not: the API has no place for them. Nor are calls whose
    input had not all come.

    Everything in it is the word of the browser, and so of anybody: results of tools, approvals and system messages can
    be made up. Keep the conversation yourself where that matters, and let each tool check what the user may do.

    Args:
        body: The request's body as JSON (bytes or text) or decoded; or only its list of messages.

    Returns:
        A list, with ``approvals`` beside it.

    Raises:
        RequestValidationError: If it is no JSON, or not in the shape of UI messages; ``field`` says where. A file that
            the API takes only as data, and that is a web address, is refused, too.

    See https://ai-sdk.dev/docs/ai-sdk-ui/transport
    """
    messages = _list_of(body)
    made: list[MessageParam] = []
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        reader = _Reader(where)
        rows = list(reader.rows_of(_object(message, where)))
        if position == len(messages) - 1 and reader.approvals:
            return UIConversation([*sendable(made), *rows], reader.approvals)
        made += rows
    return UIConversation(sendable(made), None)


class _Reader:
    """Reads one UI message.

    Attributes:
        approvals: What was decided of its calls that have not run.
    """

    def __init__(self, where: str) -> None:
        self.approvals: dict[str, bool | str] = {}
        self._where = where

    def rows_of(self, message: JSONObject) -> Iterator[MessageParam]:
        """Make the API's messages of *message*."""
        role, parts = message.get("role"), message.get("parts")
        if role not in ("system", "user", "assistant"):
            raise _error(f"{self._where}.role is {role!r}, expected system, user or assistant", f"{self._where}.role")
        if not is_array(parts):
            raise _error(f"{self._where} has no list of parts", f"{self._where}.parts")
        named = [(part, f"{self._where}.parts[{i}]") for i, part in enumerate(parts)]
        checked = [(_object(part, where), where) for part, where in named]
        if role == "system":
            yield {"role": "system", "content": "".join(_texts(checked, "text"))}
        elif role == "user":
            yield _user_message(checked)
        else:
            yield from self._assistant_rows(checked)

    def _assistant_rows(self, parts: list[tuple[JSONObject, str]]) -> Iterator[MessageParam]:
        step: list[tuple[JSONObject, str]] = []
        for part, where in [*parts, ({"type": "step-start"}, "")]:
            kind = part.get("type")
            if kind in ("step-start", "steering-message"):
                yield from self._step_rows(step)
                step = []
                if kind == "steering-message":  # the user said it amid the run
                    said = part.get("parts")
                    inner = said if is_array(said) else []
                    yield _user_message([(_object(p, where), f"{where}.parts[{i}]") for i, p in enumerate(inner)])
            else:
                step.append((part, where))

    def _step_rows(self, parts: list[tuple[JSONObject, str]]) -> Iterator[MessageParam]:
        """Make the assistant's message of one step, and the results of its calls."""
        text, reasoning = "".join(_texts(parts, "text")), "".join(_texts(parts, "reasoning"))
        calls: list[JSONObject] = []
        results: list[MessageParam] = []
        for part, where in parts:
            name = _tool_name(part, where)
            if name is None or part.get("state") == "input-streaming":
                continue
            call_id = part.get("toolCallId")
            if not isinstance(call_id, str) or not call_id:
                raise _error(f"{where} has no toolCallId", f"{where}.toolCallId")
            function = {"name": name, "arguments": _arguments(part)}
            calls.append({"id": call_id, "type": "function", "function": function})
            content = self._result(part, call_id)
            if content is not None:
                results.append({"role": "tool", "tool_call_id": call_id, "content": content})
        if not (text or reasoning or calls):
            return
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = calls
        yield message
        yield from results

    def _result(self, part: JSONObject, call_id: str) -> object:
        """Return what the model is told of a call; None if there is no result yet."""
        state, approval = part.get("state"), part.get("approval")
        decided = approval if is_object(approval) else {}
        why = decided.get("reason")
        verdict = why if isinstance(why, str) and why else False
        if state == "output-available":
            return _content(part.get("output"))
        if state == "output-error":
            return msgspec.json.encode({"error": str(part.get("errorText") or "The tool failed.")}).decode()
        if state == "output-denied":
            return refused(verdict).content
        if state == "approval-responded":
            self.approvals[call_id] = True if decided.get("approved") is True else verdict
        return None


def _list_of(body: Any) -> list[Any]:
    """Return the list of UI messages in *body*."""
    if isinstance(body, (bytes, bytearray, str)):
        try:
            body = msgspec.json.decode(body)
        except (ValueError, RecursionError) as exc:  # msgspec's own errors are such
            raise _error(f"the body is no JSON: {exc}", "messages") from None
    if is_object(body):
        body = [body["message"]] if "message" in body and "messages" not in body else body.get("messages")
    if not isinstance(body, (list, tuple)):
        raise _error(f"messages is a {type(body).__name__}, expected a list of UI messages", "messages")
    return list(cast("Iterable[Any]", body))


def _texts(parts: Iterable[tuple[JSONObject, str]], kind: str) -> Iterator[str]:
    for part, where in parts:
        if part.get("type") == kind:
            yield _string(part, "text", where)


def _user_message(parts: list[tuple[JSONObject, str]]) -> MessageParam:
    content: list[JSONObject] = []
    for part, where in parts:
        kind = _type(part, where)
        if kind == "text":
            content.append({"type": "text", "text": _string(part, "text", where)})
        elif kind == "file":
            content.append(_file(part, where))
        elif not kind.startswith(_NOT_TOLD):
            raise _error(f"{where} is a {kind!r} part, which a user's message does not hold", where)
    if all(part["type"] == "text" for part in content) and len(content) < 2:
        return {"role": "user", "content": content[0]["text"] if content else ""}
    return {"role": "user", "content": content}


def _file(part: JSONObject, where: str) -> JSONObject:
    """Return a file as a content part: a picture, a recording, a text, or a document."""
    url, kind = _string(part, "url", where), _string(part, "mediaType", where).partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    data = _data_of(url)
    if data is None:
        message = f"{where} is a {kind} at a web address, which the API takes only as data"
        raise RequestValidationError(message, field=f"{where}.url", hint="fetch it, and pass a data: URL")
    if kind in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": _as_base64(data), "format": _AUDIO[kind]}}
    if kind.startswith("text/") or kind in ("application/json", "application/xml"):
        text = data.decode("utf-8", "replace")
        name = part.get("filename")
        return {"type": "text", "text": f"{name}:\n{text}" if isinstance(name, str) and name else text}
    name = part.get("filename")
    filename = name if isinstance(name, str) and name else f"file.{kind.rpartition('/')[2]}"
    file_data = f"data:{kind};base64,{_as_base64(data)}"
    return {"type": "file", "file": {"filename": filename, "file_data": file_data}}


def _data_of(url: str) -> bytes | None:
    """Return what a ``data:`` URL holds (RFC 2397); None if it is none."""
    scheme, _, rest = url.partition(":")
    head, comma, data = rest.partition(",")
    if scheme.lower() != "data" or not comma:
        return None
    raw = urllib.parse.unquote_to_bytes(data)
    if not head.lower().endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw)
    except (binascii.Error, ValueError):
        return None


def _as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _tool_name(part: JSONObject, where: str) -> str | None:
    """Return the name of the tool that *part* is a call of; None if it is none."""
    kind = _type(part, where)
    if kind == "dynamic-tool":
        return _string(part, "toolName", where)
    if kind.startswith("tool-"):
        return kind.removeprefix("tool-")
    if kind in ("text", "reasoning", "file") or kind.startswith(_NOT_TOLD):
        return None
    raise _error(f"{where} is a {kind!r} part, which is not known", where)


def _arguments(part: JSONObject) -> str:
    """Return a call's arguments as the model wrote them, as far as that is known: JSON, or what it wrote instead."""
    value = part.get("input")
    if value is None:
        value = part.get("rawInput")  # version 5, of an input that is no JSON
    if value is None:
        return "{}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _content(output: object) -> object:
    """Return a tool's output as the content of its message."""
    if isinstance(output, str):
        return output
    if is_array(output) and output:
        try:
            msgspec.convert(output, list[ContentPart])
        except msgspec.ValidationError:
            pass
        else:
            return output
    return msgspec.json.encode(output).decode()


def _object(value: object, where: str) -> JSONObject:
    if not is_object(value):
        raise _error(f"{where} is a {type(value).__name__}, expected an object", where)
    return value


def _type(part: JSONObject, where: str) -> str:
    return _string(part, "type", where)


def _string(part: JSONObject, name: str, where: str) -> str:
    value = part.get(name)
    if not isinstance(value, str):
        raise _error(f"{where}.{name} is a {type(value).__name__}, expected a string", f"{where}.{name}")
    return value


def _error(message: str, field: str) -> RequestValidationError:
    return RequestValidationError(message, field=field, hint=_HINT)


claim(__name__)
