"""Every option of a wrong type is refused before anything is sent, by an error that names it."""

import inspect
import math

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError, RelayOptions, RequestValidationError, RetryPolicy, Timeouts
from opeai_async._core.call.params import CallOptions, ClientOptions, ListOptions, RunOptionParams
from opeai_async.bulk.options import BulkParams

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
WHERE = {"api_key": "sk-test-x", "base_url": "http://127.0.0.1:9/v1"}
CLIENT = AsyncOpeAI(**WHERE)


class Thing:
    """What no option takes."""


WRONG = [b"x", Thing(), math.nan, [1], (1, 2), {1: 2}, {"a": Thing()}]


async def relay(**options):
    async def send(message: object) -> None: ...

    await CLIENT.chat.completions.stream(**ASK).relay(send, **options)


async def create(**options):
    await CLIENT.chat.completions.create(**ASK, **options)


async def parse(**options):
    await CLIENT.chat.completions.parse(**ASK, response_format=int, **options)


async def result_of(function, options):
    result = function(**options)
    return await result if inspect.isawaitable(result) else result


def keys_of(function):
    return inspect.signature(function).parameters.keys()


PLACES = [
    (lambda **options: AsyncOpeAI(**{**WHERE, **options}), keys_of(AsyncOpeAI) - {"unknown", "transport"}),
    (CLIENT.with_options, ClientOptions.__annotations__.keys()),
    (lambda **options: CLIENT.chat.completions.stream(**ASK, **options), CallOptions.__annotations__.keys()),
    (create, CallOptions.__annotations__.keys() | {"stream", "completion_type", "chunk_type"}),
    (lambda **options: CLIENT.chat.completions.stream(**ASK, **options), {"chunk_type"}),
    (CLIENT.models.list, ListOptions.__annotations__.keys()),
    (lambda **options: CLIENT.chat.completions.run(**ASK, tools=[], **options), RunOptionParams.__annotations__.keys()),
    (lambda **options: CLIENT.chat.completions.map([ASK], **options), BulkParams.__annotations__.keys()),
    (relay, RelayOptions.__annotations__.keys()),
    (parse, {"mode", "strict", "retries_on_invalid"}),
    (RetryPolicy, keys_of(RetryPolicy)),
    (Timeouts, keys_of(Timeouts)),
]
CASES = [(place, name) for place, names in PLACES for name in sorted(names)]
IDS = [f"{getattr(place, '__qualname__', place)}-{name}" for place, name in CASES]


@pytest.mark.parametrize(("place", "name"), CASES, ids=IDS)
async def test_a_wrong_type_is_refused_by_name(place, name):
    """Neither taken, nor left to break later with a TypeError of our own code."""
    for wrong in WRONG:
        if name in ("extra_body", "defaults") and isinstance(wrong, dict):
            continue  # what is in it is the server's affair
        with pytest.raises((ConfigurationError, RequestValidationError)) as caught:
            await result_of(place, {name: wrong})
        assert name in str(caught.value), (wrong, str(caught.value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allow_insecure_http": "no"}, "allow_insecure_http is of type str, expected True or False"),
        ({"timeout": -1}, "timeout is -1, expected a number of seconds, above 0"),
        ({"timeouts": math.inf}, "timeouts is inf, expected a number of seconds, above 0"),
        ({"default_query": {"a": 1}}, "the value of a in default_query is of type int, expected text"),
        ({"observers": [5]}, "observers has an object of type int, expected an object with a method"),
        ({"observers": 5}, "observers is of type int, expected a list"),
        ({"retry": []}, "retry is of type list, expected a RetryPolicy"),
    ],
)
def test_what_the_error_says(options, message):
    """What it is, and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncOpeAI(**{**WHERE, **options})
    assert str(caught.value).startswith(message)


def test_bounds_of_a_policy():
    """None has no budget; a wait of 0 is none at all."""
    assert RetryPolicy(budget=None, max_wait_s=0, base_delay_s=0).budget is None
    with pytest.raises(ConfigurationError, match="budget is -1, expected a number, 0 or more, or None"):
        RetryPolicy(budget=-1)
