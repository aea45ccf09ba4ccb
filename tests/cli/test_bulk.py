"""The command ``bulk``: files in, files out, resuming, exit codes."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from opeai_async.__main__ import main
from opeai_async.testing import Answer, Failure, OpeAIServer, RecordedRequest, Reply

EXIT_STOPPED = 3


async def answer(request: RecordedRequest) -> Answer:
    text = request.json["messages"][-1]["content"]
    return Failure(400) if "bad" in text else Reply(f"re: {text}")


@pytest.fixture
def echo(server: OpeAIServer) -> OpeAIServer:
    server.handle(answer)
    return server


def batch_line(custom_id: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"model": "gpt", "messages": [{"role": "user", "content": text}], **more}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def write(path: Path, lines: list[Any]) -> str:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def read(path: Path) -> dict[str, Any]:
    return {line["custom_id"]: line for line in map(json.loads, path.read_text().splitlines())}


def content(line: dict[str, Any]) -> str:
    return str(line["response"]["body"]["choices"][0]["message"]["content"])


def test_batch_lines(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes out has the fields of `vllm run-batch`, each with its type."""
    source = write(tmp_path / "in.jsonl", [batch_line("a", "one"), batch_line("b", "two")])
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), "--model", "m", "--price", "1,2"]) == 0
    out = read(tmp_path / "out.jsonl")
    assert {name: content(line) for name, line in out.items()} == {"a": "re: one", "b": "re: two"}
    line = out["a"]
    assert list(line) == ["id", "custom_id", "response", "error"]
    assert isinstance(line["id"], str)
    assert line["error"] is None
    assert list(line["response"]) == ["status_code", "request_id", "body"]
    assert line["response"]["status_code"] == 200
    assert isinstance(line["response"]["request_id"], str)
    body = line["response"]["body"]
    assert body.keys() >= {"id", "object", "created", "model", "choices", "usage"}
    assert body["choices"][0].keys() >= {"index", "message", "finish_reason", "logprobs"}
    assert body["usage"].keys() >= {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert "_meta" not in body
    assert {request.json["model"] for request in echo.requests} == {"m"}
    err = capsys.readouterr().err
    assert "done" in err
    assert "cost" in err


def test_failures(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused request has the server's status and an error, and the exit code says that some failed."""
    source = write(tmp_path / "in.jsonl", [batch_line("a", "bad"), batch_line("b", "x", temperature=9)])
    assert main(["bulk", source, str(tmp_path / "out.jsonl")]) == 1
    out = read(tmp_path / "out.jsonl")
    assert out["a"]["response"]["status_code"] == 400
    assert out["a"]["response"]["body"] is None
    assert set(out["a"]["error"]) == {"code", "message"}
    assert out["b"]["response"] is None
    assert out["b"]["error"]["code"] == "RequestValidationError"
    assert "failed: b: " in capsys.readouterr().err
    assert main(["bulk", source, str(tmp_path / "strict.jsonl"), "--strict", "--quiet"]) == 2
    assert "b: " in capsys.readouterr().err  # a server's refusal does not end the run, what cannot be sent does


def test_bad_lines_are_reported_by_number(
    echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They do not stop the run; with --strict they do."""
    lines = [{"messages": [{"role": "user", "content": "one"}]}, "{torn", "", "[1]", {"text": "no messages"}]
    lines += [{"messages": [{"role": "user", "content": "six"}]}]
    source = write(tmp_path / "in.jsonl", lines)
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), "--model", "m"]) == 1
    assert set(read(tmp_path / "out.jsonl")) == {"request-1", "request-6"}
    err = capsys.readouterr().err
    assert [f"line {n} " in err for n in range(1, 7)] == [False, True, False, True, True, False]
    assert main(["bulk", source, str(tmp_path / "o2.jsonl"), "--model", "m", "--strict", "--quiet"]) == 2
    assert "line 2 is not JSON" in capsys.readouterr().err


def test_many_bad_lines_are_counted(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", ["no"] * 50)
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), "--model", "m"]) == 1
    err = capsys.readouterr().err
    assert err.count("is not JSON") == 20
    assert "50" in err


def test_a_table(echo: OpeAIServer, tmp_path: Path) -> None:
    """Columns fill the prompt; the system text stands above it."""
    source = tmp_path / "in.csv"
    source.write_text('custom_id,text,to\nx,"Hello, you",French\n,"two\nlines",Latin\n')
    arguments = ["--model", "m", "--prompt", "Translate {{to}} {to}: {text}", "--system", "Be short", "--set", "seed=1"]
    assert main(["bulk", str(source), str(tmp_path / "out.jsonl"), *arguments]) == 0
    out = read(tmp_path / "out.jsonl")
    assert content(out["x"]) == "re: Translate {to} French: Hello, you"
    assert content(out["request-4"]) == "re: Translate {to} Latin: two\nlines"
    assert all(request.json["messages"][0]["content"] == "Be short" for request in echo.requests)
    assert all(request.json["seed"] == 1 for request in echo.requests)


def test_a_table_without_the_column(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.tsv"
    source.write_text("a\tb\n1\t2\n")
    assert main(["bulk", str(source), str(tmp_path / "out.jsonl"), "--model", "m", "--prompt", "{c}"]) == 1
    assert "has no field 'c', it has a, b" in capsys.readouterr().err
    assert not echo.requests


def test_a_dry_run(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line is checked, nothing is sent or written."""
    source = write(tmp_path / "in.jsonl", [batch_line("a", "one"), "{", batch_line("c", "x", temperature=9)])
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), "--dry-run"]) == 1
    err = capsys.readouterr().err
    assert "line 2 is not JSON" in err
    assert "c: temperature is 9" in err
    assert not echo.requests
    assert not (tmp_path / "out.jsonl").exists()
    assert main(["bulk", write(tmp_path / "good.jsonl", [batch_line("a", "one")]), "-", "--dry-run"]) == 0


