"""``demo`` and its report; how it looks on a terminal is in test_signals."""

import json

import pytest

from opeai_async import OpeAIError
from opeai_async.__main__ import main
from opeai_async._cli import demo


def test_every_scene_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """No key is needed; off a terminal the text is plain."""
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    expected = [
        "1. Await",
        "Hello!",
        "2. Stream",
        "[reasoning] The user wants",
        "\n\nEach of these words",
        "3. Call a tool",
        'The model calls get_weather({"city":"Paris"})',
        "It is 21 degrees",
        "4. Survive",
        "Attempt 1: APIConnectionError",
        "Attempt 2: after a pause of",
        "first token",
        "\nretried ",
    ]
    places = [out.find(text) for text in expected]
    assert -1 not in places
    assert places == sorted(places)


def test_the_report_holds_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Each call has its message, attempts, times and usage."""
    assert main(["demo", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    calls = {call["name"]: call for call in report["calls"]}
    assert list(calls) == ["awaited", "streamed", "tool call", "tool answer", "retried"]
    assert all(call["usage"]["total_tokens"] > 0 and call["total_s"] > 0 for call in calls.values())
    assert calls["awaited"]["first_token_s"] is None
    assert 0 < calls["streamed"]["first_token_s"] < calls["streamed"]["total_s"]
    assert calls["streamed"]["message"]["reasoning_content"].startswith("The user")
    assert calls["tool call"]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert [attempt["error"] for attempt in calls["retried"]["attempts"]] == ["APIConnectionError", None]


def test_a_demo_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error is told like any other, with exit code 1."""

    async def fail(_: demo.Demo) -> None:
        raise OpeAIError("no luck")

    monkeypatch.setattr(demo.Demo, "stream", fail)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "error: no luck\n"
