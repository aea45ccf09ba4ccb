"""The limits of a run of tools.

They stand apart from the options of single calls (``_tools/result.py``), because ``Rounds`` needs only these.
"""

from __future__ import annotations

from dataclasses import dataclass

from opeai_async._core.policy.checks import checked_flag, checked_number
from opeai_async.errors import ConfigurationError
from opeai_async.types.run_options import BeforeRound


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """The limits of a run, each explained in ``RunOptionParams``."""

    max_rounds: int = 10
    parallel: int = 8
    eager: bool = False
    max_calls: int | None = None
    max_total_tokens: int | None = None
    deadline_s: float | None = None
    before_round: BeforeRound | None = None

    def check(self) -> None:
        """Check that each limit has a value that can be used.

        Raises:
            ConfigurationError: If one has not; the message names it, and what was expected.
        """
        for name in ("max_rounds", "parallel", "max_calls", "max_total_tokens"):
            value = getattr(self, name)
            if value is None and name.startswith("max_") and name != "max_rounds":
                continue
            # True is an int of 1, and would be taken for a limit.
            if isinstance(value, bool) or not (isinstance(value, int) and value >= 1):
                raise ConfigurationError(f"{name} is {value!r}, expected a whole number of at least 1")
        checked_number("deadline_s", self.deadline_s, unit="seconds", or_none=True)
        checked_flag("eager", self.eager)
        if self.before_round is not None and not callable(self.before_round):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(f"before_round is {self.before_round!r}, expected a function or None")
