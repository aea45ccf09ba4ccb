"""For tests in which the kind of the event loop matters; import both fixtures into the module."""

import pytest

from tests.support.leaks import eventually, open_descriptors
from tests.support.loops.loops import LOOPS


@pytest.fixture(params=["asyncio", "uvloop"], scope="module")
def anyio_backend(request):
    """Each test runs on the plain loop and on uvloop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return "asyncio", {"loop_factory": LOOPS[request.param]}


@pytest.fixture(autouse=True)
async def no_descriptor_left():
    """Each loop can be asked for that: no descriptor outlives the test, be it the client's or the server's."""
    before = open_descriptors()
    yield
    await eventually(
        lambda: open_descriptors() <= before, lambda: f"{open_descriptors() - before} descriptors are left"
    )
