"""Turn the conversation that ``useChat`` posts into messages of the API; versions 5 to 7 of the npm package ``ai``.

A UI message of the assistant holds a whole run: its steps, and in each step texts, reasoning, and calls together with
their results. The API wants one message for each step, and one for each result. So a UI message is cut at its
``step-start`` parts, and each piece becomes an assistant's message and the results of its calls.

=================== ==================================================================================================
state of a call     what it becomes
=================== ==================================================================================================
input-streaming     left out: the answer was cut in the middle of it
output-available    a call, and its output: text as it is, content parts as such, everything else as JSON
output-error        a call, and ``{"error": ...}``; an input that is not a JSON object is wrapped in one
output-denied       a call, and the text that a run sends to the model for calls that were not approved
approval-responded  in the last message: an open call, and an entry of ``approvals``; in earlier ones it is closed
the others          open calls, which are closed ("not run: ...") unless they are in a last message with an approval
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
# Parts that only the page needs, or that the API has no place for.
_NOT_TOLD: Final = ("source-url", "source-document", "custom", "reasoning-file", "data-")


class UIConversation(list[MessageParam]):
    """Messages of a conversation, for a request: ``messages=``.

    Attributes:
        approvals: The user's decisions on the open calls of the last message, by the call's id: True, False, or the
            reason for a no. None if no call waits for one. For ``chat.completions.run(approvals=...)``.
    """

    def __init__(self, messages: Iterable[MessageParam], approvals: dict[str, bool | str] | None) -> None:
        super().__init__(messages)
        self.approvals = approvals


def messages_from_ui(body: object) -> UIConversation:
    """Convert what ``useChat`` posts to messages in the API's shape, dicts that a server takes as they are.

    Texts, files, tool calls with outputs and errors, reasoning (as ``reasoning_content``) and approvals are converted.
    Left out are sources, ``data-...`` parts and files of the assistant, for which the API has no place, and calls with
    incomplete input.

    Do not trust the result: a browser can send anything, so results of tools, approvals and system messages may be made
    up. Keep the conversation on the server where that matters, and let each tool check what the user may do.

    Args:
        body: The request's body as JSON (bytes or text) or decoded; or only its list of messages.

    Returns:
        A list of messages; its ``approvals`` holds the user's decisions.

    Raises:
        RequestValidationError: If it is not JSON, or not in the shape of UI messages, or has a file by its web address
            where the API takes only data; ``field`` says where.

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
    """Reader of one UI message.

    Attributes:
        approvals: The decisions on its calls that have not run, by the call's id.
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
        # A boundary after the last part, so that the last step is made in the loop, too.
        for part, where in [*parts, ({"type": "step-start"}, "")]:
            kind = part.get("type")
            if kind in ("step-start", "steering-message"):
                yield from self._step_rows(step)
                step = []
                if kind == "steering-message":  # the user sent it during the run
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
        """Return the result of a call, for the model; None if there is none yet."""
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
    """Return the bytes in a ``data:`` URL (RFC 2397); None if *url* is another kind of URL."""
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
    """Return the name of the tool that *part* calls; None if *part* is not a call."""
    kind = _type(part, where)
    if kind == "dynamic-tool":
        return _string(part, "toolName", where)
    if kind.startswith("tool-"):
        return kind.removeprefix("tool-")
    if kind in ("text", "reasoning", "file") or kind.startswith(_NOT_TOLD):
        return None
    raise _error(f"{where} is a {kind!r} part, which is not known", where)


def _arguments(part: JSONObject) -> str:
    """Return a call's arguments as JSON, or as the text that the model wrote in place of JSON."""
    value = part.get("input")
    if value is None:
        value = part.get("rawInput")  # version 5 has it for an input that is not JSON
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
