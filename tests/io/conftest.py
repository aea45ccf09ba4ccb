"""What the tests of the upper floor get."""

import os

import pytest

from opeai_async._io.net.parts import body as aiohttp_body
from opeai_async._io.net.parts import post as aiohttp_post
from tests.support.aiohttp_parts import OWN_BODIES, OWN_REQUESTS


@pytest.fixture(autouse=OWN_BODIES in os.environ)
def bodies_of_aiohttp(monkeypatch):
    """Bodies are read by aiohttp's own reader, as with a version of it that we do not know."""
    monkeypatch.setattr(aiohttp_body, "is_known", False)


@pytest.fixture(autouse=OWN_REQUESTS in os.environ)
def requests_of_aiohttp(monkeypatch):
    """Requests are sent by aiohttp's own session, as with a version of it that we do not know."""
    monkeypatch.setattr(aiohttp_post, "is_known", False)
