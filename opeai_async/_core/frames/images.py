"""Find the images in an answer: in the field ``images`` of a delta, or among the blocks of its content."""

from __future__ import annotations

from typing import Any

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.types.chunk import ChoiceDelta


def images_of(delta: ChoiceDelta) -> list[JSONObject]:
    """Return the images that *delta* brings, each as it came."""
    extra = delta.extra
    return _objects(extra.get("images")) + [
        block for block in _objects(extra.get("content_blocks")) if _is_image(block)
    ]


def has_images(delta: ChoiceDelta) -> bool:
    """Tell whether *delta* may contain images; costs two look-ups, so that it can be asked of each chunk."""
    return "images" in delta.extra or "content_blocks" in delta.extra


def url_of(image: JSONObject) -> str:
    """Return the URL of *image*, which may be a ``data:`` URL with the whole image; ``""`` if it has none."""
    # Either a string, or an object with a ``url``, as in the API's own requests.
    address = image.get("image_url", image.get("url"))
    url = address.get("url") if is_object(address) else address
    return url if isinstance(url, str) else ""


def _is_image(block: JSONObject) -> bool:
    kind = block.get("type")
    return "image_url" in block or (isinstance(kind, str) and "image" in kind)


def _objects(value: Any) -> list[JSONObject]:
    return [item for item in value if is_object(item)] if is_array(value) else []
