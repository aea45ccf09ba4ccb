"""Ctrl-C, a terminal, and a reader that leaves: seen from outside, with real signals."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from opeai_async.testing import OpeAIServer
from tests.cli.program import Program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="terminals and SIGINT of POSIX")


def test_ctrl_c_stops_the_answer(server: OpeAIServer) -> None:
    """The partial stays on the screen, the upstream is closed, and the exit code is the shell's for Ctrl-C."""
    server.stall("Hello beautiful world", after=3)
    with Program("chat", "hi") as program:
        program.wait_for("Hello beautiful")
        program.interrupt()
        assert program.wait() == 130
    assert program.output == "Hello beautiful\n[stopped]\n"
    assert asyncio.run(server.wait_closed()).outcome == "client_gone"


def test_ctrl_c_while_the_server_is_silent(server: OpeAIServer) -> None:
    """Ctrl-C works before the response has begun, too."""
    server.reply("too late", delay_s=60)
    with Program("chat", "hi") as program:
        asyncio.run(server.wait_received(timeout_s=20))
        program.interrupt()
        assert program.wait() == 130
    assert program.output == "[stopped]\n"


def test_a_conversation_goes_on_after_ctrl_c(server: OpeAIServer) -> None:
    """The partial is part of the conversation; Ctrl-C at the prompt then leaves."""
    server.stall("Hello beautiful world", after=3)
    with Program("chat", on_terminal=True) as program:
        program.wait_for("> ")
        program.type("first")
        program.wait_for("Hello beautiful")
        program.interrupt()
        program.wait_for("> ")
        server.reply("Second answer")
        program.type("second")
        program.wait_for("Second answer")
        program.wait_for("> ")
        assert program.leave() == 0
    assert "[stopped]" in program.output
    assert [(message["role"], message["content"]) for message in server.requests[1].json["messages"]] == [
        ("user", "first"),
        ("assistant", "Hello beautiful"),
        ("user", "second"),
    ]


def test_a_conversation_ends_with_quit_and_forgets_with_reset(server: OpeAIServer) -> None:
    """/reset keeps the system's message and drops the rest; an error does not end the conversation."""
    with Program("chat", "--system", "Be brief.", on_terminal=True) as program:
        program.wait_for("> ")
        for line in ("first", "/reset", "", "second"):
            program.type(line)
            program.wait_for("> ")
        server.fail(400, message="no such thing")
        program.type("third")
        program.wait_for("no such thing")
        program.wait_for("> ")
        program.type("fourth")
        program.wait_for("> ")
        program.type("/quit")
        assert program.wait() == 0
    questions = [
        [message["content"] for message in request.json["messages"] if message["role"] == "user"]
        for request in server.requests
    ]
    assert questions == [["first"], ["second"], ["second", "third"], ["second", "fourth"]]
    assert all(request.json["messages"][0]["content"] == "Be brief." for request in server.requests)


def test_end_of_file_leaves_the_conversation(server: OpeAIServer) -> None:
    """Ctrl-D leaves, on a line of its own."""
    with Program("chat", on_terminal=True) as program:
        program.wait_for("> ")
        program.press("\x04")
        assert program.wait() == 0
    assert program.output.endswith("\r\n")


def test_a_terminal_gets_style_but_no_foreign_escape(server: OpeAIServer) -> None:
    """Reasoning is dim; what a model sends cannot steer the terminal."""
    server.reply("\x1b]0;owned\x07fine", reasoning="\x1b[2Jhm")
    with Program("chat", "hi", on_terminal=True) as program:
        assert program.wait() == 0
    assert "\x1b[2m" in program.output
    assert "\\x1b]0;owned\\x07fine" in program.output
    assert "\x1b]" not in program.output
    assert "\x1b[2J" not in program.output


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_can_be_plain(server: OpeAIServer, variable: dict[str, str]) -> None:
    """NO_COLOR and a dumb terminal get text only."""
    server.reply("fine", reasoning="hm")
    with Program("chat", "hi", on_terminal=True, **variable) as program:
        assert program.wait() == 0
    assert program.output == "[reasoning] hm\r\n\r\nfine\r\n"


def test_the_demo_on_a_terminal_draws_a_table() -> None:
    """With rich installed, the table has a frame."""
    with Program("demo", on_terminal=True) as program:
        assert program.wait() == 0
    assert "┃" in program.output


@pytest.mark.parametrize("arguments", [("demo",), ("demo", "--json"), ("serve", "--port", "0"), ("chat", "hi")])
def test_a_reader_that_leaves_is_no_error(server: OpeAIServer, arguments: tuple[str, ...]) -> None:
    """`| head -1` ends the program without a word, and without a traceback."""
    ours, theirs = os.pipe()
    os.close(ours)
    server.reply("Nobody reads this.")
    done = subprocess.run(
        [sys.executable, "-m", "opeai_async", *arguments], stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_ends_the_server() -> None:
    """`serve` tells its address, answers there, and ends with exit code 0."""
    with Program("serve", "--port", "0", "--api-key", "sk-mine") as program:
        program.wait_for('chat "Hello"')
        base_url = program.output.partition("OPEAI_BASE_URL=")[2].split()[0]
        assert "OPEAI_API_KEY=sk-mine" in program.output
        with Program("chat", "hi", OPEAI_API_KEY="sk-mine", OPEAI_BASE_URL=base_url) as client:
            assert client.wait() == 0
        assert "You said: hi" in client.output
        program.interrupt()
        assert program.wait() == 0


def test_ctrl_c_ends_the_demo() -> None:
    """No traceback."""
    with Program("demo") as program:
        program.wait_for("[reasoning] The")
        program.interrupt()
        assert program.wait() == 130
    assert "Traceback" not in program.output


def test_the_demo_as_json_is_one_object() -> None:
    """Standard output can be given to a JSON reader as it is."""
    done = subprocess.run([sys.executable, "-m", "opeai_async", "demo", "--json"], capture_output=True, check=True)
    assert json.loads(done.stdout)["calls"]
    assert done.stderr == b""
