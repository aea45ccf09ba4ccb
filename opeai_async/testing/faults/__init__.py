"""All faults by name: ways in which servers, proxies and networks break HTTP, played by the testing server.

Each module has the faults of one stage, and of each fault its bytes and the verdict on a right client; see ``fault``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from opeai_async.testing.faults.body import BODY
from opeai_async.testing.faults.connect import CONNECT
from opeai_async.testing.faults.content import CONTENT
from opeai_async.testing.faults.fault import Fault
from opeai_async.testing.faults.head import AFTER, HEAD
from opeai_async.testing.faults.status import STATUS

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for fault in (*CONNECT, *HEAD, *STATUS, *BODY, *CONTENT, *AFTER)}
)
"""Every fault by its name."""


def fault_named(name: str) -> Fault:
    """Return the fault of this name.

    Raises:
        ValueError: If there is none; the message has the name that comes nearest.
    """
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "see opeai_async.testing.FAULTS"
        raise ValueError(f"there is no fault named {name!r}; {hint}")
    return FAULTS[name]
