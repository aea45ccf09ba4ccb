"""What stands between the doctor and the API, where the first question got no answer.

::

    no connection -----------------> the network
    no handshake ------------------> TLS
    401, 403 ----------------------> the key
    404 and a list of models ------> the model, or the path in the address
    HTML, a redirect --------------> a website
    anything else that is no answer -> another API

Nothing else is asked then, as every other probe would find the same. An overload, a limit or a time-out is no obstacle:
the next question may be answered.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from opeai_async import AsyncOpeAI
from opeai_async._cli.in_flags import hint_in_flags
from opeai_async._cli.models import is_about_model, model_hint
from opeai_async._core.json import is_object
from opeai_async.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    InvalidResponseError,
    LocalResourceError,
    NotFoundError,
    OpeAIError,
    PermissionDeniedError,
    TLSError,
)

Cause: TypeAlias = Literal["the network", "TLS", "a website", "another API", "the key", "the model"]

_WEBSITE = "a web page answers there: write the address of the API, such as https://host/v1, into --base-url"
_OTHER_API = (
    "something answers there that does not know POST /chat/completions: --base-url ends where that begins, mostly in "
    "/v1; some servers offer this API on another port or path, beside one of their own"
)
_METHOD_NOT_ALLOWED = 405


class Obstacle(NamedTuple):
    """The *cause*, and what to do about it."""

    cause: Cause
    advice: str


async def obstacle_of(error: OpeAIError, client: AsyncOpeAI, model: str) -> Obstacle | None:
    """Return what stands in the way by the *error* of the first question; None if it may pass."""
    cause = _cause(error)
    if cause is None:
        return None
    is_unclear = cause in ("the model", "another API") and is_about_model(error)
    if is_unclear and (hint := await model_hint(client, model)):
        return Obstacle("another API" if "--base-url" in hint else "the model", hint)
    return Obstacle(cause, _advice(cause, error))


def _cause(error: OpeAIError) -> Cause | None:
    # The order matters: a TLSError is an APIConnectionError too, and a page may come with any status.
    if isinstance(error, TLSError):
        return "TLS"
    if isinstance(error, APIConnectionError):
        return None if isinstance(error, LocalResourceError) else "the network"
    if isinstance(error, InvalidResponseError):
        return "a website" if _is_redirect(error) or _is_page(error.excerpt) else "another API"
    if not isinstance(error, APIStatusError) or error.status_code >= 500:
        return None
    if _is_page(error.body):
        return "a website"
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        return "the key"
    if is_about_model(error) and not isinstance(error, NotFoundError):
        return "the model"
    if isinstance(error, NotFoundError):
        return "the model" if _names_a_model(error) else "another API"
    return "another API" if error.status_code == _METHOD_NOT_ALLOWED else None


def _names_a_model(error: NotFoundError) -> bool:
    body: object = error.body
    return is_object(body) and "model" in error.message.lower()


def _is_redirect(error: InvalidResponseError) -> bool:
    return error.status_code is not None and 300 <= error.status_code < 400


def _is_page(body: object) -> bool:
    return isinstance(body, str) and body.lstrip().startswith("<")


def _advice(cause: Cause, error: OpeAIError) -> str:
    if cause == "a website" and not (isinstance(error, InvalidResponseError) and _is_redirect(error)):
        return _WEBSITE
    if cause == "another API" and not isinstance(error, InvalidResponseError):
        return _OTHER_API
    if cause == "the model":
        return "choose another --model; the server does not list those it has"
    return hint_in_flags(error)
