"""What is tried by mistake with things of asyncio: ``for`` and ``with``, without ``async`` before them."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_SYNC = "opeai_async.OpeAI is the client for programs without an event loop"


def async_only(cls: type[T]) -> type[T]:
    """Let *cls* say that it wants ``async for``, ``async with``, or both, where it is used without ``async``.

    Type checkers see none of this, and so refuse the mistake themselves.
    """
    made: Any = cls
    if hasattr(cls, "__aiter__") and not hasattr(cls, "__iter__"):
        made.__iter__ = _refuse_for
    if hasattr(cls, "__aenter__") and not hasattr(cls, "__enter__"):
        made.__enter__, made.__exit__ = _refuse_with, _never_called
    return cls


def _refuse_for(self: object) -> NoReturn:
    raise TypeError(f"a {type(self).__name__} is read with `async for`, not with `for`; {_SYNC}")


def _refuse_with(self: object) -> NoReturn:
    raise TypeError(f"a {type(self).__name__} is opened with `async with`, not with `with`; {_SYNC}")


def _never_called(self: object, *_: object) -> None:
    """Stand beside ``__enter__``: without it, `with` does not ask that."""
