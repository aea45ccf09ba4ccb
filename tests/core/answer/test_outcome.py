"""How a stream ended: the whole table."""

import itertools

import pytest

from opeai_async._core.answer.outcome import End, Outcome, outcome_of


@pytest.mark.parametrize(
    ("end", "labelled", "unlabelled"),
    [
        (End.DONE, Outcome.COMPLETE, Outcome.UNLABELLED),
        (End.EOF, Outcome.COMPLETE, Outcome.TRUNCATED),
        (End.BROKEN, Outcome.COMPLETE, Outcome.FAILED),
        (End.ERROR, Outcome.FAILED, Outcome.FAILED),
        (End.CLOSED, Outcome.COMPLETE, Outcome.CANCELLED),
    ],
)
def test_what_an_end_means(end, labelled, unlabelled):
    """`[DONE]` or a finish_reason proves the answer whole; nothing else does."""
    assert outcome_of(end, labelled=True) is labelled
    assert outcome_of(end, labelled=False) is unlabelled


def test_the_grace_begins_with_the_last_finish_reason():
    """So a stream that ends by it is labelled, and complete."""
    assert outcome_of(End.GRACE, labelled=True) is Outcome.COMPLETE


def test_no_end_leaves_a_stream_open():
    """The table is whole, but for the grace without a finish_reason, which cannot be."""
    cases = set(itertools.product(End, [True, False])) - {(End.GRACE, False)}
    assert {outcome_of(end, labelled=labelled) for end, labelled in cases} == set(Outcome) - {Outcome.OPEN}


def test_an_outcome_is_its_word():
    """It goes into logs and comparisons as a plain string."""
    assert f"{Outcome.COMPLETE}" == "complete"
    assert Outcome("truncated") is Outcome.TRUNCATED
    assert all(outcome == outcome.name.lower() for outcome in Outcome)
