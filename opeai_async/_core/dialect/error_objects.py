"""Find the error in a JSON object: its message, code and type, and the status it stands for.

The documented shape is ``{"error": {"message", "type", "param", "code"}}``. Other servers send text, a flat object, a
list with one error, ``base_resp``, ``success: false``, ``detail``, ``error_msg``, or an error inside a choice. Some
objects only look like errors and are not taken for one: those with a code of 0 or 200, those with a ``message`` but no
code, type or status of an error, and events of another API.
See https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from opeai_async._core.call.redact import redact
from opeai_async._core.dialect.loose_json import loads_loosely, without_surrogates
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.types.finish import finish_kind

# A larger body is kept as the excerpt of its beginning; both bounds keep errors small enough for logs and pickles.
MAX_EXCERPT_BYTES = 4096
MAX_BODY_BYTES = 64 * 1024
_MAX_UPSTREAM_CHARS = 500
# Beginnings of an object that are tried in text after a cut event, from the end backwards.
_MAX_CANDIDATES = 8

# A budget that is used up: waiting does not help, unlike with a rate limit, although both are a 429.
_QUOTA_CODES = frozenset({"insufficient_quota", "credit_balance_exhausted"})
_QUOTA_SUFFIXES = ("_spend_limit_exceeded", "_usage_limit_exceeded")

# Names of fields in the order in which they are looked for; of each list the first that has a value counts.
_MESSAGES = (
    "message",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "status_msg",
    "detail",
    "error_description",
    "errmsg",
    "title",
)
_CODES = (
    *("code", "error_code", "errorCode", "errcode", "ret", "status_code", "statusCode"),
    *("http_code", "http_status", "status"),
)
_STATUSES = ("status_code", "statusCode", "http_code", "http_status", "status", "code", "error_code")
# Codes that say success.
_FINE = frozenset({"", "0", "ok", "success", "succeeded", "successful", "true", "none", "null"})
_ERROR_WORDS = re.compile(
    r"error|exception|fail|invalid|denied|exceed|exhaust|unavailable|overload|unauthor|forbidden|timeout|abort|quota"
    r"|insufficient|not_?found|rate_?limit",
    re.IGNORECASE,
).search
# Looked for in the code and then the type of an error, in lower case without "_"; the first row that fits counts.
_STATUS_OF_WORDS: tuple[tuple[str, int], ...] = (
    ("insufficientquota", 429),
    ("ratelimit", 429),
    ("resourceexhausted", 429),
    ("toomanyrequests", 429),
    ("throttl", 429),
    ("overloadederror", 529),
    ("unauthenticated", 401),
    ("authentication", 401),
    ("unauthorized", 401),
    ("invalidapikey", 401),
    ("permission", 403),
    ("forbidden", 403),
    ("notfound", 404),
    ("requesttoolarge", 413),
    ("unprocessable", 422),
    ("contextlength", 400),
    ("contentfilter", 400),
    ("invalidargument", 400),
    ("invalidrequest", 400),
    ("badrequest", 400),
    ("failedprecondition", 400),
    ("unavailable", 503),
    ("deadlineexceeded", 504),
    ("timeout", 504),
)


class APIError(NamedTuple):
    """Content of an error object; all but the message may be None.

    ``http`` is the status that it names; ``body`` is the whole object, with keys removed.
    """

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None
    http: int | None = None
    body: Any = None

    def status(self) -> int:
        """Return the status of the error: the one it names, else the one its code or type means, else 500."""
        if self.http is not None:
            return self.http
        number = _as_status(self.code)
        if number is not None:
            return number
        for words in (self.code, self.type):
            plain = (words or "").lower().replace("_", "").replace(" ", "")
            for word, status in _STATUS_OF_WORDS:
                if word in plain:
                    return status
        return 500

    def is_quota(self) -> bool:
        """Tell whether the budget is used up, so that waiting does not help."""
        return "insufficient balance" in self.message.lower() or any(
            word in _QUOTA_CODES or word.endswith(_QUOTA_SUFFIXES)
            for word in (self.code, self.type)
            if word is not None
        )


def find_error(body: JSONObject) -> APIError | None:
    """Return the error that a JSON object reports, or None; call it before anything else is read from the object."""
    error = _inner_error(body)
    # An answer may well have a field such as ``detail`` or ``message``: only objects without one are errors themselves.
    if error is None and not (body.get("choices") or body.get("usage")):
        if _is_flat_error(body):
            error = error_of_object(body)
        elif not _CAPITALS.isdisjoint(body):  # as APIs in .NET and of Amazon write them
            error = find_error(_in_lower_case(body))
    return None if error is None else error._replace(body=_bounded(body))


_CAPITALS = frozenset({"Error", "Message", "Code"})


def _in_lower_case(body: JSONObject) -> JSONObject:
    """Return *body* with names in lower case, those of objects within it too."""
    return {
        name.lower(): _in_lower_case(value) if is_object(value) else value
        for name, value in body.items()
        if name == name.lower() or name.lower() not in body
    }


def _inner_error(body: JSONObject) -> APIError | None:
    """Return the error in one of the fields of *body* that exist for errors; None if there is none."""
    error = body.get("error")
    if is_object(error) and any(error.values()):
        return error_of_object(error)
    if is_array(error) and any(map(is_object, error)):
        return error_in_list(error) or error_of_object(next(filter(is_object, error)))
    if isinstance(error, str) and error:
        more = body.get("message")
        message = f"{error}: {more}" if isinstance(more, str) and more and more not in error else error
        return APIError(
            redact(message),
            _text(body.get("code")),
            _text(body.get("type")),
            _text(body.get("param")),
            _status_in(body),
        )
    if error and not is_object(error):
        return error_of_object(body) if _message_in(body) else APIError(redact(_compact(error)))
    # MiniMax reports success in ``base_resp``, too, with the code 0; Spark does in ``header``.
    base, header = body.get("base_resp"), body.get("header")
    if is_object(base) and not _is_fine(base.get("status_code")):
        return error_of_object(base)
    if is_object(header) and not _is_fine(header.get("code")):
        return error_of_object(header)
    return _error_of_choices(body)


def _error_of_choices(body: JSONObject) -> APIError | None:
    """Return the error inside a choice; None if there is none.

    A choice with finish_reason ``error`` is left out: it is an answer that broke, which ``failed_answer`` reports with
    the text so far.
    """
    choices = body.get("choices")
    for choice in choices if is_array(choices) else ():
        if is_object(choice):
            reason, error = choice.get("finish_reason"), choice.get("error")
            if isinstance(reason, str) and finish_kind(reason) == "error":
                continue
            if is_object(error) and any(error.values()) and not _is_fine_code(error):
                return error_of_object(error)
            if isinstance(error, str) and error:
                return APIError(redact(error))
    return None


def _is_fine_code(error: JSONObject) -> bool:
    return "code" in error and _is_fine(error["code"]) and not _message_in(error)


def _is_flat_error(body: JSONObject) -> bool:
    """Tell whether an object without an answer is itself an error."""
    if body.get("object") == "error" or body.get("success") is False or body.get("type") == "error":
        return True
    if is_array(body.get("errors")) and body["errors"] and _first_of_errors(body):
        return True
    if not _is_fine(body.get("error_code")) or not _is_fine(body.get("errcode")):
        return True
    if any(isinstance(body.get(name), str) and body[name] for name in ("error_msg", "error_message")):
        return True
    if (
        (detail := body.get("detail"))
        and "id" not in body
        and (isinstance(detail, str) or is_array(detail) or is_object(detail))
    ):
        return True
    if not _message_in(body):
        return False
    code, kind = body.get("code"), body.get("type") or body.get("__type") or body.get("status")
    if not _is_fine(code) or not _is_fine(body.get("ret")):
        return True
    if "code" in body and code is not None and code != "":
        return False  # the code says success
    return _status_in(body) is not None or (isinstance(kind, str) and bool(_ERROR_WORDS(kind)))


def without_error(body: JSONObject) -> JSONObject:
    """Return *body* without the fields that ``find_error`` reads, so that the rest of it can be read as a chunk."""
    choices = body.get("choices")
    kept = [
        {name: value for name, value in choice.items() if name != "error"} if is_object(choice) else choice
        for choice in (choices if is_array(choices) else ())
    ]
    return {**body, "error": None, "base_resp": None, "header": None, "choices": kept}


def error_in_list(items: Any) -> APIError | None:
    """Return the first error in a list of objects; None if there is none."""
    for item in items if is_array(items) else ():
        if is_object(item) and (error := find_error(item)) is not None:
            return error
    return None


def error_inside(data: bytes) -> APIError | None:
    """Return the error that begins somewhere in *data*, after an event that was cut; None if there is none."""
    for text in _candidates(data):
        try:
            decoded = without_surrogates(loads_loosely(text))
        except (ValueError, RecursionError):
            continue
        if is_object(decoded) and (error := find_error(decoded)) is not None:
            return error
    return None


def _candidates(data: bytes) -> Iterator[bytes]:
    """Yield the objects that begin at a line or at ``data:``, which may follow a cut event at once; the last first."""
    end = len(data)
    for _ in range(_MAX_CANDIDATES):
        at = max(data.rfind(b"\n", 0, end), data.rfind(b"data:", 0, end))
        if at < 0:
            return
        text = data[at:].strip().removeprefix(b"data:").strip()
        if text.startswith(b"{"):
            yield text
        end = at


def error_of_object(error: JSONObject) -> APIError:
    """Build the error out of the fields of *error*, whichever of them are there."""
    if is_object(inner := error.get("error")) and inner and not _message_in(error):
        return error_of_object(inner)
    first = _first_of_errors(error) or (error["detail"] if is_object(error.get("detail")) else {})
    message = _message_in(error) or (_message_in(first) if first else "") or _compact(error)
    upstream = _upstream_words(error)
    if upstream and upstream not in message:
        message = f"{message} (upstream: {upstream})"
    code = next((error[name] for name in _CODES if not _is_fine(error.get(name))), None)
    if code is None and first:
        code = first.get("code")
    kind = (
        error.get("type")
        or error.get("__type")
        or (error.get("status") if isinstance(error.get("status"), str) else None)
    )
    return APIError(
        redact(message),
        _text(code),
        _text(kind),
        _text(error.get("param")),
        _status_in(error) or _status_in(first),
        _bounded(error),
    )


def _first_of_errors(error: JSONObject) -> JSONObject:
    errors = error.get("errors")
    first = errors[0] if is_array(errors) and errors else errors
    return first if is_object(first) else {"message": first} if isinstance(first, str) else {}


def _message_in(error: JSONObject) -> str:
    found: Any = next((error[name] for name in _MESSAGES if error.get(name) and isinstance(error[name], str)), None)
    if found is None:
        detail = error.get("detail")
        inner = error.get("message")
        found = _compact(detail) if detail else inner.get("message") if is_object(inner) and "code" in error else None
    return found if isinstance(found, str) else ""


def _upstream_words(error: JSONObject) -> str:
    """Return the message of the server behind a gateway; ``""`` if there is none.

    OpenRouter sends it in ``metadata.raw``, as an object, as text, or as JSON in text.
    """
    metadata = error.get("metadata")
    raw = metadata.get("raw") if is_object(metadata) else None
    if is_object(raw):
        inner: Any = raw
    elif isinstance(raw, str) and raw:
        try:
            inner = without_surrogates(loads_loosely(raw.encode("utf-8", "replace")))
        except (ValueError, RecursionError):
            inner = None
    else:
        return ""
    found = find_error(inner) if is_object(inner) else None
    return redact(found.message if found is not None else raw if isinstance(raw, str) else _compact(raw))[
        :_MAX_UPSTREAM_CHARS
    ]


def _status_in(error: JSONObject) -> int | None:
    """Return the status that a field of *error* names, as a number or as a word of gRPC; None if there is none."""
    for name in _STATUSES:
        if (number := _as_status(error.get(name))) is not None:
            return number
    status = error.get("status")
    if isinstance(status, str) and status.isupper():
        return next((number for word, number in _STATUS_OF_WORDS if word in status.lower().replace("_", "")), None)
    return None


def _as_status(value: Any) -> int | None:
    """Return *value*, a number or its text, if it is a status from 400 to 599; else None."""
    text = str(value) if isinstance(value, int) and abs(value) < 1000 else value
    if isinstance(text, str) and len(text) == 3 and text.isascii() and text.isdigit() and 400 <= int(text) <= 599:
        return int(text)
    return None


def _is_fine(code: Any) -> bool:
    """Tell whether a code stands for success, or is absent."""
    if isinstance(code, bool) or code is None:
        return True
    if isinstance(code, (int, float)):
        # Vendors with codes of five or six digits count success as 20000 or 200000.
        return code == 0 or 200 <= code < 300 or code in (20000, 200000)
    return isinstance(code, str) and (code.strip().lower() in _FINE or re.fullmatch(r"2\d\d", code.strip()) is not None)


def _text(value: Any) -> str | None:
    """Return *value* as text with keys removed; None if it is null or empty."""
    if value is None or value == "":
        return None
    return redact(value if isinstance(value, str) else _compact(value))


def _compact(value: Any) -> str:
    return _json(value).decode("utf-8", "replace")[:MAX_EXCERPT_BYTES]


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(without_surrogates(value))


def _bounded(value: Any) -> Any:
    """Return *value* with keys removed; if it is large or deeply nested, its beginning as text."""
    text = _json(value)
    try:
        if len(text) <= MAX_BODY_BYTES:
            return redacted(value)
    except RecursionError:
        pass
    return redact(text[:MAX_EXCERPT_BYTES].decode("utf-8", "replace"))


def redacted(value: Any) -> Any:
    """Return *value*, decoded JSON, with everything that looks like a key removed."""
    if isinstance(value, str):
        return redact(value)
    if is_array(value):
        return [redacted(item) for item in value]
    if is_object(value):
        return {redact(name): redacted(item) for name, item in value.items()}
    return value
