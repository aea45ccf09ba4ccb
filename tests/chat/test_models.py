"""`client.models.list()`."""

import pytest

from opeai_async import ConfigurationError, InvalidResponseError, Model, NotFoundError
from opeai_async.testing import Break
from opeai_async.testing.server.answers import MODELS
from tests.support.clients import scripted


async def test_a_list(server):
    """With what is known of the exchange."""
    async with server.client() as client:
        models = await client.models.list(extra_headers={"x-a": "1"}, extra_query={"q": "1"}, timeout=5)
    assert [model.id for model in models] == list(MODELS)
    assert (len(models), models.meta.status_code) == (len(MODELS), 200)
    (request,) = server.requests
    assert (request.method, request.path, request.query, request.body) == ("GET", "/v1/models", "q=1", b"")
    assert request.headers["x-a"] == "1"


async def test_one_after_the_other(server):
    async with server.client() as client:
        assert [model.id async for model in client.models.list()] == list(MODELS)


LISTS = [
    (b'{"object":"list","data":[{"id":"a","created":1.5,"owned_by":"x","size":7},{"name":"no id"},3],"more":1}', 1),
    (b'[{"id":"a"},{"id":"b"}]', 2),
    (b'{"data":[]}', 0),
]


@pytest.mark.parametrize(("body", "count"), LISTS)
async def test_lists_in_the_dialects_of_servers(raw_models, body, count):
    """What is no model is left out; what is not the API's is kept."""
    models = await raw_models(body)
    assert len(models.data) == count
    if b"size" in body:
        assert models.data == [Model(id="a", owned_by="x", extra={"created": 1.5, "size": 7})]
        assert models.extra == {"more": 1}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"{}", b'{"data":3}', b'"x"'])
async def test_what_is_no_list(raw_models, body):
    with pytest.raises(InvalidResponseError, match="expected a list of models"):
        await raw_models(body)


@pytest.fixture
async def raw_models():
    """Ask for the models, where *body* is the answer."""

    async def ask(body):
        client, transport, _ = scripted()
        transport.respond(body, headers={"content-type": "application/json"})
        return await client.models.list()

    return ask


async def test_retries(server):
    """As for any call."""
    async with server.client(base_url=server.base_url + "x") as client:
        with pytest.raises(NotFoundError):
            await client.models.list()
        with pytest.raises(ConfigurationError):
            client.models.list(max_retries="x")
        with pytest.raises(TypeError, match="'limit'"):
            client.models.list(limit=3)


async def test_a_body_that_breaks_off_is_asked_for_again():
    """For nothing has been handed out."""
    client, transport, slept = scripted()
    transport.respond(b'{"data":', Break("gone"), headers={"content-type": "application/json"})
    transport.respond(b'{"data":[{"id":"a"}]}', headers={"content-type": "application/json"})
    models = await client.models.list()
    assert ([model.id for model in models], len(slept)) == (["a"], 1)
    assert [response.end for response in transport.responses] == ["aborted", "released"]
