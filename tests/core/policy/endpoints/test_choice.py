"""Which endpoint a call goes to."""

import random
from collections import Counter

from opeai_async._core.policy.endpoints.choice import Candidate, choose


def candidate(index, *, tier=0, weight=1.0, in_flight=0, content_s=None):
    return Candidate(index, f"e{index}", tier, weight, in_flight, content_s)


def test_the_lowest_tier_is_asked_first():
    """However busy it is."""
    candidates = [candidate(0, tier=1), candidate(1, tier=0, in_flight=1000)]
    assert choose(candidates, key=None, random=random.Random(1).random) == 1


def test_the_load_follows_the_weights():
    """Three to one, within a few percent, where all are equally fast and nobody waits."""
    chance = random.Random(2)
    in_flight = [0, 0]
    counts = Counter()
    leaving = []
    for now in range(20000):
        while leaving and leaving[0][0] <= now:
            in_flight[leaving.pop(0)[1]] -= 1
        candidates = [candidate(i, weight=w, in_flight=in_flight[i], content_s=1.0) for i, w in enumerate((3.0, 1.0))]
        index = choose(candidates, key=None, random=chance.random)
        counts[index] += 1
        in_flight[index] += 1
        leaving.append((now + 40, index))
    assert 0.70 < counts[0] / counts.total() < 0.80


def test_the_slower_gets_less():
    """With ten endpoints, one of which takes ten times as long, that one gets little, and all others about the same."""
    chance = random.Random(3)
    counts = Counter(
        choose([candidate(i, content_s=10.0 if i == 0 else 1.0) for i in range(10)], key=None, random=chance.random)
        for _ in range(5000)
    )
    assert counts[0] == 0
    assert max(counts[i] for i in range(1, 10)) < 2 * min(counts[i] for i in range(1, 10))


def test_a_key_stays_where_it_is():
    """And when an endpoint goes, only its own keys move."""
    all_of_them = [candidate(i) for i in range(4)]
    keys = [f"user-{n}" for n in range(400)]

    def homes(candidates):
        return {key: choose(candidates, key=key, random=lambda: 0.5) for key in keys}

    before, after = homes(all_of_them), homes(all_of_them[:3])
    assert min(Counter(before.values()).values()) > 60
    assert {key for key in keys if before[key] != after[key]} == {key for key in keys if before[key] == 3}


def test_a_key_leaves_a_crowd():
    """Where its endpoint has far more than its share, it goes elsewhere."""
    key = next(k for k in map(str, range(100)) if choose([candidate(0), candidate(1)], key=k, random=lambda: 0.5) == 0)
    crowded = [candidate(0, in_flight=100, content_s=1.0), candidate(1, content_s=1.0)]
    assert choose(crowded, key=key, random=random.Random(4).random) == 1
