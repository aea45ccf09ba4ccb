"""Ask for a value of a Python type, and read it back from the answer.

There are three modes, because servers differ in what they support:

    mode             the schema is in                              the value is in
    ---------------  --------------------------------------------  -----------------------------
    ``json_schema``  ``response_format``; the server enforces it   the content
    ``json_object``  the prompt, as a system message               the content
    ``tool``         the parameters of a tool, which is forced     the arguments of its call

The text is always checked here, whatever the server promises. If the model has wrapped the JSON, ``output_repairs``
finds it and names the quirk; the strict dialect refuses it. Content beside calls of the caller's own tools ("Let me
look that up.") is not the value: such an answer has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeGuard, TypeVar

import msgspec

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.policy.checks import checked_flag
from opeai_async._core.schema.output_repairs import WHERE, candidates
from opeai_async._core.schema.schema import Mismatch, Shape, shape_of
from opeai_async._core.schema.sendable import sendable
from opeai_async.errors import InvalidOutputError, OutputFilteredError, OutputTruncatedError, RequestValidationError
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice, FunctionCall
from opeai_async.types.finish import finish_kind
from opeai_async.types.options import OUTPUT_MODES
from opeai_async.types.parsed import ParsedChatCompletion, ParsedChatCompletionMessage, ParsedChoice
from opeai_async.types.request import DeveloperMessage, SystemMessage

if TYPE_CHECKING:
    from opeai_async.types.options import OutputMode


T = TypeVar("T")

_INSTRUCTION = "Answer with one JSON object and nothing else. It must be valid against this JSON Schema:\n"
_TOOL_DESCRIPTION = "Takes the answer."


class _Value(NamedTuple, Generic[T]):
    """Value of a choice, None if it has none; and the quirks of the text it was read from."""

    value: T | None
    quirks: tuple[str, ...] = ()


class _Invalid(NamedTuple):
    """Text that is not a valid value, and why; *hint* says where the value is, if that is known."""

    text: str
    reason: str
    path: str = "$"
    hint: str | None = None


class OutputFormat(Generic[T]):
    """Format of an answer that is a value of the type ``T``.

    Args:
        annotation: The type.
        mode: How to ask, see the top of this file.
        strict: True if the server shall enforce the schema, which then takes the form of strict mode; ignored for
            ``json_object``.

    Raises:
        RequestValidationError: If the type has no JSON form, or none in strict mode; or if there is no such *mode*.
    """

    def __init__(self, annotation: Any, *, mode: OutputMode = "json_schema", strict: bool = True) -> None:
        if mode not in OUTPUT_MODES:
            raise RequestValidationError(
                f"mode is {mode!r}, expected one of {', '.join(map(repr, OUTPUT_MODES))}",
                field="mode",
                hint="correct it",
            )
        checked_flag("strict", strict)
        self._shape: Shape[T] = shape_of(annotation)
        self._mode: OutputMode = mode
        self._strict = strict
        self._schema = self._shape.schema(strict=strict and mode != "json_object")

    @property
    def tool(self) -> str | None:
        """Name of the tool whose arguments are the value; None if the content is the value."""
        return self._shape.name if self._mode == "tool" else None

    @property
    def is_wrapped(self) -> bool:
        """True if the value is in the field ``value`` of the JSON."""
        return self._shape.is_wrapped

    # --- asking ----------------------------------------------------------------------------------------------------

    def asked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return *params* with the parameters that ask for the value.

        Raises:
            RequestValidationError: If *params* has tools, and the value is to come by a tool.
        """
        if self._mode == "tool":
            return {**params, **self._tool(params)}
        if self._mode == "json_schema":
            return {**params, "response_format": {"type": "json_schema", "json_schema": self._named("schema")}}
        messages = _with_instruction(params.get("messages"), _INSTRUCTION + self._schema_text())
        return {**params, "messages": messages, "response_format": {"type": "json_object"}}

    def _tool(self, params: Mapping[str, Any]) -> JSONObject:
        for name in ("tools", "tool_choice"):
            if params.get(name) is not None:
                raise RequestValidationError(
                    f"{name} is given, expected none in mode='tool', where the answer is a call of a tool",
                    field=name,
                    hint="use mode='json_schema', or leave the tools out",
                )
        function = {"description": _TOOL_DESCRIPTION, **self._named("parameters")}
        choice = {"type": "function", "function": {"name": self._shape.name}}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": choice}

    def _named(self, schema_key: str) -> JSONObject:
        shape = self._shape
        described = {"description": shape.description} if shape.description else {}
        schema = {name: value for name, value in self._schema.items() if name not in ("title", "description")}
        return {"name": shape.name, **described, schema_key: schema, "strict": self._strict}

    def _schema_text(self) -> str:
        return msgspec.json.encode(self._schema).decode()

    def corrections(self, error: InvalidOutputError) -> list[Any]:
        """Return the messages that send the invalid answer back to the model and say what is wrong with it."""
        assert error.completion is not None
        message = error.completion.choices[0].message
        [sent, *_] = sendable([message])
        where = "" if error.path == "$" else f", at {error.path}"
        said = f"This is not valid: {error.reason}{where}. Give the whole answer again, corrected."
        # After a call, servers accept only its result: the correction takes that place.
        calls = message.tool_calls or []
        if not calls:
            return [sent, {"role": "user", "content": said}]
        return [sent, *({"role": "tool", "tool_call_id": call.id, "content": said} for call in calls)]

    # --- reading ---------------------------------------------------------------------------------------------------

    def parsed(self, completion: ChatCompletion, *, repair: bool = True) -> ParsedChatCompletion[T]:
        """Return *completion* with the value of each choice; *repair* is True to accept wrapped JSON.

        Raises:
            InvalidOutputError: If the text of a choice is not of the type; about the first such choice.
        """
        values: list[T | None] = []
        quirks: list[str] = []
        for choice in completion.choices:
            found = self._read(choice.message, repair=repair)
            if isinstance(found, _Invalid):
                raise self._error(found, choice, completion)
            values.append(found.value)
            quirks += [quirk for quirk in found.quirks if quirk not in quirks]
        made = with_values(completion, values)
        if quirks:
            made.meta = msgspec.structs.replace(made.meta, quirks=(*made.meta.quirks, *quirks))
        return made

    def _read(self, message: ChatCompletionMessage, *, repair: bool) -> _Value[T] | _Invalid:
        text = None if message.refusal else self._text(message)
        if not isinstance(text, str):
            return text or _Value(None)
        reasoning = None if self.tool else message.reasoning_content
        invalid: _Invalid | None = None
        for candidate in candidates(text, reasoning):
            try:
                value = self._shape.decode(candidate.text)
            except Mismatch as exc:
                # The most telling error: of a text that is JSON, else of the answer as it came.
                if invalid is None or exc.is_json:
                    invalid = _Invalid(text, exc.reason, exc.path)
                continue
            if repair or not candidate.quirks:
                return _Value(value, candidate.quirks)
            assert invalid is not None
            return invalid._replace(hint=f"the value is there, {WHERE[candidate.quirks[0]]}")
        assert invalid is not None
        if text.strip():
            return invalid
        where = "reasoning_content holds text, but no such value" if reasoning else None
        return _Invalid(text, "the answer is empty", hint=where)

    def _text(self, message: ChatCompletionMessage) -> str | _Invalid | None:
        """Return the text of the value; None if the model called the caller's tools instead."""
        if self._mode != "tool":
            return None if message.tool_calls or message.function_call is not None else message.content or ""
        functions = [call.function for call in message.tool_calls or []]
        own = [function for function in functions if _is_named(function, self._shape.name)]
        if len(own) == 1:
            return own[0].arguments
        return _Invalid(message.content or "", f"the tool {self._shape.name} was called {len(own)} times, not once")

    def _error(self, found: _Invalid, choice: Choice, completion: ChatCompletion) -> InvalidOutputError:
        facts: dict[str, Any] = {
            "reason": found.reason,
            "path": found.path,
            "text": found.text,
            "choice": choice.index,
            "completion": completion,
            "usage": completion.usage,
        }
        name, size = self._shape.name, len(found.text)
        match finish_kind(choice.finish_reason):
            case "length":
                return OutputTruncatedError(
                    f"the answer was cut after {size} characters, before it was a whole {name}", **facts
                )
            case "content_filter":
                return OutputFilteredError(
                    f"a content filter ended the answer after {size} characters, before it was a whole {name}", **facts
                )
            case _:
                where = "" if found.path == "$" else f", at {found.path}"
                return InvalidOutputError(f"the answer is no {name}: {found.reason}{where}", hint=found.hint, **facts)


