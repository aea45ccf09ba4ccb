"""``chat`` with one prompt; conversations and Ctrl-C are in test_signals."""

import io
import sys

import pytest

from opeai_async.__main__ import main
from opeai_async.testing import OpeAIServer
from opeai_async.testing.server import answers


def test_the_answer_is_all_that_standard_output_gets(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Reasoning is apart: another stream, and a label."""
    server.reply("The answer.", reasoning="A thought.")
    assert main(["chat", "A question"]) == 0
    out, err = capsys.readouterr()
    assert out == "The answer.\n"
    assert err == "[reasoning] A thought.\n\n"


def test_reasoning_can_be_hidden(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.reply("The answer.", reasoning="A thought.")
    assert main(["chat", "--no-reasoning", "A question"]) == 0
    assert capsys.readouterr() == ("The answer.\n", "")


def test_an_answer_of_reasoning_alone_ends_its_line(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.reply(reasoning="A thought.")
    assert main(["chat", "A question"]) == 0
    assert capsys.readouterr() == ("", "[reasoning] A thought.\n")


def test_reasoning_after_content_is_apart_too(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Models that think between two pieces of text get a label for each thought."""
    deltas = [b'"content":"One."', b'"reasoning_content":"Hm."', b'"reasoning_content":" Ha."', b'"content":"Two.\\n"']
    server.raw(
        [
            *(
                b'data: {"choices":[{"delta":{%s}},{"index":1,"delta":{"content":"another choice"}}]}\n\n' % delta
                for delta in deltas
            ),
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}]}\n\n',
            b"data: [DONE]\n\n",
        ]
    )
    assert main(["chat", "A question"]) == 0
    assert capsys.readouterr() == ("One.Two.\n", "\n\n[reasoning] Hm. Ha.\n\n")


def test_a_refusal_is_shown(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.reply(refusal="I will not.")
    assert main(["chat", "A question"]) == 0
    assert capsys.readouterr().out == "I will not.\n"


def test_the_options_are_sent(server: OpeAIServer) -> None:
    arguments = ["--model", "m", "--system", "Be brief.", "--temperature", "0.5", "--max-tokens", "7"]
    assert main(["chat", *arguments, "A question"]) == 0
    sent = server.requests[0].json
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A question"}]
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("m", 0.5, 7)


def test_what_is_not_given_is_not_sent(server: OpeAIServer) -> None:
    """The server's own defaults hold."""
    assert main(["chat", "A question"]) == 0
    assert server.requests[0].json.keys() == {"model", "messages", "stream", "stream_options"}


def test_base_url_goes_before_the_environment(server: OpeAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPEAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert main(["chat", "--base-url", server.base_url, "A question"]) == 0


@pytest.mark.parametrize("arguments", [["-"], []])
def test_a_pipe_gives_the_prompt(server: OpeAIServer, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Bytes that are no UTF-8 do not end in a UnicodeDecodeError."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Übung \n".encode() + b"macht \xff\n"), "ascii"))
    assert main(["chat", *arguments]) == 0
    assert server.requests[0].json["messages"][0]["content"] == "Übung \nmacht \ufffd"


def test_an_argument_that_is_no_text_is_sent_as_far_as_it_is(server: OpeAIServer) -> None:
    """Bytes of the shell that are no UTF-8 reach Python as lone surrogates, which JSON cannot hold."""
    assert main(["chat", "caf\udce9"]) == 0
    assert server.requests[0].json["messages"][0]["content"] == "caf\ufffd"


def test_an_empty_prompt_is_a_usage_error(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", " "]) == 2
    assert "the prompt is empty" in capsys.readouterr().err
    assert server.requests == []


def test_without_a_key_it_says_how_to_give_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "A question"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: there is no API key")
    assert "hint: export OPEAI_API_KEY=" in err


def test_an_error_of_the_server_is_told_with_a_hint(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What a server writes into its error cannot steer the terminal."""
    server.fail(404, message="no model\x1b[2J")
    assert main(["chat", "A question"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no model\\x1b[2J" in err
    assert "\nhint: the server lists 'deepseek-v4-flash', but does not answer with it here" in err


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["gpt-5", "deepseek-v4-flesh"], "did you mean --model deepseek-v4-flesh? the server has: gpt-5, deepseek-"),
        (["a", "b"], "the server has: a, b\n"),
        (list("abcdefghijk"), "the server has: a, b, c, d, e, f, g, h and 3 more\n"),
        ([], "check the model's name, and that --base-url ends where /chat/completions begins"),
    ],
)
def test_a_model_that_is_not_there(
    names: list[str],
    hint: str,
    server: OpeAIServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the server has instead is told."""
    monkeypatch.setattr(answers, "MODELS", names)
    server.fail(404, message="no such model", code="model_not_found")
    assert main(["chat", "A question"]) == 1
    assert f"hint: {hint}" in capsys.readouterr().err


@pytest.mark.parametrize("written", ["", "/v1/chat/completions"])
def test_an_address_that_is_almost_right(written: str, server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Without /v1, or with the endpoint: where the API is there beside it, that is the hint."""
    assert main(["chat", "--base-url", server.base_url.removesuffix("/v1") + written, "A question"]) == 1
    assert f"hint: the API is at another address: --base-url {server.base_url}\n" in capsys.readouterr().err


def test_through_a_proxy(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag is the option of the client; what is wrong with it is said of the flag."""
    assert main(["chat", "--proxy", "socks5://127.0.0.1:9", "A question"]) == 1
    assert "error: --proxy is a SOCKS proxy" in capsys.readouterr().err
    assert main(["chat", "--base-url", "https://no-such.invalid/v1", "--proxy", "http://127.0.0.1:1", "Hi"]) == 1
    assert "through the proxy 127.0.0.1:1: Connection refused" in capsys.readouterr().err


def test_a_broken_answer_is_kept_and_told(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What had arrived ends with a newline, so that the error stands on a line of its own."""
    server.cut("Hello beautiful world", after=3)
    assert main(["chat", "A question"]) == 1
    out, err = capsys.readouterr()
    assert out == "Hello beautiful\n"
    assert err.startswith("error: the stream was interrupted")


def test_an_unusual_end_is_told(server: OpeAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that max_tokens cut looks whole otherwise."""
    server.reply("Once upon a", finish_reason="length")
    assert main(["chat", "A question"]) == 0
    assert capsys.readouterr() == ("Once upon a\n", "[the answer ended with finish_reason 'length']\n")
