"""The arguments, and how a command ends."""

import subprocess
import sys

import pytest

from opeai_async import __version__
from opeai_async.__main__ import main
from opeai_async._cli import serve


def exit_code(*arguments: str) -> int:
    """The code that argparse leaves with."""
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert isinstance(info.value.code, int)
    return info.value.code


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"opeai_async {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--help",), ("demo", "chat", "serve", "OPEAI_API_KEY")),
        (("demo", "--help"), ("--json",)),
        (("chat", "--help"), ("--base-url", "--no-reasoning", "deepseek-v4-flash")),
        (("serve", "--help"), ("--token-delay", "127.0.0.1")),
    ],
)
def test_help(arguments: tuple[str, ...], told: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command tells what it takes."""
    assert exit_code(*arguments) == 0
    out = capsys.readouterr().out
    assert [word for word in told if word not in out] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "required: COMMAND"),
        (("sing",), "invalid choice"),
        (("chat", "--temperature", "2.5", "hi"), "2.5 is not from 0 to 2"),
        (("chat", "--temperature", "nan", "hi"), "nan is not from 0 to 2"),
        (("chat", "--max-tokens", "0", "hi"), "0 is not from 1 to inf"),
        (("chat", "--max-tokens", "few", "hi"), "invalid int value: 'few'"),
        (("serve", "--port", "65536"), "65536 is not from 0 to 65535"),
        (("serve", "--token-delay", "-1"), "-1 is not from 0 to 3600"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what is wrong with which value on standard error."""
    assert exit_code(*arguments) == 2
    assert complaint in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    """`--help` loads argparse and no more of the package than it needs to answer."""
    code = (
        "import sys, opeai_async.__main__ as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"aiohttp", "anyio", "asyncio", "msgspec", "rich"}.isdisjoint(done.stderr.split())


def test_ctrl_c_outside_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever Ctrl-C comes, there is no traceback and the exit code says so."""

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(serve, "run", interrupted)
    assert main(["serve"]) == 130
