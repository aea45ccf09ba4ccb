"""The key: a type that hides it, and a filter for text that may echo it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, cast

from opeai_async._core.json import is_array, is_object
from opeai_async.errors import ConfigurationError, OpeAIError

_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)
# What the keys of this API family look like: a known prefix, or what follows the word Bearer and is no plain word, so
# that "sketchbook", "risk-averse" and "Bearer authentication" stay.
_KEY_LIKE = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|xai)[-_][A-Za-z0-9_*\-]{8,}"
    r"|(?<![A-Za-z0-9])(?i:bearer)\s+(?:(?=[\x21-\x7e]*[0-9_*\-])[\x21-\x7e]{8,}|[\x21-\x7e]{16,})"
)
_MASK = "[redacted]"
_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key"})
# Local servers take any key, and people give them words such as "none" or "ollama": to mask these would garble errors.
_MIN_SECRET_LENGTH = 7


AUTHORIZATION = "Authorization"


class Secret:
    """An API key which no repr, str, format, copy or pickle shows.

    Args:
        value: The key.
        source: Where it came from, such as ``OPEAI_API_KEY``, for error messages.

    Raises:
        ConfigurationError: If it is empty or holds anything but printable ASCII; names the source, never the value.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str, *, source: str) -> None:
        is_sound = _KEY.fullmatch(value) is not None
        value = HiddenStr(value)  # traceback printers show locals
        if not is_sound:
            raise ConfigurationError(
                f"the API key from {source} must be printable ASCII without spaces; it has {_what_is_wrong(value)}",
                hint=f"set {source} again; a stray newline or quotes are the usual cause",
            )
        # A closure, because debuggers and traceback printers show attributes.
        self._reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """The key itself, for the Authorization header only."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is never pickled or copied; read it from the environment where it is needed")


class HiddenStr(str):
    """Text that is sent as it is, but shown by no repr: debuggers and traceback printers show locals and headers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_MASK)


# Stands where a key will, which is asked for: what a user's own header has in its place is left alone.
ASKED = HiddenStr("Bearer ?")


def hidden_values(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """*headers* whose values no repr shows; what is no mapping, or no text, is left for those who check that."""
    if not isinstance(cast("object", headers), Mapping):
        return headers
    return {name: HiddenStr(value) if isinstance(value, str) else value for name, value in headers.items()}


def redact(text: str, *secrets: str) -> str:
    """*text* with the *secrets*, and all that looks like a key, replaced."""
    for secret in secrets:
        text = masked(text, secret)
    return _KEY_LIKE.sub(_MASK, text)


def secrets_in(headers: Mapping[str, str]) -> frozenset[str]:
    """The keys that *headers* carry, a call's own among them."""
    values = (value for name, value in headers.items() if name.lower() in _KEY_HEADERS)
    return frozenset(HiddenStr(value.rpartition(" ")[2]) for value in values)


def scrub(error: OpeAIError, key: str) -> None:
    """Replace the key in all that *error* says, in place."""
    error.args = tuple(_without(key, arg) for arg in error.args)
    for name, value in list(vars(error).items()):
        setattr(error, name, _without(key, value))


def _without(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return masked(value, key)
    if is_array(value):
        return [_without(key, item) for item in value]
    if is_object(value):
        return {_without(key, name): _without(key, item) for name, item in value.items()}
    return value


def masked(text: str, key: str) -> str:
    """*text* without *key*, in upper or lower case, and without the first half of it, as a cut excerpt may end in."""
    shortest = _shortest_part(key)
    for length in range(len(key), shortest - 1, -1):
        if not _has_part(text, key):
            break
        text = re.sub(re.escape(key[:length]), _MASK, text, flags=re.IGNORECASE)
    return text


def masked_values(texts: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    """*texts* without the *keys* in their values; *texts* itself if none is there, which one search tells."""
    together = "\n".join(texts.values())  # no key has a line break
    for key in keys:
        if _has_part(together, key):
            texts = {name: masked(text, key) for name, text in texts.items()}
    return texts


def _has_part(text: str, key: str) -> bool:
    return key[: _shortest_part(key)].lower() in text.lower()


def _shortest_part(key: str) -> int:
    return max(len(key) // 2, _MIN_SECRET_LENGTH)


def _what_is_wrong(value: str) -> str:
    if not value:
        return "no characters"
    position = next(i for i, char in enumerate(value) if not "\x21" <= char <= "\x7e")
    return f"another character at position {position} of {len(value)}"
