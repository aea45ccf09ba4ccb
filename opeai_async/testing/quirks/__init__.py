"""All quirks by name: oddities of real servers, spoken by the testing server on demand.

Each module has the quirks of one part of an answer; ``quirk`` says what a quirk is, ``changes`` has what they share.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from opeai_async.testing.quirks.bodies import BODIES, ERRORS
from opeai_async.testing.quirks.calls import CALLS
from opeai_async.testing.quirks.delta import DELTA
from opeai_async.testing.quirks.envelope import CHOICES, ENDS, ENVELOPE, USAGE
from opeai_async.testing.quirks.framing import FRAMING
from opeai_async.testing.quirks.quirk import Quirk
from opeai_async.testing.quirks.reported import REPORTED

QUIRKS: Mapping[str, Quirk] = MappingProxyType(
    {
        quirk.name: quirk
        for quirk in (*FRAMING, *ERRORS, *BODIES, *ENDS, *ENVELOPE, *USAGE, *CHOICES, *DELTA, *CALLS, *REPORTED)
    }
)  # fmt: skip
"""Every quirk by its name."""


def quirks_named(names: Iterable[str]) -> list[Quirk]:
    """Return the quirks with these names, in their order.

    Raises:
        ValueError: If there is no such quirk; the message has the name that comes nearest.
    """
    # A text is a list of letters, none of which is a quirk: say so, and not "there is no quirk named 'c'".
    if isinstance(names, str):
        raise ValueError(f"quirks is the text {names!r}, expected a list of names")
    wanted = list(names)
    for name in wanted:
        if name not in QUIRKS:
            near = difflib.get_close_matches(name, QUIRKS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "see opeai_async.testing.QUIRKS"
            raise ValueError(f"there is no quirk named {name!r}; {hint}")
    return [QUIRKS[name] for name in wanted]
