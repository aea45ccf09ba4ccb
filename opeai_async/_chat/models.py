"""``client.models``: which models a server has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any, Unpack

from opeai_async._chat.spelled_out import spelled_out
from opeai_async._core.call.params import ListOptions
from opeai_async._core.call.prepare import CallDefaults, PreparedCall, prepare_list
from opeai_async._core.call.settings import unexpected_keyword
from opeai_async._io.complete import list_models
from opeai_async._io.exchange import Exchange, Wiring
from opeai_async.types.completion import Model, ModelList


@spelled_out
class Models:
    """``client.models``.

    See https://platform.openai.com/docs/api-reference/models
    """

    def __init__(self, defaults: CallDefaults, wiring: Wiring) -> None:
        self._defaults = defaults
        self._wiring = wiring

    def list(self, **options: Unpack[ListOptions]) -> ListCall:
        """Ask for all models: ``await client.models.list()``, or ``async for model in client.models.list()``.

        Raises:
            ConfigurationError: If an option of the call cannot be used; nothing was sent.
        """
        for name in options:
            if name not in ListOptions.__annotations__:
                raise unexpected_keyword("list", name, ListOptions.__annotations__, {})
        return ListCall(self._wiring, prepare_list(self._defaults, options))


class ListCall:
    """A call that is made when it is awaited, or iterated."""

    def __init__(self, wiring: Wiring, call: PreparedCall) -> None:
        self._wiring = wiring
        self._call = call

    def __await__(self) -> Generator[Any, None, ModelList]:
        return list_models(Exchange(self._wiring, self._call)).__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in await self:
            yield model
