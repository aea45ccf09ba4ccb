"""Quirks of the whole answer: errors inside a 200, bodies of another kind, headers that are wrong.

A client knows the kind of a body by its first bytes and not by its headers; these quirks are the reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opeai_async.testing.quirks.changes import before_finish, cut_off, dumps
from opeai_async.testing.quirks.quirk import Change, Item, JSONObject, Quirk, Speech

_Items = list[Item]

_HTML = (
    b"<!DOCTYPE html>\n<html>\n<head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>\n</html>\n"
)
_FIELDS = {"message": "The model is overloaded", "type": "server_error", "param": None, "code": "overloaded"}
_TEXT = "The model is overloaded"


# --- errors inside a 200 ----------------------------------------------------------------------------------------------


def _fail(name: str, body: JSONObject, what: str, who: str, **error: Any) -> Quirk:
    """Make a change that puts an error object in place of the end of the stream, or of the completion."""

    def whole(completion: JSONObject) -> None:
        completion.clear()
        completion.update(body)

    return _fail_with(name, body, what, who, whole=whole, **error)


# What came before the error stands, without its finish_reason; that is what cut_off leaves.
def _fail_with(
    name: str, ending: Item, what: str, who: str, *, whole: Change | None = None, rule: str | None = None, **error: Any
) -> Quirk:
    return Quirk(name, "chunks", lambda items: [*before_finish(items), ending], what, who, rule=rule,
                 expect="server_error", right=cut_off, whole=whole, error=error)  # fmt: skip


_ENVELOPE = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_FLAT = {"code": "1113", "message": "Insufficient balance"}
_KIND = {"object": "error", "message": "CUDA error", "type": "InternalServerError", "param": None, "code": 503}
_BESIDE = {
    **_ENVELOPE,
    "error": {"code": 502, "message": "Provider disconnected", "metadata": {"provider_name": "X"}},
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
}
_ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_DASHSCOPE = {"code": "DataInspectionFailed", "message": "Output may be inappropriate", "request_id": "r-1"}

ERRORS = (
    _fail("error_object", {"error": _FIELDS}, "an error object as data", "OpenRouter, vLLM, SGLang, OpenAI",
          code="overloaded", type="server_error", status_code=500),
    _fail("error_with_choices", {**_ENVELOPE, "error": _FIELDS, "choices": []}, "an error object with `choices: []`",
          "vLLM, SGLang", code="overloaded", type="server_error", status_code=500),
    _fail("error_beside_choice", _BESIDE, "an error object beside a choice that ends with `error`", "OpenRouter",
          code="502", status_code=502),
    _fail("error_text", {"error": _TEXT}, "an error as text", "Z.ai, Ollama", status_code=500),
    _fail("error_flat", _FLAT, "code and message without `error`", "Z.ai", code="1113", status_code=500),
    _fail("error_object_kind", _KIND, '`"object": "error"`, with a status as code', "vLLM",
          code="503", type="InternalServerError", status_code=503),
    _fail("error_integer_code", {"error": {"message": "Slow down", "code": 429}}, "a status as code", "OpenRouter",
          code="429", status_code=429),
    _fail("error_null_code", {"error": {"message": _TEXT, "code": None, "type": ""}}, "neither code nor type",
          "gateways", code=None, type=None, status_code=500),
    _fail_with("error_field", b"error: " + dumps(_FIELDS) + b"\n\n", "a field named error", "llama.cpp until late 2025",
               rule="error_event", code="overloaded", type="server_error", status_code=500),
    _fail_with("error_event", b"event: error\ndata: " + dumps(_ANTHROPIC) + b"\n\n", "an event named error",
               "Anthropic style", rule="error_event", type="overloaded_error", status_code=529),
    _fail_with("error_event_text", b"event: error\ndata: upstream timed out\n\n",
               "an event named error, with plain text", "gateways", rule="error_event", status_code=500),
    _fail_with("error_event_empty", b"event: error\ndata: \n\n", "an event named error, with nothing in it", "gateways",
               rule="error_event", status_code=500),
    _fail_with("error_event_status",
               b"id:1\nevent:error\n:HTTP_STATUS/400\nstatus:400\ndata:" + dumps(_DASHSCOPE) + b"\n\n",
               "an event named error, with a status field", "DashScope native",
               rule="error_event", code="DataInspectionFailed", status_code=400),
    Quirk("data_array", "chunks", lambda items: [*before_finish(items), b"data: [1]\n\n"], "data that is no object",
          "several", expect="decode_error", right=cut_off),
    Quirk("data_cut", "chunks", lambda items: [*before_finish(items), b'data: {"id":"x","choices":[{"ind\n\n'],
          "data that is cut, in a whole event", "proxies", expect="decode_error", right=cut_off),
)  # fmt: skip
"""The quirks of errors inside a 200."""


# --- bodies of another kind -------------------------------------------------------------------------------------------


def _headers(**fields: str | None) -> Callable[[Speech], Speech]:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda speech: replace(speech, headers={**speech.headers, **named})


def _wrong_type(speech: Speech) -> Speech:
    is_stream = "event-stream" in (speech.headers.get("content-type") or "")
    return _headers(content_type="application/json" if is_stream else "text/event-stream")(speech)


def _instead(body: bytes, content_type: str, status: int = 200) -> Callable[[Speech], Speech]:
    return lambda _: Speech((body,) if body else (), {"content-type": content_type}, status, is_whole=True)


def _gzip(speech: Speech) -> Speech:
    # A sync flush per part, so that the client can unpack each event when it comes.
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in speech.parts]
    return replace(
        speech, parts=(*parts, packer.flush()), headers={**speech.headers, "content-encoding": "gzip"}
    )  # fmt: skip


def _status(name: str, status: int, body: bytes, content_type: str, what: str, who: str, **error: Any) -> Quirk:
    return Quirk(name, "response", _instead(body, content_type, status), what, who,
                 expect="status_error", error={"status_code": status, **error}, needs_http=True)  # fmt: skip


def _invalid(name: str, body: bytes, what: str, who: str, error: Mapping[str, Any]) -> Quirk:
    return Quirk(name, "response", _instead(body, "text/html; charset=utf-8"), what, who,
                 expect="invalid_response", error=error)  # fmt: skip


def _wants_reasoning(request: Mapping[str, Any]) -> Speech | None:
    """Refuse a request with results of tools, but without the reasoning that came with their calls."""
    messages: list[JSONObject] = list(request.get("messages") or ())
    roles = [message.get("role") for message in messages]
    # Only calls since the last question: reasoning about earlier questions may be left out.
    since_user = len(roles) - roles[::-1].index("user") if "user" in roles else 0
    calling = [message for message in messages[since_user:] if message.get("tool_calls")]
    if all(message.get("reasoning_content") for message in calling):
        return None
    return Speech((dumps(_REASONING_MISSING),), {"content-type": "application/json"}, 400, is_whole=True)


_REASONING_MISSING = {
    "error": {
        "message": "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request_error",
    }
}

_DETAILS = [{"loc": ["body", "model"], "msg": "field required", "type": "value_error.missing"}]

BODIES = (
    Quirk("reasoning_required", "request", _wants_reasoning,
          "a 400 where tool results come back without the reasoning of the message that called the tools", "DeepSeek",
          error={"status_code": 400, "code": "invalid_request_error"}, needs_http=True),
    Quirk("json_for_stream", "kind", lambda _: False, "one JSON body although a stream was asked for",
          "gateways that ignore `stream`", rule="json_for_stream"),
    Quirk("events_for_json", "kind", lambda _: True, "an event stream although none was asked for", "gateways",
          rule="events_for_json"),
    Quirk("content_type_wrong", "response", _wrong_type, "JSON's content-type for a stream, a stream's for JSON",
          "several gateways", needs_http=True),
    Quirk("content_type_text", "response", _headers(content_type="text/plain; charset=utf-8"), "text/plain", "gateways",
          needs_http=True),
    Quirk("content_type_missing", "response", _headers(content_type=None), "no content-type", "several gateways",
          needs_http=True),
    Quirk("gzip", "response", _gzip, "gzip, although it was not asked for", "gateways", needs_http=True),
    Quirk("empty_body", "response", _instead(b"", "text/event-stream"), "a 200 with nothing in it",
          "a gateway whose backend died", expect="truncated", right=lambda completion: completion.clear(),
          expect_whole="invalid_response"),
    _invalid("html_page", _HTML, "a 200 with an HTML page", "proxies", {"status_code": 200}),
    _status("html_502", 502, _HTML, "text/html", "a 502 with an HTML page", "proxies"),
    _status("html_504", 504, _HTML, "text/html", "a 504 with an HTML page", "proxies"),
    _status("error_octet_stream", 400, dumps({"error": {**_FIELDS, "code": "invalid_request_error"}}),
            "application/octet-stream", "an error body that is announced as bytes", "DeepSeek",
            code="invalid_request_error"),
    _status("status_text", 503, b"upstream connect error", "text/plain", "an error status with plain text", "Envoy"),
    _status("status_detail", 404, dumps({"detail": "Not Found"}), "application/json", "a FastAPI error",
            "vLLM, SGLang"),
    _status("status_detail_list", 422, dumps({"detail": _DETAILS}), "application/json", "a FastAPI validation error",
            "Mistral, vLLM"),
    _status("status_flat", 401, dumps({"message": "No key", "type": "auth", "code": 1002}), "application/json",
            "an error body without `error`", "Zhipu, gateways", code="1002", type="auth"),
)  # fmt: skip
"""The quirks of bodies and headers."""
