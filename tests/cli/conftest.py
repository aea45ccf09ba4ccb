"""A testing server in a thread, and an environment in which the command line finds it."""

from collections.abc import Iterator

import pytest

from opeai_async.testing import OpeAIServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpeAIServer]:
    with OpeAIServer() as running:
        monkeypatch.setenv("OPEAI_API_KEY", running.api_key)
        monkeypatch.setenv("OPEAI_BASE_URL", running.base_url)
        yield running


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's own environment says does not matter."""
    for name in ("NO_COLOR", "OPEAI_API_KEY", "OPEAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
