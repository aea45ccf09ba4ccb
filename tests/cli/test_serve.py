"""``serve``; that it answers, and ends with Ctrl-C, is in test_signals."""

import pytest

from opeai_async.__main__ import main
from opeai_async.testing import OpeAIServer


def test_a_port_that_is_taken_is_told(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, the address, and what to do."""
    port = server.base_url.rpartition(":")[2].removesuffix("/v1")
    assert main(["serve", "--port", port]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: cannot listen on 127.0.0.1 port {port}: ")
    assert "hint: choose another --port" in err
