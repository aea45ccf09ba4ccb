"""Our errors as openai's, with a response, the request, and ours as the cause."""

from __future__ import annotations

from typing import Any, cast

import openai

from opeai_async._core.json import is_object
from opeai_async.compat.http import httpx
from opeai_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    InvalidResponseError,
    OpeAIError,
    StreamError,
    StreamServerError,
)


def to_openai_error(error: OpeAIError, client: openai.AsyncOpenAI, request: httpx.Request) -> openai.OpenAIError:
    """Return what openai would have raised in the place of *error*."""
    if isinstance(error, APIStatusError):
        body: dict[str, Any] = error.body if is_object(error.body) else {"error": {"message": error.message}}
        headers = {name: value for name, value in _headers_of(error).items() if value}
        response = httpx.Response(error.status_code, headers=headers, json=body, request=request)
        inner: Any = body.get("error", body)
        make: Any = client._make_status_error  # pyright: ignore[reportPrivateUsage]
        return cast(
            "openai.OpenAIError", make(f"Error code: {error.status_code} - {body}", body=inner, response=response)
        )
    if isinstance(error, APITimeoutError):
        made = openai.APITimeoutError(request=request)
        made.message = error.message
        made.args = (error.message,)
        return made
    if isinstance(error, StreamServerError):
        body = {"message": error.message, "code": error.code, "type": error.type, "param": error.param}
        return openai.APIError(error.message, request=request, body=body)
    if isinstance(error, (APIConnectionError, StreamError)):
        return openai.APIConnectionError(message=error.message, request=request)
    if isinstance(error, InvalidResponseError):
        response = httpx.Response(error.status_code or 200, text=error.excerpt, request=request)
        return openai.APIResponseValidationError(response=response, body=error.excerpt, message=error.message)
    return openai.OpenAIError(f"{error.message} ({error.hint})" if error.hint else error.message)


def _headers_of(error: APIStatusError) -> dict[str, str]:
    retry_after = "" if error.retry_after_s is None else f"{error.retry_after_s:g}"
    return {"x-request-id": error.request_id or "", "retry-after": retry_after, "content-type": "application/json"}
