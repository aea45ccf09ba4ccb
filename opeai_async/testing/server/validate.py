"""The checks of a request, with the refusals of the real API in its own words. No I/O.

The checks go from the outside in, and the first that fails answers: path, method, key, content type, JSON, the fields
of `ChatCompletionRequest` with their ranges, then what the Struct leaves open: options that need each other, tools,
messages and how they follow one another.

See https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, NoReturn, cast

import msgspec
from msgspec import Meta

from opeai_async.testing.script.reply import error_body
from opeai_async.types.request import ChatCompletionRequest

CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"

METHODS = {CHAT_PATH: "POST", MODELS_PATH: "GET"}

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_MAX_CHOICES = 128
_MAX_STOPS = 4
# For each type of content part: the field that holds it, and what that field must have; None if it is text.
_PARTS: dict[str, tuple[str, ...] | None] = {
    "file": (),
    "image_url": ("url",),
    "input_audio": ("data", "format"),
    "refusal": None,
    "text": None,
}


class _APIRequest(ChatCompletionRequest):
    """The request, with the ranges of the API itself; the client's own type allows those of other servers too."""

    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class Refusal(Exception):
    """A request that the API refuses.

    Attributes:
        status: HTTP status of the answer.
        body: Its body, as the API documents it.
        headers: Further headers of it.
    """

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body["error"]["message"])
        self.status = status
        self.body = body
        self.headers: Mapping[str, str] = headers or {}


def check_route(method: str, path: str) -> None:
    """Check that the path exists, and that it accepts *method*.

    Raises:
        Refusal: 404 or 405.
    """
    allowed = METHODS.get(path)
    if allowed is None:
        raise Refusal(404, error_body(f"Invalid URL ({method} {path})", code="unknown_url"))
    if method != allowed:
        hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
        message = f"Not allowed to {method} on {path}. {hint}"
        raise Refusal(405, error_body(message, code="method_not_supported"), {"allow": allowed})


def check_key(authorization: str | None, api_key: str | None) -> None:
    """Check the Authorization header against *api_key*; None accepts every key, but wants one.

    Raises:
        Refusal: 401; it does not quote the key that was sent.
    """
    # Other schemes are treated as no key at all, as the API does not know them.
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        raise Refusal(401, error_body(message, code="invalid_api_key"))
    if api_key is not None and key.strip() != api_key:
        raise Refusal(401, error_body("Incorrect API key provided.", code="invalid_api_key"))


