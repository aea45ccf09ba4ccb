"""Decide about a parameter that is not of the API: a vendor's, a slip, or one that is newer than this version.

==========================================  ==========================================================================
a vendor's (see ``opeai_async.vendors``)    sent
a name from another client                  refused, with the name that it has here
near a known name                           refused, with "did you mean"
any other                                   sent, with an `UnknownParameterWarning`, once per name and process
==========================================  ==========================================================================

With ``dialect="strict"``, all of them are refused.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable

from opeai_async._public import claim
from opeai_async.errors import RequestValidationError

# A typing error stays nearer to the name than this; names of other clients are farther away.
_NEAR = 0.75
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep

_warned: set[str] = set()


class UnknownParameterWarning(UserWarning):
    """Warning of a parameter that this version does not know, and that is sent; once per name and process."""


def check_unknown(names: Iterable[str], known: Iterable[str], *, strict: bool) -> None:
    """Check *names* of parameters, none of which is in *known*: let them pass, warn, or refuse.

    Raises:
        RequestValidationError: If one of them must not be sent.
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
    # Imported here, since few processes need it.
    from opeai_async.vendors import PARAMETERS

    return PARAMETERS.get(name, ())


def _refuse_slip(name: str, known: list[str]) -> None:
    """Refuse *name* if another client has it, or if it is near a known name."""
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
    """Return *name* in a form that is the same for topP, top_p and TOP_P."""
    return name.lower().replace("_", "")


def _warn(name: str) -> None:
    """Warn of *name*, once."""
    if name in _warned:
        return
    warnings.warn(
        f"{name} is not known to this version of opeai_async, and sent as it is; extra_body={{{name!r}: ...}} sends it "
        "without this warning",
        UnknownParameterWarning,
        stacklevel=_frames_of_ours() + 1,
    )
    # After the warning: if filters turn it into an error, the next call raises again.
    _warned.add(name)


def _frames_of_ours() -> int:
    """Return the number of frames from ``_warn``, not counted, to the first outside this package, counted."""
    import inspect

    frame, count = inspect.currentframe(), -1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, count = frame.f_back, count + 1
    return count


claim(__name__)
