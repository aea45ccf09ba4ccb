"""What failures say, what a call needs, and what endpoints are called."""

import json
import random

import msgspec
import pytest

from opeai_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Capabilities,
    ClientClosedError,
    ConfigurationError,
    Endpoint,
    InvalidResponseError,
    LocalResourceError,
    PoolTimeoutError,
    StreamServerError,
    StreamTimeoutError,
    StreamTruncatedError,
    TLSError,
)
from opeai_async._core.call.params import ReadOptions
from opeai_async._core.call.prepare import CallDefaults
from opeai_async._core.call.retry import RetryPolicy
from opeai_async._core.call.timeouts import Timeouts
from opeai_async._core.policy.endpoints.choice import Candidate, choose
from opeai_async._core.policy.endpoints.fate import fate_of
from opeai_async._core.policy.endpoints.routes import routed
from opeai_async.types.request import ImagePart, ImageURL, JSONSchemaFormat, UserMessage

DEFAULTS = CallDefaults(
    url="http://localhost/v1/chat/completions",
    models_url="http://localhost/v1/models",
    headers={True: {}, False: {}},
    secrets=frozenset(),
    timeouts=Timeouts(),
    retry=RetryPolicy(),
    reading=ReadOptions(),
)


@pytest.mark.parametrize(
    ("error", "elsewhere", "is_blamed"),
    [
        (APIConnectionError("x"), True, True),
        (TLSError("x"), True, True),
        (APITimeoutError("x", phase="connect"), True, True),
        (APITimeoutError("x", phase="response_headers"), True, True),
        (APITimeoutError("x", phase="total"), False, False),
        (StreamTimeoutError("x", phase="total"), False, False),
        (StreamTimeoutError("x", phase="first_content"), True, True),
        (PoolTimeoutError("x", phase="pool"), False, False),
        (PoolTimeoutError("x"), False, False),
        (LocalResourceError("x"), False, False),
        (ClientClosedError("x"), False, False),
        (InvalidResponseError("x"), True, True),
        (ConfigurationError("x"), True, True),
        (StreamTruncatedError("x"), True, True),
        (StreamServerError("x", status_code=500), True, True),
        (StreamServerError("x", status_code=429), True, False),
        (StreamServerError("x", status_code=400), False, False),
        (StreamServerError("x", status_code=418), True, True),
    ],
)
def test_what_a_failure_says(error, elsewhere, is_blamed):
    """Whether another endpoint could do better, and whether this one is to blame."""
    assert fate_of(error)[:2] == (elsewhere, is_blamed)


@pytest.mark.parametrize(
    ("status", "elsewhere", "is_blamed"),
    [(400, 0, 0), (401, 1, 1), (404, 1, 1), (413, 0, 0), (422, 0, 0), (429, 1, 0), (500, 1, 1), (529, 1, 1)],
)
def test_what_a_status_says(status, elsewhere, is_blamed):
    """The same for refusals."""
    assert fate_of(APIStatusError("x", status_code=status))[:2] == (bool(elsewhere), bool(is_blamed))


@pytest.mark.parametrize(
    "error",
    [
        APIStatusError("x", status_code=400, code="context_length_exceeded"),
        APIStatusError("This model's maximum context length is 8192 tokens", status_code=400),
        APIStatusError("prompt is too long: 210000 tokens", status_code=413),
    ],
)
def test_a_context_that_is_too_long(error):
    """A larger one could do better, and nobody is to blame."""
    assert fate_of(error) == (True, False, True)


def called(**params):
    return routed(
        DEFAULTS, {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **params}, stream=True, usage=False
    )


def test_an_endpoint_that_lacks_what_is_needed_does_not_suit():
    """As far as that is known."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    tools = [{"type": "function", "function": {"name": "f"}}]
    asking = {
        "vision": [
            called(messages=[{"role": "user", "content": [picture]}]),
            called(messages=[UserMessage(content=[ImagePart(image_url=ImageURL(url="https://example.com/a.png"))])]),
        ],
        "json_schema": [
            called(response_format=schema),
            called(response_format=msgspec.convert(schema, JSONSchemaFormat)),
        ],
        "tools": [called(tools=tools)],
    }
    for name, calls in asking.items():
        lacking = Capabilities(**{name: False}).missing
        assert called().suits(lacking)
        for call in calls:
            assert not call.suits(lacking)
            assert call.suits(Capabilities().missing)


def test_a_conversation_that_is_given_unchecked():
    """In ``extra_body``: nobody looks into it."""
    raw = {"model": "m", "extra_body": {"messages": [{"role": "user", "content": "Hi"}]}}
    assert routed(DEFAULTS, raw, stream=True, usage=False).suits(Capabilities(vision=False).missing)


def test_what_a_call_costs_and_shows():
    """A guess of its tokens; and never its prompt."""
    call = called(max_tokens=100, user="u", prompt_cache_key="k")
    assert 100 < call.tokens() < 150
    assert (call.key, called(user="u").key, called().key) == ("k", "u", None)
    assert "Hi" not in repr(call)


def test_what_an_endpoint_is_called():
    """Its name, or its host; never its query or key."""
    assert Endpoint(base_url="https://host:8443/v1?key=secret", api_key="sk-secret").label == "host:8443"
    assert Endpoint(base_url="https://host/v1").label == "host"
    assert Endpoint(base_url="https://[oops").label == "endpoint"
    assert repr(Endpoint(base_url="https://host/v1", name="mine", api_key="sk-secret")) == "<Endpoint mine>"


@pytest.mark.parametrize(("verdict", "tools"), [("yes", True), ("odd", True), ("no", False), ("failed", None)])
def test_the_doctor_knows_what_an_endpoint_can_do(verdict, tools):
    """As its report says, read from JSON."""
    report = json.loads(
        json.dumps({"checks": [{"probe": "tools", "verdict": verdict, "seen": "", "max_tokens": None}]})
    )
    assert Capabilities.from_doctor(report) == Capabilities(tools=tools)
    with pytest.raises(ConfigurationError, match="no report"):
        Capabilities.from_doctor({"checks": [1]})


def test_chance_that_is_nearly_one_draws_the_last():
    """Sums of weights are not exact."""
    candidates = [Candidate(n, str(n), 0, 0.1, 0, 1.0) for n in range(3)]
    assert choose(candidates, key=None, random=lambda: 1 - 2**-53) in range(3)
    assert choose(candidates, key=None, random=lambda: 1.0) in range(3)
    assert choose(candidates, key=None, random=random.Random(1).random) in range(3)


def test_a_weight_that_is_none_is_refused():
    """With what was expected."""
    with pytest.raises(ConfigurationError, match="weight"):
        Endpoint(base_url="http://localhost", weight=float("nan"))
