"""The command line: ``python -m opeai_async demo | chat | bulk | serve | doctor``.

Only the arguments are read here. A command's module is imported when it is called, so that ``--help`` is instant.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from opeai_async._version import __version__

DEFAULT_MODEL = "deepseek-v4-flash"

_ENVIRONMENT = "environment: OPEAI_API_KEY, OPEAI_BASE_URL, and NO_COLOR for plain text"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    That is 0 for success, 1 for an error, 2 for a wrong command line (as SystemExit), 3 if a bound ended a bulk run,
    130 after Ctrl-C, and 141 if the reader of the output has gone.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = importlib.import_module(f"opeai_async._cli.{options.command}").run
    from opeai_async._cli.terminal import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, forget_stdout

    try:
        return command(options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        forget_stdout()
        return EXIT_BROKEN_PIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m opeai_async",
        description="Async-first streaming client for OPE.AI's chat completions. Begin with: demo",
        epilog=_ENVIRONMENT,
    )
    parser.add_argument("--version", action="version", version=f"opeai_async {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _demo(commands.add_parser("demo", help="see it work in a few seconds, without a key"))
    _chat(commands.add_parser("chat", help="ask the service, or talk with it", epilog=_ENVIRONMENT))
    _bulk(commands.add_parser("bulk", help="run the requests of a file", epilog=_ENVIRONMENT))
    _serve(commands.add_parser("serve", help="run the testing server"))
    _doctor(commands.add_parser("doctor", help="examine an endpoint's dialect", epilog=_ENVIRONMENT))
    return parser


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "See it work in a few seconds, without a key: an awaited completion, a stream, a tool call and a retry, over "
        "real sockets from a testing server that is started for it."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with the measurements, nothing else")


def _chat(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Stream the answer to a prompt; without one, hold a conversation. The answer goes to standard output; "
        "reasoning, notes and errors go to standard error."
    )
    add = parser.add_argument
    add("prompt", nargs="?", type=_text, help='the question; "-", or none and a pipe, reads it from standard input')
    _way(parser, "another server of the same API, such as http://127.0.0.1:8000/v1")
    add("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    add("--system", metavar="TEXT", type=_text, help="instructions that stand above the conversation")
    add("--temperature", metavar="T", type=_number(float, 0, 2), help="0 to 2")
    add("--max-tokens", metavar="N", type=_number(int, 1), help="length of the answer at most")
    add("--reasoning", action=argparse.BooleanOptionalAction, default=True, help="whether to show the reasoning")


def _bulk(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the requests of a file, as many at once as the server takes, and write their answers as lines of the "
        "Batch format. What is finished is in OUTPUT.journal: with --resume nothing is sent twice, whatever ended the "
        "run before. Exit codes: 0 all done, 1 some failed, 2 a wrong command line or, with --strict, a bad line, 3 a "
        "bound was hit, 130 Ctrl-C."
    )
    add = parser.add_argument
    add("input", help='lines of the Batch format, {"messages": ...} lines, or a table (.csv, .tsv); "-" for stdin')
    add("output", help='where the answers go; "-" for stdout')
    _way(parser, "the server, such as http://127.0.0.1:8000/v1")
    add("--model", help="for all requests, whatever their lines say")
    add("--prompt", metavar="TEXT", type=_text, help='a prompt with fields of the line, such as "Translate: {text}"')
    add("--system", metavar="TEXT", type=_text, help="instructions above each --prompt")
    add("--set", metavar="NAME=VALUE", action="append", type=_text, help="a parameter of all requests, such as seed=1")
    add("--input-format", choices=("jsonl", "csv", "tsv"), help="default: by the name of the file")
    add("--concurrency", metavar="N", type=_concurrency, default="auto", help="requests at once; default: auto")
    add("--rpm", metavar="N", type=_number(float, 0.001), help="requests a minute at most")
    add("--tpm", metavar="N", type=_number(float, 0.001), help="tokens a minute at most")
    add("--max-total-tokens", metavar="N", type=_number(int, 1), help="begin nothing that might use more")
    add("--price", metavar="IN,OUT[,CACHED]", type=_prices, help="of a million tokens; shows the cost")
    add("--max-cost", metavar="X", type=_number(float, 0.000001), help="begin nothing more when so much is spent")
    add("--deadline", metavar="SECONDS", type=_number(float, 0.001), help="begin nothing more after that")
    add("--drain", metavar="SECONDS", type=_number(float, 0), help="how long what is open may go on then")
    add("--timeout", metavar="SECONDS", type=_number(float, 0.001), help="for one request with its retries")
    add(
        "--max-retries", metavar="N", type=_number(int, 0, 100), default=8, help="for one request; default: %(default)s"
    )
    add("--journal", metavar="FILE", help="default: OUTPUT.journal; none where OUTPUT is stdout")
    add("--resume", action="store_true", help="go on with the journal of an earlier run")
    add("--ordered", action="store_true", help="write answers in the order of the requests")
    add("--cache", action="store_true", help="let requests that are equal wait for the one in flight")
    add("--strict", action="store_true", help="end at the first line that cannot be used")
    add("--dry-run", action="store_true", help="read and check every line, and send nothing")
    add("--quiet", action="store_true", help="show neither progress nor the table at the end")


def _way(parser: argparse.ArgumentParser, base_url: str) -> None:
    """Add the flags for the way to a server, of which *base_url* says what it is here."""
    add = parser.add_argument
    add("--base-url", metavar="URL", help=base_url)
    add("--allow-insecure-http", action="store_true", help="send the key over http to another machine")
    add("--proxy", metavar="URL", help='an HTTP proxy; "env" for what HTTPS_PROXY and the like say')


def _concurrency(argument: str) -> int | str:
    """Convert a number of requests, or "auto"."""
    return argument if argument == "auto" else int(_number(int, 1, 65536)(argument))


_concurrency.__name__ = "number"


def _prices(argument: str) -> tuple[float, ...]:
    """Convert two or three prices."""
    prices = tuple(_number(float, 0)(part) for part in argument.split(","))
    if len(prices) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{argument} is not IN,OUT or IN,OUT,CACHED")
    return prices


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.description = "Run the testing server, which speaks the API and repeats what it hears, until Ctrl-C."
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    add("--port", type=_number(int, 0, 65535), default=8000, help="0 lets the system choose; default: %(default)s")
    add(
        "--token-delay",
        metavar="SECONDS",
        type=_number(float, 0, 3600),
        default=0.02,
        help="time between two chunks of a stream; default: %(default)s",
    )
    add("--api-key", metavar="KEY", help="the one key that is accepted; default: any")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Ask an endpoint a dozen short questions, and tell what it supports, which quirks its dialect has, and what to "
        "set for it. This costs some hundred tokens. The exit code is 0 if plain and streamed answers work."
    )
    add = parser.add_argument
    _way(parser, "the endpoint, such as http://127.0.0.1:8000/v1")
    add("--model", required=True, help="a model that it serves")
    add("--api-key", metavar="KEY", help="the key, which other users of this machine may see here; else OPEAI_API_KEY")
    add(
        "--timeout",
        metavar="SECONDS",
        type=_number(float, 0.001, 86400),
        default=60,
        help="for each question; default: %(default)s",
    )
    add("--json", action="store_true", help="print one JSON object, nothing else")


def _text(argument: str) -> str:
    """*argument* as text that can be sent, whatever bytes the shell gave."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _number(kind: Callable[[str], float], low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A converter for argparse: a number of that *kind*, from *low* to *high*."""

    def convert(argument: str) -> float:
        value = kind(argument)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{argument} is not from {low:g} to {high:g}")
        return value

    convert.__name__ = kind.__name__  # argparse says "invalid int value"
    return convert


if __name__ == "__main__":
    sys.exit(main())
