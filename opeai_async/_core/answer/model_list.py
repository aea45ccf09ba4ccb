"""Read the list of models in a body: the API's object, or the bare array that some servers send."""

from __future__ import annotations

from typing import Any

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.body_kind import BodyKind, invalid_response, kind_of
from opeai_async._core.dialect.loose_json import loads_loosely
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import Model, ModelList

_EXPECTED = "expected a list of models"


def read_models(head: ResponseHead, body: bytes) -> ModelList:
    """Return the models that *body* lists; items that are not models are left out.

    Raises:
        InvalidResponseError: If *body* is not a list of models.
    """
    if (kind := kind_of(body)) is not BodyKind.JSON:
        raise invalid_response(head, body, f"{_EXPECTED}, got {'an empty body' if kind is None else kind.value}")
    try:
        listed: Any = loads_loosely(body)
    except (ValueError, RecursionError):
        raise invalid_response(head, body, f"{_EXPECTED}, got what is no JSON") from None
    # Vendor fields of the API's object; a bare array has none.
    beside: JSONObject = {}
    if is_object(listed):
        beside = {name: value for name, value in listed.items() if name not in ("object", "data")}
        listed = listed.get("data")
    if not is_array(listed):
        raise invalid_response(head, body, f"{_EXPECTED}, got none")
    models = [_model(item) for item in listed if is_object(item) and isinstance(item.get("id"), str)]
    return ModelList(data=models, extra=beside or NO_EXTRA)


def _model(item: JSONObject) -> Model:
    """Return the model that *item* describes; a field of another type than the API's is kept in ``extra``."""
    typed = {"id": str, "object": str, "created": int, "owned_by": str}
    fields: JSONObject = {name: value for name, value in item.items() if isinstance(value, typed.get(name, ()))}
    extra = {name: value for name, value in item.items() if name not in fields}
    return Model(**fields, extra=extra or NO_EXTRA)