def test_resuming(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run needs --resume; it sends what is new, and writes all."""
    source = write(tmp_path / "in.jsonl", [batch_line("a", "one"), batch_line("b", "two")])
    out = tmp_path / "out.jsonl"
    assert main(["bulk", source, str(out), "--quiet"]) == 0
    first = read(out)
    assert main(["bulk", source, str(out), "--quiet"]) == 2
    assert "--resume" in capsys.readouterr().err
    write(tmp_path / "in.jsonl", [batch_line("a", "one"), batch_line("b", "two"), batch_line("c", "three")])
    assert main(["bulk", source, str(out), "--quiet", "--resume"]) == 0
    again = read(out)
    assert len(echo.requests) == 3
    assert set(again) == {"a", "b", "c"}
    assert again["a"]["response"]["body"] == first["a"]["response"]["body"]


def test_a_bound(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the rest is not run, the exit code and the table say why."""
    source = write(tmp_path / "in.jsonl", [batch_line(str(i), "x") for i in range(500)])
    arguments = ["--price", "0,1000000", "--max-cost", "50", "--concurrency", "2"]
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), *arguments]) == EXIT_STOPPED
    assert "max_cost" in capsys.readouterr().err
    assert len(echo.requests) < 500


def test_pipes(echo: OpeAIServer, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    """``-`` reads lines as they come, and writes answers as they are made; no journal is left behind."""
    lines = "".join(json.dumps(batch_line(name, name)) + "\n" for name in "abc") + "{\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert main(["bulk", "-", "-", "--quiet", "--ordered", "--cache", "--rpm", "100000"]) == 1
    out, err = capfdbinary.readouterr()
    assert [json.loads(line)["custom_id"] for line in out.splitlines()] == ["a", "b", "c"]
    assert b"line 4 is not JSON" in err


def test_a_file_that_is_not_there(echo: OpeAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bulk", str(tmp_path / "none.jsonl"), str(tmp_path / "out.jsonl")]) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--price", "1"], ["--price", "a,b"], ["--rpm", "-1"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bulk", "in", "out", *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c(server: OpeAIServer, tmp_path: Path) -> None:
    """Ctrl-C ends the run with 130; what was finished is kept, and the next run does the rest."""

    async def slow(request: RecordedRequest) -> Answer:
        return Reply("fine", delay_s=0.05)

    server.handle(slow)
    source = write(tmp_path / "in.jsonl", [batch_line(str(i), str(i)) for i in range(300)])
    command = [sys.executable, "-m", "opeai_async", "bulk", source, str(tmp_path / "out.jsonl"), "--concurrency", "4"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(server.requests) < 40:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    sent = len(server.requests)
    assert main(["bulk", source, str(tmp_path / "out.jsonl"), "--resume", "--quiet", "--concurrency", "16"]) == 0
    assert len(read(tmp_path / "out.jsonl")) == 300
    assert len(server.requests) <= 300 + 4 + 1
    assert sent < 300
