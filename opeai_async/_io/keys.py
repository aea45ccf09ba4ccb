"""A key that is asked for: a function of the user's knows when one ends and another begins."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from opeai_async._core.call.http import Request
from opeai_async._core.call.redact import ASKED, AUTHORIZATION, HiddenStr, Secret
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import AskForKey

_SOURCE = "the function that was given as api_key"


class CallKey:
    """The key of one call, asked for at each attempt, and once more after it was refused.

    Args:
        ask: Returns it, or is a coroutine function that does; it should remember the key by itself.
    """

    __slots__ = ("_ask", "_has_asked_again", "_key", "_renewed")

    def __init__(self, ask: AskForKey) -> None:
        self._ask = ask
        self._key: str | None = None  # of the last attempt
        self._renewed: str | None = None  # for the next
        self._has_asked_again = False

    async def keyed(self, request: Request) -> Request:
        """Return *request* with the key of the moment; as it is if it has a login of its own.

        Raises:
            ConfigurationError: If the function fails, or gives no key.
        """
        if request.headers.get(AUTHORIZATION) is not ASKED:
            return request
        key = self._key = self._renewed or await self._asked()
        self._renewed = None
        headers = {**request.headers, AUTHORIZATION: HiddenStr(f"Bearer {key}")}
        return msgspec.structs.replace(request, headers=headers, secrets=request.secrets | {key})

    async def is_renewed(self) -> bool:
        """Ask once more, and tell whether the key is another now; the next attempt has it.

        Raises:
            ConfigurationError: As ``keyed``.
        """
        if self._key is None or self._has_asked_again:
            return False
        self._has_asked_again = True
        key = await self._asked()
        self._renewed = key if key != self._key else None
        return self._renewed is not None

    async def _asked(self) -> str:
        try:
            answer = self._ask()
            key: Any = await answer if inspect.isawaitable(answer) else answer
        except Exception as exc:  # whatever it raises is the cause of what is raised here
            raise ConfigurationError(
                f"{_SOURCE} raised {type(exc).__name__}", hint="its own error is the one above this"
            ) from exc
        if not isinstance(key, str):
            raise ConfigurationError(f"{_SOURCE} returned a {type(key).__name__}, expected text")
        return HiddenStr(Secret(key, source=_SOURCE).reveal())
