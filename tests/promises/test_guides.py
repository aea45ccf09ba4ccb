"""The guides are true: their snippets run, as those of the README do."""

from pathlib import Path

import pytest

from tests.support.snippets import run_all, snippets

GUIDES = sorted((Path(__file__).parents[2] / "examples" / "guides").glob("*.md"))


def test_there_are_guides() -> None:
    """The test below has something to run."""
    assert GUIDES
    assert all(snippets(guide) for guide in GUIDES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
async def test_snippets_run(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block runs as it stands against the embedded server; names of one are there in the next."""
    await run_all(guide, monkeypatch)
