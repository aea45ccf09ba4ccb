"""``python -m opeai_async doctor``: ask a server what it can do, and say what suits it."""

from opeai_async._cli.doctor.command import run

__all__ = ["run"]
