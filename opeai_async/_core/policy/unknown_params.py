"""A parameter that is not of the API: a vendor's, a slip, or one that is newer than this version.

==========================================  ==========================================================================
a vendor's (see ``opeai_async.vendors``)     sent
what another client calls something here    refused, with the name it has here
near a name that is known                   refused, with "did you mean"
any other                                   sent, with an `UnknownParameterWarning`, once per name and process
==========================================  ==========================================================================

Whoever asks for ``dialect="strict"`` wants to know of all of them: it refuses each.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from opeai_async._public import claim
from opeai_async.errors import RequestValidationError

# What a slip of the finger makes of a name is nearer than what somebody else calls something.
_NEAR = 0.75
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep

_warned: set[str] = set()


class UnknownParameterWarning(UserWarning):
    """A call has a parameter that this version does not know; it is sent. Warned of once per name and process."""


def check_unknown(names: Iterable[str], known: Iterable[str], *, strict: bool) -> None:
    """Refuse or warn of *names*, none of which is in *known*.

    Raises:
        RequestValidationError: Where one is not to be sent.
    """
    known = sorted(known)
    for name in names:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - of a dict that was unpacked
            raise RequestValidationError(f"{name!r} is no name of a parameter, expected text")
        vendors = _vendors_of(name)
        if not vendors:
            _refuse_slip(name, known)
        if strict:
            of_whom = f" but of {', '.join(vendors)}" if vendors else ""
            raise RequestValidationError(f'{name} is no field of the API{of_whom}, and dialect is "strict"', field=name)
        if not vendors:
            _warn(name)


def _vendors_of(name: str) -> tuple[str, ...]:
    from opeai_async.vendors import PARAMETERS  # which few processes need

    return PARAMETERS.get(name, ())


def _refuse_slip(name: str, known: list[str]) -> None:
    """Refuse *name* if it is one of another client, or near one that is known."""
    import difflib

    from opeai_async._names.former import PARAMETERS

    if hint := PARAMETERS.get(name):
        raise RequestValidationError(f"{name} is no field of the API: {hint}", field=name, hint=hint)
    plain = {_plain(other): other for other in known}
    if near := difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_NEAR):
        raise RequestValidationError(
            f"{name} is no field of the API; did you mean {plain[near[0]]!r}?",
            field=name,
            hint=f"write {plain[near[0]]}=; extra_body={{{name!r}: ...}} sends it unchecked",
        )


def _plain(name: str) -> str:
    """Return *name* as it is whether somebody writes topP, top_p or TOP_P."""
    return name.lower().replace("_", "")


def _warn(name: str) -> None:
    """Warn of *name*, where it has not been warned of."""
    if name in _warned:
        return
    warnings.warn(
        f"{name} is not known to this version of opeai_async, and sent as it is; extra_body={{{name!r}: ...}} sends it "
        "without this warning",
        UnknownParameterWarning,
        stacklevel=_frames_of_ours() + 1,
    )
    _warned.add(name)


def _frames_of_ours() -> int:
    """Return how many frames lie between `_warn` and the first that is not of this package, that one counted."""
    import inspect

    frame, count = inspect.currentframe(), -1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, count = frame.f_back, count + 1
    return count


claim(__name__)