def _is_named(function: Any, name: str) -> bool:
    return isinstance(function, FunctionCall) and function.name == name


def with_values(completion: ChatCompletion, values: list[T | None]) -> ParsedChatCompletion[T]:
    """Return *completion* as a parsed one, with *values*, one for each choice."""
    choices = [
        ParsedChoice(
            **_fields(choice, "message"),
            message=ParsedChatCompletionMessage(**_fields(choice.message), parsed=value),
        )
        for choice, value in zip(completion.choices, values, strict=True)
    ]
    return ParsedChatCompletion(**_fields(completion, "choices"), choices=choices)


def _fields(struct: msgspec.Struct, *without: str) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__ if name not in without}


def rows_of(messages: object) -> list[Any] | None:
    """Return *messages* as a list, which can be sent twice; None if they are no messages: ``encode`` refuses them."""
    return list(messages) if _is_rows(messages) else None


def _is_rows(messages: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(messages, Iterable) and not isinstance(messages, (str, bytes, Mapping))


def _with_instruction(messages: Any, instruction: str) -> Any:
    """Return *messages* with *instruction* in the system message; many models take only one, as the first message."""
    rows = rows_of(messages)
    if not rows:
        return messages
    first: Any = rows[0]
    if isinstance(first, (SystemMessage, DeveloperMessage)):
        rows[0] = msgspec.structs.replace(first, content=_extended(first.content, instruction))
    elif is_object(first) and first.get("role") in ("system", "developer") and first.get("content"):
        rows[0] = {**first, "content": _extended(first["content"], instruction)}
    else:
        rows.insert(0, {"role": "system", "content": instruction})
    return rows


def _extended(content: Any, instruction: str) -> Any:
    if is_array(content):
        return [*content, {"type": "text", "text": instruction}]
    return f"{content}\n\n{instruction}"
