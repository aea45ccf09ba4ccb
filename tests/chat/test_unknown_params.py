"""Parameters that are not of the API: sent, warned of, or refused."""

import warnings

import pytest

from opeai_async import RequestValidationError, UnknownParameterWarning, vendors
from opeai_async._core.call.encode import encode_request
from opeai_async._core.policy import unknown_params as unknown
from opeai_async._names.former import PARAMETERS

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch):
    """Names that another test has met count as new."""
    monkeypatch.setattr(unknown, "_warned", set())


def encoded(*, strict=False, **params):
    return encode_request({"model": "m", "messages": HELLO, **params}, stream=False, strict=strict)


def refusal_of(**params):
    with pytest.raises(RequestValidationError) as caught:
        encoded(**params)
    return caught.value


@pytest.mark.parametrize("name", vendors.PARAMETERS)
def test_a_parameter_of_a_vendor_is_sent(name):
    """Without a warning, which would be an error here; in strict mode it is refused."""
    assert f'"{name}":1'.encode() in encoded(**{name: 1})
    error = refusal_of(strict=True, **{name: 1})
    assert all(vendor in str(error) for vendor in vendors.PARAMETERS[name])
    assert error.field == name


def test_any_other_is_sent_with_one_warning():
    """Which shows the line that calls, not one of ours."""
    with pytest.warns(UnknownParameterWarning, match="frobnicate is not known to this version") as caught:
        assert b'"frobnicate":{"a":[1]}' in encoded(frobnicate={"a": [1]})
    assert caught[0].filename == __file__
    assert b'"frobnicate":2' in encoded(frobnicate=2)


def test_a_warning_that_is_an_error_stays_one():
    """What was refused so was not sent, and is refused again."""
    for _ in range(2):
        with pytest.raises(UnknownParameterWarning):
            encoded(frobnicate=1)


def test_a_parameter_that_is_none_is_left_out():
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert b"frobnicate" not in encoded(frobnicate=None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("maxTokens", "max_tokens"),
        ("topP", "top_p"),
        ("stops", "stop"),
        ("tool", "tools"),
        ("response_fromat", "response_format"),
        ("max_retry", "max_retries"),
        ("extra_header", "extra_headers"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_slip_is_refused(name, meant, strict):
    """With the name that was meant."""
    error = refusal_of(strict=strict, **{name: 1})
    assert str(error) == f"{name} is no field of the API; did you mean {meant!r}?"
    assert f"extra_body={{{name!r}: ...}}" in error.hint


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_others_call_something_is_told(name):
    error = refusal_of(**{name: 1})
    assert str(error) == f"{name} is no field of the API: {PARAMETERS[name]}"


def test_strict_refuses_the_unknown_too():
    error = refusal_of(strict=True, frobnicate=1)
    assert str(error) == 'frobnicate is no field of the API, and dialect is "strict"'


def test_a_name_is_text():
    """Of a dict that was unpacked."""
    with pytest.raises(RequestValidationError, match="3 is no name of a parameter"):
        encode_request({"model": "m", "messages": HELLO, 3: 1}, stream=False)


def test_no_vendor_repeats_the_api():
    """Nor does a slip of one lie between."""
    from opeai_async import CompletionParams

    assert not set(vendors.PARAMETERS) & set(CompletionParams.__annotations__)
    assert {name for name in vendors.__all__ if name.endswith("Params")} == {
        params.__name__ for params in vendors.VENDORS.values()
    }


@pytest.mark.parametrize("params", vendors.VENDORS.values())
def test_each_parameter_of_a_vendor_is_described(params):
    """In the list of its class, or of the one that it extends."""
    text = "\n".join(cls.__doc__ or "" for cls in (params, vendors._Sampling))
    assert not [name for name in params.__annotations__ if name not in text]


async def test_the_dialect_of_client_and_call(server):
    """Decides, whichever is nearer."""
    async with server.client(dialect="strict") as client:
        with pytest.raises(RequestValidationError, match="top_k"):
            await client.chat.completions.create(model="m", messages=HELLO, top_k=1)
        with pytest.raises(RequestValidationError, match="top_k"):
            client.chat.completions.stream(model="m", messages=HELLO, top_k=1)
        await client.chat.completions.create(model="m", messages=HELLO, top_k=1, dialect="repair")
    assert server.requests[-1].json["top_k"] == 1
