"""The event loops that the tests run on: ``pytest --loop=uvloop``, or ``OPEAI_ASYNC_TEST_LOOP=uvloop``.

===========  ================================================================================
asyncio      the plain loop, which most users run
uvloop       what ``uvicorn[standard]`` installs, and most services run
eager        the plain loop with ``asyncio.eager_task_factory`` (Python 3.12 and up)
===========  ================================================================================

Whoever makes a loop without naming a kind gets the chosen one: the tests' own, ``asyncio.run`` inside a test, and the
thread of an ``OpeAIServer``. All of them ask ``asyncio.events.new_event_loop``, which is replaced; a policy would do
the same, but is deprecated from Python 3.14 on.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator

DEFAULT = "asyncio"
VARIABLE = "OPEAI_ASYNC_TEST_LOOP"

_plain_loop = asyncio.events.new_event_loop


class TimersOfUvloop:
    """A loop of uvloop that knows its timers, which uvloop tells nobody of.

    It is mixed into a class of uvloop, whose tasks, timeouts and TLS all set their timers through these two methods.
    What they get is a timer of asyncio, so that the tests see when it is due and what it calls.
    """

    def call_later(self, delay, callback, *args, context=None):
        """Set a timer; called by everybody."""
        if round(delay * 1000) <= 0:  # to uvloop that is no timer, but goes with the loop's next turn
            return super().call_later(delay, callback, *args, context=context)
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        self.arm(handle)
        return handle

    def call_at(self, when, callback, *args, context=None):
        """Set a timer; called by everybody."""
        return self.call_later(when - self.time(), callback, *args, context=context)

    def arm(self, handle: asyncio.TimerHandle) -> None:
        """Fire *handle* when it is due."""
        delay = max(handle.when() - self.time(), 0.001)
        self.note(handle, super().call_later(delay, self._fire, handle))

    def note(self, handle: asyncio.TimerHandle, real: asyncio.TimerHandle | None = None) -> None:
        """Remember *handle* until it has fired; *real* is what uvloop will call, None if somebody else will."""
        self._armed[id(handle)] = handle, real  # two that call the same at the same time are equal

    def forget(self, handle: asyncio.TimerHandle) -> None:
        """Let *handle* not fire any more; also called by asyncio, for one that is cancelled."""
        _, real = self._armed.pop(id(handle), (None, None))
        if real is not None:
            real.cancel()

    _timer_handle_cancelled = forget

    def _fire(self, handle: asyncio.TimerHandle) -> None:
        del self._armed[id(handle)]
        handle._run()

    @property
    def _armed(self) -> dict[int, tuple[asyncio.TimerHandle, asyncio.TimerHandle | None]]:
        return self.__dict__.setdefault("_timers_armed", {})

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """Those that have not fired, and are not cancelled."""
        return [handle for handle, _ in self._armed.values()]


def is_on_uvloop() -> bool:
    """Tell whether the caller runs on a loop of uvloop; where none runs, whether the chosen kind is one."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _chosen == "uvloop"
    return any(kind.__module__.partition(".")[0] == "uvloop" for kind in type(loop).__mro__)


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return type("Loop", (TimersOfUvloop, uvloop.Loop), {})()


def _eager() -> asyncio.AbstractEventLoop:
    loop = _plain_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": _plain_loop,
    "uvloop": _uvloop,
    "eager": _eager,
}

# What a program in a process of its own begins with, to run on the same kind of loop.
PROLOGUES = {
    "asyncio": "",
    "uvloop": "import asyncio, uvloop; asyncio.events.new_event_loop = uvloop.new_event_loop\n",
    # Not in the program's own namespace, which would live on with the function and be cleared too late for warnings.
    "eager": """\
exec('''
import asyncio
def eager(plain=asyncio.events.new_event_loop):
    loop = plain()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop
asyncio.events.new_event_loop = eager
''', {})
""",
}

_chosen = DEFAULT


def choose(name: str) -> None:
    """Let every loop of this process that is made from now on be of the kind *name*."""
    global _chosen
    if name not in LOOPS:
        raise ValueError(f"no loop is called {name!r}, expected one of {', '.join(LOOPS)}")
    if name == "eager" and sys.version_info < (3, 12):
        raise ValueError("eager tasks need Python 3.12 or later")
    if name == "uvloop":
        import uvloop  # noqa: F401 - a missing one shows here, and not in each test
    _chosen = name
    asyncio.events.new_event_loop = asyncio.new_event_loop = LOOPS[name]


def chosen() -> str:
    """Return the kind of loop that the tests run on."""
    return _chosen


def prologue() -> str:
    """Return the lines that a program must begin with, to run on the same kind of loop."""
    return PROLOGUES[_chosen]


def timers_of(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.TimerHandle]:
    """Return the timers of *loop* that have not fired, and are not cancelled.

    Raises:
        TypeError: If nobody can tell what timers *loop* has.
    """
    if isinstance(loop, TimersOfUvloop):
        return (handle for handle in loop.timers if not _is_left_by_uvloop(handle))
    if isinstance(loop, asyncio.BaseEventLoop):
        return (handle for handle in loop._scheduled if not handle.cancelled())
    raise TypeError(f"the timers of a {type(loop).__module__}.{type(loop).__name__} cannot be counted")


def _is_left_by_uvloop(handle: asyncio.TimerHandle) -> bool:
    """Tell whether it is the clock of a TLS handshake, which uvloop leaves running for its 60 s.

    It does where a connect is cancelled after TCP and before the handshake, without any of our code (seen with 0.23.0).
    The clock holds no connection: one that was really left behind shows by its descriptor.
    """
    return getattr(handle._callback, "__qualname__", "").startswith("SSLProtocol._start_handshake.")
