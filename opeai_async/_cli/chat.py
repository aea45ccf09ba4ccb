"""``chat``: one question, or a conversation, with the answer on standard output and all else on standard error.

The event loop runs only while an answer is awaited. Outside of it this is an ordinary program: ``input`` has its
line editing, and Ctrl-C is a KeyboardInterrupt wherever it comes. While the loop runs, ``asyncio.Runner`` turns the
first Ctrl-C into the cancellation of the answer, which closes the stream and with it the upstream, and then raises
KeyboardInterrupt here. What had arrived is still in the stream's ``snapshot``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import sys
from typing import TextIO

from opeai_async import AsyncOpeAI, ChatCompletionStream
from opeai_async._cli.answer import AnswerWriter
from opeai_async._cli.models import is_about_model, model_hint
from opeai_async._cli.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    Terminal,
    show_error,
    standard_streams,
)
from opeai_async.errors import OpeAIError
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.request import MessageParam

_WELCOME = "Ctrl-C stops an answer; /reset begins anew; /quit, Ctrl-D, or Ctrl-C at the prompt leaves."
_USUAL_FINISH = (None, "", "stop")


def run(options: argparse.Namespace) -> int:
    """Chat as *options* say; returns the exit code."""
    answer, aside = standard_streams()
    prompt = _prompt(options.prompt)
    if prompt is not None and not prompt.strip():
        aside.line("error: the prompt is empty, expected a question")
        return EXIT_USAGE
    try:
        client = AsyncOpeAI(
            base_url=options.base_url, allow_insecure_http=options.allow_insecure_http, proxy=options.proxy
        )
    except OpeAIError as exc:
        show_error(aside, exc)
        return EXIT_FAILED
    with asyncio.Runner() as runner:
        try:
            chat = Chat(runner, client, options, answer, aside)
            return chat.converse() if prompt is None else chat.ask(prompt)
        finally:
            runner.run(client.aclose())


class Chat:
    """A conversation that grows with each answer.

    Args:
        runner: Runs the loop that *client* lives on.
        options: ``model``, ``system``, ``temperature``, ``max_tokens``, ``reasoning``.
        answer: Where the model's text goes.
        aside: Where the reasoning, notes and errors go.
    """

    def __init__(
        self,
        runner: asyncio.Runner,
        client: AsyncOpeAI,
        options: argparse.Namespace,
        answer: Terminal,
        aside: Terminal,
    ) -> None:
        self._runner = runner
        self._client = client
        self._options = options
        self._answer = answer
        self._aside = aside
        self._messages: list[MessageParam] = []
        self.reset()

    def reset(self) -> None:
        """Forget what was said."""
        system = self._options.system
        self._messages = [] if system is None else [{"role": "system", "content": system}]

    def converse(self) -> int:
        """Answer line after line, until the user leaves; returns the exit code."""
        if sys.stdout.isatty():  # where it is not, readline would write its set-up to it
            with contextlib.suppress(ImportError):
                importlib.import_module("readline")  # gives `input` its line editing
        self._aside.line(_WELCOME, "dim")
        while (line := _line_of_user()) is not None:
            if line == "/quit":
                return EXIT_OK
            if line == "/reset":
                self.reset()
                self._aside.line("[the conversation begins anew]", "dim")
            elif line:
                self.ask(line)
        self._aside.line()
        return EXIT_OK

    def ask(self, prompt: str) -> int:
        """Show the answer to *prompt*, and remember both; returns the exit code if this was all."""
        question: MessageParam = {"role": "user", "content": prompt}
        try:
            stream = self._client.chat.completions.stream(
                model=self._options.model,
                messages=[*self._messages, question],
                temperature=self._options.temperature,
                max_tokens=self._options.max_tokens,
            )
            try:
                self._show(stream)
            finally:
                self._remember(question, stream.snapshot)
        except KeyboardInterrupt:
            self._aside.line("[stopped]", "dim")
            return EXIT_INTERRUPTED
        except OpeAIError as exc:
            show_error(self._aside, exc, self._model_hint(exc))
            return EXIT_FAILED
        return EXIT_OK

    def _model_hint(self, error: OpeAIError) -> str | None:
        """Return which models the server has, if *error* can mean that it does not know this one."""
        if not is_about_model(error):
            return None
        return self._runner.run(model_hint(self._client, self._options.model))

    def _show(self, stream: ChatCompletionStream) -> None:
        writer = AnswerWriter(self._answer, self._aside if self._options.reasoning else None)
        try:
            self._runner.run(writer.show(stream))
        finally:
            writer.end()
        reasons = [choice.finish_reason for choice in stream.snapshot.choices]
        if reasons and reasons[0] not in _USUAL_FINISH:
            self._aside.line(f"[the answer ended with finish_reason {reasons[0]!r}]", "dim")

    def _remember(self, question: MessageParam, completion: ChatCompletion) -> None:
        """Keep the turn, whole or partial; a server would refuse an assistant's message that says nothing."""
        if completion.choices and completion.choices[0].message.content:
            self._messages += [question, completion.choices[0].message]


def _prompt(argument: str | None) -> str | None:
    """The question: from the command line, or from a standard input that is no keyboard; None for a conversation."""
    if argument not in (None, "-"):
        return argument
    stdin: TextIO = sys.stdin
    if argument is None and stdin.isatty():
        return None
    if isinstance(stdin, io.TextIOWrapper):
        stdin.reconfigure(encoding="utf-8", errors="replace")
    return stdin.read().removesuffix("\n")


def _line_of_user() -> str | None:
    """The next line that is typed, without the white space around it; None if the user leaves."""
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        return None
