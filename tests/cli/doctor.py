"""The command ``doctor``, run in this process against a testing server, and what its report says."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from opeai_async.__main__ import main
from opeai_async._cli.doctor.probes import UNKNOWN_MODEL
from opeai_async.testing import Answer, Failure, Handler, OpeAIServer, RecordedRequest, Reply


def model(quirks: Sequence[str] = ()) -> Handler:
    """A model that thinks, talks and calls tools, with *quirks*."""

    async def answer(request: RecordedRequest) -> Answer:
        if request.json["model"] == UNKNOWN_MODEL:
            return Failure(404)
        if request.json.get("tools"):
            calls = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]
            return Reply(tool_calls=calls, quirks=quirks)
        return Reply("Hello there, my dear friend!", reasoning="I greet them.", quirks=quirks)

    return answer


class Doctor:
    """Runs the command, and reads what it printed."""

    def __init__(self, server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self._capsys = capsys

    def say(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and the output; standard error must be empty."""
        code = main(["doctor", "--model", "m", *arguments])
        out, err = self._capsys.readouterr()
        assert err == ""
        return code, out

    def report(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code, and the report."""
        code, out = self.say("--json", *arguments)
        report: dict[str, Any] = json.loads(out)
        return code, report

    def examine(self, handler: Handler, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The same, of a server that answers by *handler*."""
        self.server.handle(handler)
        return self.report(*arguments)


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {check["probe"]: check["verdict"] for check in report["checks"]}


def quirks(report: dict[str, Any]) -> set[str]:
    return {quirk["name"] for quirk in report["quirks"]}


def advised(report: dict[str, Any]) -> set[str]:
    return {advice["set"] for advice in report["settings"]}


def rows(report: dict[str, Any]) -> dict[str, str]:
    """What was seen, by probe."""
    return {check["probe"]: check["seen"] for check in report["checks"]}
