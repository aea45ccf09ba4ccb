"""A real server on loopback, for tests of code that uses `opeai_async`, and of `opeai_async` itself.

::

    async with OpeAIServer() as server, server.client() as client:
        server.reply("Hello there")
        completion = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        assert server.requests[0].json["model"] == "m"

``opeai_async.testing.pytest`` has both as fixtures.

Oddities of other servers are asked for by name: ``server.reply("Hello", quirks=["crlf"])``. `QUIRKS` has them all, and
`speak` returns the bytes without a server.

Faults of servers and networks are asked for by name too. `FAULTS` says of each what happens on the wire, which error a
client should raise, if it should try again, and if the connection may be used again::

    server.fault("rst_in_chunk", "one two three", after=2)
    with pytest.raises(StreamInterruptedError):
        await my_service.answer()

`Endpoint` has the faults that strike before a request can be sent, such as an expired certificate::

    async with Endpoint("certificate_expired") as endpoint, endpoint.client() as client: ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opeai_async.testing.faults import FAULTS
    from opeai_async.testing.faults.fault import Fault, Verdict
    from opeai_async.testing.quirks import QUIRKS
    from opeai_async.testing.quirks.quirk import Quirk
    from opeai_async.testing.script.reply import Answer, Drop, Failure, Faulty, Raw, Reply
    from opeai_async.testing.script.speech import Expected, expected, speak
    from opeai_async.testing.server.endpoint import Endpoint
    from opeai_async.testing.server.record import Headers, Outcome, RecordedRequest
    from opeai_async.testing.server.server import Handler, OpeAIServer
    from opeai_async.testing.transport import Break, Pause, ScriptedResponse, ScriptedTransport

__all__ = [
    "OpeAIServer",
    "Handler",
    "RecordedRequest",
    "Headers",
    "Outcome",
    "Answer",
    "Reply",
    "Failure",
    "Raw",
    "Drop",
    "Faulty",
    "FAULTS",
    "Fault",
    "Verdict",
    "Endpoint",
    "QUIRKS",
    "Quirk",
    "speak",
    "expected",
    "Expected",
    "ScriptedTransport",
    "ScriptedResponse",
    "Pause",
    "Break",
]

# Imported on first use, so that a test run which only loads the pytest plugin does not pay for aiohttp.
_HOMES = {
    "faults": ("FAULTS",),
    "faults.fault": (
        "Fault",
        "Verdict",
    ),
    "quirks": ("QUIRKS",),
    "quirks.quirk": ("Quirk",),
    "script.reply": (
        "Answer",
        "Drop",
        "Failure",
        "Faulty",
        "Raw",
        "Reply",
    ),
    "script.speech": (
        "Expected",
        "expected",
        "speak",
    ),
    "server.endpoint": ("Endpoint",),
    "server.record": (
        "Headers",
        "Outcome",
        "RecordedRequest",
    ),
    "server.server": (
        "Handler",
        "OpeAIServer",
    ),
    "transport": (
        "Break",
        "Pause",
        "ScriptedResponse",
        "ScriptedTransport",
    ),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
