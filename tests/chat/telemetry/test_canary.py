"""The key, headers and prompts are in no span, metric, log or record, whatever goes wrong, unless content is captured.

The faults are those of tests/promises/test_canary.py, whose servers echo the key wherever they can.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from opeai_async import OpeAIError
from opeai_async._io.observe.log import LISTENER
from tests.promises.test_canary import FAULTS, KEY, STREAM_FAULTS, client_of, sends
from tests.support.reading.chunks import DONE
from tests.support.servers.raw_server import HEAD, chunked, plain
from tests.support.telemetry.listener import Listener

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client import CollectorRegistry, generate_latest

from opeai_async.telemetry import PrometheusObserver
from tests.support.telemetry.collected import Collected

PROMPT = "Prompt-Canary-0123456789"
HEADER = "Header-Canary-0123456789"
BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": PROMPT}],
    "user": PROMPT,
    "metadata": {"secret": PROMPT},
    "extra_headers": {"X-Secret": HEADER},
    "extra_query": {"secret": HEADER},
}
ALL = {**FAULTS, **STREAM_FAULTS}


class Told:
    """All that observers and logs were told."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._registry = CollectorRegistry()
        self.collected = Collected()
        self.listener = Listener()
        self.observers = [self.collected.observer, PrometheusObserver(self._registry), self.listener]

    def texts(self) -> Iterator[str]:
        """Yield all of it as text."""
        for span in self.collected.spans:
            yield span.to_json()
            yield repr([(event.name, dict(event.attributes or {})) for event in span.events])
        for metric in self.collected.metrics():
            yield metric.to_json()
        yield generate_latest(self._registry).decode()
        for _, record in self.listener.heard:
            yield repr(record)
            yield repr(msgspec.structs.astuple(record))
        for line in self._caplog.records:
            if line.name == "opeai_async":
                yield line.getMessage()
                yield repr(vars(line))

    def assert_no(self, *secrets: str) -> None:
        """None of them is anywhere, in any case of its letters."""
        texts = list(self.texts())
        assert len(texts) > 5
        for secret in secrets:
            for text in texts:
                assert secret.lower() not in text.lower(), text


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    """Everything is listened to, and logged."""
    caplog.set_level(logging.DEBUG)
    made = Told(caplog)
    yield made
    made.collected.close()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_call_that_fails(name: str, is_stream: bool, told: Told) -> None:
    """Neither what was sent, nor what the server says, nor the text of an error."""
    if name in STREAM_FAULTS and not is_stream:
        pytest.skip("it is a fault of streams")
    _, answer, options = ALL[name]
    async with client_of(answer, observers=told.observers, **options) as client:
        completions = client.chat.completions
        stream = completions.stream(**BODY, max_retries=1)
        with pytest.raises(OpeAIError):
            await (stream.completion() if is_stream else completions.create(**BODY, max_retries=1))
    assert len(told.collected.spans) == 1
    told.assert_no(KEY, PROMPT, HEADER)


ECHO: dict[str, Any] = {"id": KEY, "model": KEY, "system_fingerprint": KEY, "service_tier": KEY, "created": 1}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "note": KEY, KEY: 3, "cached_tokens": KEY}
CHUNK = {**ECHO, "choices": [{"index": 0, "delta": {"content": PROMPT}, "finish_reason": KEY}], "usage": USAGE}
MESSAGE = {"role": "assistant", "content": PROMPT}
WHOLE = {**ECHO, "choices": [{"index": 0, "message": MESSAGE, "finish_reason": KEY}], "usage": USAGE}


async def test_an_answer_that_echoes_the_key(told: Told) -> None:
    """In its id, its model, its reasons: none of them is told with the key; nor is what the model says."""
    event = b"data: " + msgspec.json.encode(CHUNK) + b"\n\n"
    async with client_of(sends(HEAD, chunked(event), chunked(DONE)), observers=told.observers) as client:
        completion = await client.chat.completions.stream(**BODY).completion()
    assert completion.model == KEY  # the answer is as it came; only what is told of it is masked
    body = plain(msgspec.json.encode(WHOLE), kind=b"application/json")
    async with client_of(sends(body), observers=told.observers) as client:
        await client.chat.completions.create(**BODY)
    assert len(told.collected.spans) == 2
    told.assert_no(KEY, PROMPT, HEADER)


def test_the_log_asks_for_no_content() -> None:
    """It is an observer as others are, and must never become one that wants it."""
    assert LISTENER.wants_content is False
