"""Which endpoint a call goes to.

1. Of those that may be used at all, the lowest tier.
2. Where the call has a key (``prompt_cache_key``, ``user``), the one that the key points at: prompt caches live on
   servers. By rendezvous hashing, so that an endpoint that goes and comes back moves only its own keys.
3. Else two are drawn by weight, and the one with less to do wins (*power of two choices*): the load is the calls in
   flight, the new one included, times the average time to the first content, per weight. A full scan for the least
   loaded was rejected: many clients who see the same numbers would all choose the same one.

See Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing* (2001).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

MAX_STICKY_LOAD = 1.25
"""A key is given to another where its endpoint has more than so many times its share of the calls in flight; see
Mirrokni, Thorup and Zadimoghaddam, *Consistent Hashing with Bounded Loads* (2018)."""
SLACK = 4
"""So many calls in flight are no reason to leave an endpoint."""


class Candidate(NamedTuple):
    """An endpoint that a call may go to.

    Attributes:
        place: Where it stands among the endpoints.
        label: What it is called; keys are hashed with it.
        content_s: The average time to its first content; None where that is not known.
    """

    place: int
    label: str
    tier: int
    weight: float
    in_flight: int
    content_s: float | None


def choose(candidates: Sequence[Candidate], *, key: str | None, random: Callable[[], float]) -> int:
    """Return the index of the endpoint for a call.

    Args:
        candidates: Those that may be used, at least one.
        key: What calls that belong together have in common; None for none.
        random: Returns a number from 0 to 1, below 1.
    """
    tier = min(candidate.tier for candidate in candidates)
    equals = [candidate for candidate in candidates if candidate.tier == tier]
    if len(equals) == 1:
        return equals[0].place
    if key is not None:
        home = max(equals, key=lambda candidate: _pull(candidate, key))
        total_weight = sum(candidate.weight for candidate in equals)
        share = (sum(candidate.in_flight for candidate in equals) + 1) * home.weight / total_weight
        if home.in_flight <= max(SLACK, MAX_STICKY_LOAD * share):
            return home.place
    first = _drawn(equals, random())
    others = [candidate for candidate in equals if candidate is not first]
    second = _drawn(others, random())
    usual_s = _usual(equals)
    return min(first, second, key=lambda candidate: _load(candidate, usual_s)).place


def _drawn(candidates: Sequence[Candidate], chance: float) -> Candidate:
    left = chance * sum(candidate.weight for candidate in candidates)
    for candidate in candidates:
        left -= candidate.weight
        if left < 0:
            return candidate
    return candidates[-1]


def _usual(candidates: Sequence[Candidate]) -> float:
    """The least time that is known: an endpoint of which none is known is tried soon."""
    return min((c.content_s for c in candidates if c.content_s is not None), default=1.0)


def _load(candidate: Candidate, usual_s: float) -> float:
    seconds = usual_s if candidate.content_s is None else candidate.content_s
    return (candidate.in_flight + 1) * max(seconds, 1e-6) / candidate.weight


def _pull(candidate: Candidate, key: str) -> float:
    """Rendezvous hashing with weights: each endpoint wins its share of the keys."""
    digest = hashlib.blake2b(f"{candidate.label}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    chance = (int.from_bytes(digest) + 0.5) / 2**64
    return -candidate.weight / math.log(chance)
