"""The guide to dialects names no quirk that the doctor does not know."""

import re
from pathlib import Path

from opeai_async._cli.doctor.quirks import explain

GUIDE = Path(__file__).parents[3] / "examples" / "guides" / "dialects.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_each_quirk_is_known() -> None:
    """A name in the table, or in brackets, is one that the doctor explains."""
    named = set(re.findall(r"\(`([a-z_]+)`\)", TEXT)) | set(
        re.findall(r"`([a-z]+(?:_[a-z]+)*_(?:so_far|repeated|empty|shared))`", TEXT)
    )
    assert len(named) > 10
    assert [name for name in named if explain(name).what == "not described"] == []
