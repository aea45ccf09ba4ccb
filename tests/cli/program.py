"""The command line as a process of its own, on pipes or on a terminal."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Self

# SIGINT may be ignored where the tests run, as for any background job of a shell, and children inherit that.
LAUNCH = (
    "import runpy, signal;"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('opeai_async', run_name='__main__', alter_sys=True)"
)


class Program:
    """``python -m opeai_async ARGUMENTS``, running.

    Args:
        arguments: Those of the command line.
        on_terminal: Whether standard input, output and error are a terminal; else stdin is empty and the other two are
            one pipe.
        env: Variables to set, beside the environment of the tests.

    Attributes:
        output: What it has written so far, as far as it was waited for.
    """

    def __init__(self, *arguments: str, on_terminal: bool = False, **env: str) -> None:
        self.output = ""
        self._waited_for = 0
        if on_terminal:
            self._ours, theirs = os.openpty()
        else:
            self._ours, theirs = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *arguments],
            stdin=theirs if on_terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PYTHONUTF8": "1", **env},
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait_for(self, text: str) -> None:
        """Return as soon as *text* has been written, after all that was waited for before."""
        while (found := self.output.find(text, self._waited_for)) < 0:
            assert self._read(), f"it ended without {text!r}, after {self.output!r}"
        self._waited_for = found + len(text)

    def press(self, keys: str) -> None:
        """Type *keys* as they are."""
        os.write(self._ours, keys.encode())

    def type(self, line: str) -> None:
        """Type *line*, and Enter."""
        self.press(f"{line}\n")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def leave(self) -> int:
        """Press Ctrl-C at a prompt until it has ended; the exit code.

        One that comes between the prompt and the C library's wait for a key is not seen before the next.
        """
        while self.process.poll() is None:
            self.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        return self.wait()

    def wait(self) -> int:
        """The exit code, after all output was read."""
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # how a terminal says that the other side has gone
            return False
        self.output += data.decode("utf-8", "replace")
        return bool(data)