def check_json(content_type: str | None, body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        Refusal: 400, if it is not announced as JSON, does not parse, or is not an object.
    """
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        _refuse(
            f"Unsupported content type: '{media_type}'. This API method only accepts 'application/json' requests.",
            code="unsupported_content_type",
        )
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        _refuse(f"We could not parse the JSON body of your request: {exc}")
    if not isinstance(value, dict):
        _refuse("We could not parse the JSON body of your request: expected a JSON object.")
    return cast("dict[str, Any]", value)


def check_request(body: dict[str, Any], allowed: Collection[str] = ()) -> ChatCompletionRequest:
    """Return the body as a request whose every field the API accepts.

    Args:
        allowed: Fields, and types of content parts, that are accepted beside the API's own.

    Raises:
        Refusal: 400; ``param`` names the field.
    """
    try:
        known = {name: value for name, value in body.items() if name not in allowed}
        request = msgspec.convert(known, _APIRequest)
    except msgspec.ValidationError as exc:
        refuse_field(body, str(exc))
    if request.n is not None and request.n > _MAX_CHOICES:
        _refuse_number("n", "integer", "<=", str(_MAX_CHOICES), request.n)
    if isinstance(request.reasoning_effort, float):
        _refuse_type("reasoning_effort", "a string", request.reasoning_effort)
    _check_options(request)
    _check_tools(request)
    for index, message in enumerate(request.messages):
        _check_message(message, f"messages[{index}]", allowed)
    _check_tool_results(request.messages)
    return request


def _refuse(message: str, *, param: str | None = None, code: str | None = None) -> NoReturn:
    raise Refusal(400, error_body(message, param=param, code=code))


def _refuse_missing(param: str) -> NoReturn:
    _refuse(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _refuse_type(param: str, expected: str, got: object) -> NoReturn:
    message = f"Invalid type for '{param}': expected {expected}, but got {_kind(got)} instead."
    _refuse(message, param=param, code="invalid_type")


# --- what msgspec found, in the API's words ---------------------------------------------------------------------------

# The names that the API's messages have for the types of JSON.
_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}

_KINDS_BY_MSGSPEC_NAME = {
    "str": "a string",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a decimal",
    "array": "an array",
    "object": "an object",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "something else")


def refuse_field(body: dict[str, Any], finding: str) -> NoReturn:
    """Refuse *body* for *finding*, msgspec's text, in the API's words.

    Raises:
        Refusal: 400, always.
    """
    # Every rule raises; what none of them knows is refused in msgspec's own words.
    for pattern, rule in _RULES:
        if match := pattern.search(finding):
            rule(body, match)
    _refuse(finding)


def _missing(_: dict[str, Any], match: re.Match[str]) -> NoReturn:
    _refuse_missing(match["name"])


def _unknown(_: dict[str, Any], match: re.Match[str]) -> NoReturn:
    name = match["name"]
    _refuse(f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter")


def _out_of_range(body: dict[str, Any], match: re.Match[str]) -> NoReturn:
    kind = "integer" if match["type"] == "int" else "decimal"
    _refuse_number(match["name"], kind, match["relation"], match["bound"].removesuffix(".0"), body[match["name"]])


def _refuse_number(param: str, kind: str, relation: str, bound: str, got: object) -> NoReturn:
    words, code = ("above maximum", "above_max") if relation == "<=" else ("below minimum", "below_min")
    _refuse(
        f"Invalid '{param}': {kind} {words} value. Expected a value {relation} {bound}, but got {got} instead.",
        param=param,
        code=f"{kind}_{code}_value",
    )


def _too_short(_: dict[str, Any], match: re.Match[str]) -> NoReturn:
    param, kind = match["name"], "array" if match["type"] == "array" else "string"
    _refuse(
        f"Invalid '{param}': empty {kind}. Expected a minimum length of {match['bound']}, but got an empty {kind} "
        "instead.",
        param=param,
        code=f"empty_{kind}",
    )


def _wrong_type(body: dict[str, Any], match: re.Match[str]) -> NoReturn:
    param, path = match["name"], match["path"]
    names = [name.strip() for name in match["types"].split("|")]
    kinds = [_KINDS_BY_MSGSPEC_NAME[name] for name in names if name != "null"]
    expected = "one of " + " or ".join(kinds) if len(kinds) > 1 else kinds[0]
    if path:  # msgspec names neither the key nor the value inside
        _refuse(f"Invalid type for an entry of '{param}': expected {expected}.", param=param, code="invalid_type")
    _refuse_type(param, expected, body[param])


_RULES: tuple[tuple[re.Pattern[str], Callable[[dict[str, Any], re.Match[str]], NoReturn]], ...] = (
    (re.compile(r"missing required field `(?P<name>\w+)`"), _missing),
    (re.compile(r"unknown field `(?P<name>.*)`"), _unknown),
    (
        re.compile(r"Expected `(?P<type>int|float)` (?P<relation>[<>]=) (?P<bound>\S+) - at `\$\.(?P<name>\w+)"),
        _out_of_range,
    ),
    (re.compile(r"Expected `(?P<type>\w+)` of length >= (?P<bound>\d+) - at `\$\.(?P<name>\w+)"), _too_short),
    (re.compile(r"Expected `(?P<types>[^`]+)`, got `\w+` - at `\$\.(?P<name>\w+)(?P<path>[^`]*)`"), _wrong_type),
)


# --- options and tools ------------------------------------------------------------------------------------------------


def _check_options(request: ChatCompletionRequest) -> None:
    if request.stream_options is not None:
        if not isinstance(request.stream_options, dict):
            _refuse_type("stream_options", "an object", request.stream_options)
        if not request.stream:
            _refuse(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
    if request.top_logprobs is not None and not request.logprobs:
        _refuse("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    if isinstance(request.stop, list) and len(request.stop) > _MAX_STOPS:
        _refuse(
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MAX_STOPS}, but got an array "
            f"with length {len(request.stop)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    if request.response_format is not None:
        _check_response_format(request.response_format)


def _check_response_format(value: object) -> None:
    path = "response_format"
    fields = _object_at(value, path)
    kind = _string_at(fields, "type", path)
    if kind not in ("text", "json_object", "json_schema"):
        _refuse_value(kind, f"{path}.type", ("json_object", "json_schema", "text"))
    if kind == "json_schema":
        path += ".json_schema"
        _string_at(_object_at(fields.get("json_schema"), path), "name", path)


def _check_tools(request: ChatCompletionRequest) -> None:
    for index, tool in enumerate(request.tools or ()):
        path = f"tools[{index}]"
        kind = _string_at(_object_at(tool, path), "type", path)
        if kind not in ("function", "custom"):
            _refuse_value(kind, f"{path}.type", ("function", "custom"))
        _string_at(_object_at(tool.get(kind), f"{path}.{kind}"), "name", f"{path}.{kind}")
    choice = request.tool_choice
    if choice is None:
        return
    if not request.tools and choice != "none":
        _refuse("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        _refuse_value(choice, "tool_choice", ("none", "auto", "required"))
    if not isinstance(choice, str):
        _check_named_choice(_object_at(choice, "tool_choice"), request.tools or [])


def _check_named_choice(choice: dict[str, Any], tools: list[Any]) -> None:
    kind = _string_at(choice, "type", "tool_choice")
    # It names several tools in a shape of its own, which is not checked further.
    if kind == "allowed_tools":
        return
    name = _string_at(_object_at(choice.get(kind), f"tool_choice.{kind}"), "name", f"tool_choice.{kind}")
    if name not in [tool[tool["type"]]["name"] for tool in tools]:
        message = f"Tool choice '{name}' not found in 'tools' parameter."
        _refuse(message, param="tool_choice", code="invalid_value")


def _object_at(value: object, path: str) -> dict[str, Any]:
    if value is None:
        _refuse_missing(path)
    if not isinstance(value, dict):
        _refuse_type(path, "an object", value)
    return cast("dict[str, Any]", value)


def _string_at(value: dict[str, Any], name: str, path: str) -> str:
    text = value.get(name)
    if text is None:
        _refuse_missing(f"{path}.{name}")
    if not isinstance(text, str):
        _refuse_type(f"{path}.{name}", "a string", text)
    return text


def _refuse_value(value: object, param: str, supported: tuple[str, ...]) -> NoReturn:
    names = ", ".join(f"'{name}'" for name in supported)
    _refuse(f"Invalid value: '{value}'. Supported values are: {names}.", param=param, code="invalid_value")


# --- messages ---------------------------------------------------------------------------------------------------------


def _check_message(value: object, path: str, allowed: Collection[str]) -> None:
    message = _object_at(value, path)
    role = _string_at(message, "role", path)
    if role not in _ROLES:
        _refuse_value(role, f"{path}.role", _ROLES)
    if role == "tool" and not message.get("tool_call_id"):
        _refuse_missing(f"{path}.tool_call_id")
    if role == "function":
        _string_at(message, "name", path)
    if role == "assistant":
        _check_assistant(message, path)
    _check_content(message, path, allowed)


def _check_assistant(message: dict[str, Any], path: str) -> None:
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list):
        _refuse_type(f"{path}.tool_calls", "an array", calls)
    for index, call in enumerate(cast("list[object]", calls)):
        at = f"{path}.tool_calls[{index}]"
        fields = _object_at(call, at)
        _string_at(fields, "id", at)
        kind = _string_at(fields, "type", at)
        _string_at(_object_at(fields.get(kind), f"{at}.{kind}"), "name", f"{at}.{kind}")


def _check_content(message: dict[str, Any], path: str, allowed: Collection[str]) -> None:
    content = message.get("content")
    if content is None:
        if not _may_be_silent(message):
            _refuse_missing(f"{path}.content")
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        _refuse_type(f"{path}.content", "one of a string or an array of objects", content)
    for index, part in enumerate(cast("list[object]", content)):
        _check_part(part, f"{path}.content[{index}]", allowed)


def _check_part(value: object, path: str, allowed: Collection[str]) -> None:
    part = _object_at(value, path)
    kind = _string_at(part, "type", path)
    if kind in allowed:
        return
    if kind not in _PARTS:
        _refuse_value(kind, f"{path}.type", tuple(_PARTS))
    needed = _PARTS[kind]
    if needed is None:
        _string_at(part, kind, path)
        return
    inside = _object_at(part.get(kind), f"{path}.{kind}")
    for name in needed:
        _string_at(inside, name, f"{path}.{kind}")


def _may_be_silent(message: dict[str, Any]) -> bool:
    """Tell whether *message* may lack content: an assistant's that says something otherwise, a function's result."""
    if message["role"] == "function":
        return True
    spoken = ("tool_calls", "function_call", "refusal", "audio")
    return message["role"] == "assistant" and any(message.get(name) for name in spoken)


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Check that every tool call is answered at once, and every tool message answers a call."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            call_id = message["tool_call_id"]
            if call_id not in open_ids:
                _refuse(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    "'tool_calls'.",
                    param=f"messages[{index}].role",
                )
            open_ids.remove(call_id)
            continue
        if open_ids:
            _refuse_unanswered(open_ids, index)
        open_ids = [call["id"] for call in message.get("tool_calls") or ()] if message["role"] == "assistant" else []
    if open_ids:
        _refuse_unanswered(open_ids, len(messages))


def _refuse_unanswered(open_ids: list[str], index: int) -> NoReturn:
    _refuse(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_ids)}",
        param=f"messages[{index}].role",
    )
