"""The benchmark of masked faults tells what a user gets."""

import pytest

from benchmarks.crowds.masked import PLACES, by_endpoints, by_endpoints_anew, print_table, trial


@pytest.mark.parametrize("after", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("reader", [by_endpoints, by_endpoints_anew])
async def test_a_fault_is_masked(after, reader):
    """By both ways to go on."""
    assert await trial("fin_in_chunk", after, reader) == "masked"


@pytest.mark.parametrize(("pieces", "verdict"), [(["one two"], "wrong"), ([ValueError()], "ValueError")])
async def test_what_is_not_masked_is_said(pieces, verdict):
    """An error by its name, and another text than the right one."""

    async def reader(first, second):
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    assert await trial("fin_in_chunk", 4, reader) == verdict


def test_the_table(capsys):
    """How many were masked, and what came of the rest."""
    print_table({"before content": {"mine": {"a": "masked", "b": "hangs", "c": "hangs"}}})
    assert capsys.readouterr().out.split() == ["before", "content", "mine", "1", "of", "3", "masked", "2", "hangs"]
