"""``serve``: the testing server on a port, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import shlex

from opeai_async._cli.terminal import EXIT_FAILED, EXIT_OK, Terminal, standard_streams
from opeai_async.testing.server.server import OpeAIServer


def run(options: argparse.Namespace) -> int:
    """Serve as *options* say; returns the exit code."""
    out, aside = standard_streams()
    server = OpeAIServer(
        host=options.host, port=options.port, api_key=options.api_key, token_delay_s=options.token_delay
    )
    try:
        asyncio.run(_serve(server, out))
    except KeyboardInterrupt:
        aside.line()
    except BrokenPipeError:
        raise
    except OSError as exc:
        aside.line(f"error: cannot listen on {options.host} port {options.port}: {exc.strerror or exc}")
        aside.line("hint: choose another --port, or 0 to let the system choose")
        return EXIT_FAILED
    return EXIT_OK


async def _serve(server: OpeAIServer, out: Terminal) -> None:
    async with server:
        _welcome(server, out)
        await server.serve_forever()


def _welcome(server: OpeAIServer, out: Terminal) -> None:
    # A client cannot call "all addresses", and may send a key over http to this machine only.
    reachable = server.base_url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    out.line(f"The testing server listens at {server.base_url} (Ctrl-C ends it)", "bold")
    out.line("Try it from another terminal:")
    out.line(f"  export OPEAI_API_KEY={shlex.quote(server.api_key)} OPEAI_BASE_URL={reachable}")
    out.line('  python -m opeai_async chat "Hello"')
