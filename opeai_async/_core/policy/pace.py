"""How many requests and tokens a minute: a bucket that fills steadily, and may be corrected afterwards.

In any 60 seconds, a bucket lets through no more than its limit, its first fill included: it holds a twentieth of the
limit (three seconds' worth), and is filled with the rest in each minute. A full minute's worth at the start, as servers
often allow it, would be twice the limit within the first 60 seconds.

What a request will cost in tokens is not known before it is answered. So an estimate is taken first, and the difference
is taken or given back when the usage is known; a bucket may be in debt then, and nobody goes until that is paid.
"""

from __future__ import annotations

from opeai_async.errors import ConfigurationError

BURST_SHARE = 0.05
BYTES_PER_TOKEN = 4.0
"""Of English text; what the usage says then corrects it."""
FIRST_ANSWER_TOKENS = 256.0
MEMORY = 0.05
"""How much one answer changes what is expected of the next."""


class Pace:
    """Lets *per_minute* units go in each minute.

    Args:
        per_minute: The limit, above 0.
        now: The time, in seconds on any clock.

    Raises:
        ConfigurationError: If the limit is not above 0.
    """

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, per_minute: float, now: float) -> None:
        if not per_minute > 0:
            raise ConfigurationError(f"a limit per minute is {per_minute!r}, expected a number above 0")
        self.burst = max(1.0, per_minute * BURST_SHARE)
        self.rate = max(per_minute - self.burst, per_minute / 2) / 60
        self._level = self.burst
        self._at = now

    def due_in_s(self, now: float) -> float:
        """Return in how many seconds the next may go; 0 if now."""
        self._fill(now)
        # One that costs more than the bucket holds goes when that is full, and leaves a debt.
        return 0.0 if self._level >= 1e-9 else -self._level / self.rate + 1e-6

    def take(self, now: float, amount: float) -> None:
        """Take *amount* when one goes; there may be a debt after it."""
        self._fill(now)
        self._level -= amount

    def correct(self, now: float, amount: float) -> None:
        """Give back what was estimated too high, or take what was too low (*amount* below 0)."""
        self._fill(now)
        self._level = min(self.burst, self._level + amount)

    def _fill(self, now: float) -> None:
        self._level = min(self.burst, self._level + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)


class TokenEstimate:
    """Guesses how many tokens a request will use, and learns from those that are known.

    Attributes:
        bytes_per_token: Of the requests so far.
        answer: Tokens of an answer.
    """

    __slots__ = ("answer", "bytes_per_token")

    def __init__(self) -> None:
        self.bytes_per_token = BYTES_PER_TOKEN
        self.answer = FIRST_ANSWER_TOKENS

    def of(self, size: int) -> float:
        """Return the tokens of a request of *size* bytes, and of its answer."""
        return size / self.bytes_per_token + self.answer

    def learn(self, size: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Take note of what a request of *size* bytes has used."""
        if prompt_tokens > 0 and size > 0:
            self.bytes_per_token += MEMORY * (size / prompt_tokens - self.bytes_per_token)
        self.answer += MEMORY * (completion_tokens - self.answer)
