"""Observers: objects that are told what the client does.

An observer is any object with one or more of the methods of `Observer`, and need not be one. They are called where
the thing happens, one after the other, and must return at once: they are called on the event loop. What one raises is
logged once and touches nothing else. A stream that was forgotten is told of by the garbage collector, on any thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from opeai_async._public import claim
from opeai_async.errors import ConfigurationError
from opeai_async.types.records import (
    AttemptEnded,
    AttemptStarted,
    BulkRecord,
    BulkStarted,
    CallRecord,
    CallStarted,
    FirstContent,
    PauseBegun,
    RelayRecord,
    RetryScheduled,
    RunRecord,
    RunStarted,
    SessionRecord,
    ToolRecord,
    ToolStarted,
)

_LOGGER = logging.getLogger("opeai_async")


class Observer:
    """What an observer may have; a base for those who like their editor to know. None of these does anything.

    Attributes:
        wants_content: Whether this observer is given prompts, answers, and what tools are given and return.
    """

    wants_content: bool = False

    def call_started(self, call: CallStarted) -> None:
        """Take note that a call begins."""

    def attempt_started(self, attempt: AttemptStarted) -> Mapping[str, str] | None:
        """Return headers to add to this try, or None. One that the request has already stays as it is."""
        return None

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """Take note that a try has brought the head of a response, or failed."""

    def retry_scheduled(self, retry: RetryScheduled) -> None:
        """Take note that another try will follow."""

    def pause_begun(self, pause: PauseBegun) -> None:
        """Take note that a server has asked for a wait, which holds for all calls."""

    def first_content(self, first: FirstContent) -> None:
        """Take note that a stream has brought its first content."""

    def call_ended(self, record: CallRecord) -> None:
        """Take note that a call is over; once for each ``call_started``."""

    def run_started(self, run: RunStarted) -> None:
        """Take note that a run of tools begins."""

    def run_ended(self, record: RunRecord) -> None:
        """Take note that a run of tools is over; once for each ``run_started``."""

    def tool_started(self, tool: ToolStarted) -> None:
        """Take note that a tool begins, in the task that runs it."""

    def tool_ended(self, record: ToolRecord) -> None:
        """Take note that a tool has ended; once for each ``tool_started``, in the same task."""

    def bulk_started(self, run: BulkStarted) -> None:
        """Take note that a bulk run begins."""

    def bulk_ended(self, record: BulkRecord) -> None:
        """Take note that a bulk run is over; once for each ``bulk_started``."""

    def relay_ended(self, record: RelayRecord) -> None:
        """Take note that a relay to a client is over."""

    def session_ended(self, record: SessionRecord) -> None:
        """Take note that the answer of a session is over."""


HOOKS = tuple(name for name in vars(Observer) if inspect.isfunction(vars(Observer)[name]))


class _Hook(NamedTuple):
    """One method of one observer."""

    call: Callable[[Any], Any]
    wants_content: bool
    label: str


class Observers:
    """All who listen, by what they listen to.

    Args:
        observers: In the order in which they are told.

    Raises:
        ConfigurationError: If one of them has none of the methods, or one that is a coroutine function.
    """

    __slots__ = ("_after", "_failed", "_hooks", "listeners", "wants_content")

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self.listeners: tuple[object, ...] = tuple(observers)
        self.wants_content: bool = any(_wants_content(observer) for observer in self.listeners)
        hooks: dict[str, list[_Hook]] = {}
        for observer in self.listeners:
            for name, hook in _hooks_of(observer):
                hooks.setdefault(name, []).append(hook)
        self._hooks = {name: tuple(found) for name, found in hooks.items()}
        self._failed: set[str] = set()
        self._after: Observers | None = None

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def plus(self, observers: Iterable[object]) -> Observers:
        """Return these and *observers*; one that is among these is told once."""
        more = [observer for observer in observers if not any(observer is known for known in self.listeners)]
        return Observers((*self.listeners, *more)) if more else self

    def after(self, first: object) -> Observers:
        """Return *first* and these; made once, because each call asks for it."""
        if self._after is None or self._after.listeners[0] is not first:
            self._after = Observers((first, *self.listeners))
            self._after._failed = self._failed
        return self._after

    def listens_to(self, name: str) -> bool:
        """Tell whether anybody is told of *name*."""
        return name in self._hooks

    def tell(self, name: str, record: object, with_content: object = None) -> None:
        """Call the method *name* of each observer that has it.

        Args:
            name: One of HOOKS.
            record: What it is given.
            with_content: What those are given in its place that want content, if there is any.
        """
        for hook in self._hooks.get(name, ()):
            self._call(hook, with_content if hook.wants_content and with_content is not None else record)

    def ask(
        self, name: str, record: object, check: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> list[Mapping[str, str]]:
        """Call the method *name* of each observer that has it, and return the mappings that they return.

        Args:
            name: One of HOOKS.
            record: What it is given.
            check: Returns a mapping that can be used, or raises; it is the observer that has failed then.
        """
        answers = [self._call(hook, record, check) for hook in self._hooks.get(name, ())]
        return [answer for answer in answers if answer]

    def _call(self, hook: _Hook, record: object, check: Callable[[Any], Any] | None = None) -> Any:
        try:
            answer = hook.call(record)
            return answer if check is None or answer is None else check(answer)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - it is the observer's, whatever it is
            self._report(hook, exc)
            return None

    def _report(self, hook: _Hook, exc: BaseException) -> None:
        """Log that a method raises, once: its class and where, because its text may quote what it was given."""
        if hook.label in self._failed:
            return
        self._failed.add(hook.label)
        trace = exc.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = "-" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        _LOGGER.error("observer: method=%s error=%s at=%s", hook.label, type(exc).__name__, where)


def _hooks_of(observer: object) -> Iterable[tuple[str, _Hook]]:
    kind = type(observer).__name__
    found: list[tuple[str, _Hook]] = []
    for name in HOOKS:
        method = getattr(observer, name, None)
        if method is None or getattr(method, "__func__", None) is vars(Observer)[name]:
            continue  # the base's own, which does nothing
        if inspect.iscoroutinefunction(method):
            raise ConfigurationError(f"{kind}.{name} is a coroutine function, expected a plain one")
        if not callable(method):
            raise ConfigurationError(f"{kind}.{name} is a {type(method).__name__}, expected a method")
        found.append((name, _Hook(method, _wants_content(observer), f"{kind}.{name}")))
    if not found:
        raise ConfigurationError(
            f"observers has an object of type {kind}, expected an object with a method such as {HOOKS[0]}"
        )
    return found


def _wants_content(observer: object) -> bool:
    return getattr(observer, "wants_content", False) is True


claim(__name__)
