"""A short run of the fuzz: seeds, and seeds that were cut, repeated, mixed and flipped."""

import random

import pytest

from tests.fuzzing.target import check, corpus

SEEDS = corpus()


def mutated(rng: random.Random) -> bytes:
    """Some seed with a few changes, as a fuzzer makes them."""
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        end = min(end, at + 40)
        change = rng.randrange(4)
        if change == 0:
            del data[at:end]
        elif change == 1:
            data[at:at] = data[at:end]
        elif change == 2:
            other = rng.choice(SEEDS)
            begin = rng.randrange(len(other))
            data[at:end] = other[begin : begin + 40]
        elif at < len(data):
            data[at] = rng.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_answers_are_accepted_or_refused(seed: int) -> None:
    """No input makes anything but chunks, completions and documented errors."""
    rng = random.Random(seed)
    for _ in range(100):
        check(mutated(rng))


def test_seeds_are_accepted_or_refused() -> None:
    assert len(SEEDS) > 300
    for seed in SEEDS:
        check(seed)
