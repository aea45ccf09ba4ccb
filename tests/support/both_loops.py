"""For tests in which the kind of the event loop matters; import both fixtures into the module."""

import contextlib
import os

import pytest

from tests.support.leaks import eventually


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def anyio_backend(request):
    """Each test runs on the plain loop and on uvloop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(autouse=True)
async def no_descriptor_left():
    """Each loop can be asked for that: no descriptor outlives the test, be it the client's or the server's."""
    before = descriptors()
    yield
    await eventually(lambda: descriptors() <= before, lambda: f"{descriptors() - before} descriptors are left")


def descriptors() -> int:
    """How many this process has, but for those of ``/dev/null``: uvloop's servers keep one to spare."""
    folder = "/proc/self/fd"
    targets = []
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # that of the listing itself
            targets.append(os.readlink(f"{folder}/{name}"))
    return len(targets) - targets.count(os.devnull)
