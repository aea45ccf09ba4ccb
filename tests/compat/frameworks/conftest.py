import pytest


def pytest_collection_modifyitems(items):
    """Frameworks warn of their own parts, which is no failure of ours."""
    for item in items:
        if "compat/frameworks" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("default"), append=False)


@pytest.fixture
async def client(server):
    """openai's client over our engine."""
    from opeai_async.compat import AsyncOpenAI

    async with AsyncOpenAI(api_key=server.api_key, base_url=server.base_url) as client:
        yield client
