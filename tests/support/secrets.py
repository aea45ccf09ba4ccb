"""Where a key might hide: all that a person or a tool can see of an error."""

import traceback


def chain_of(error: BaseException) -> list[BaseException]:
    """*error* with its causes, contexts, and the members of groups."""
    seen: dict[int, BaseException] = {}
    queue: list[BaseException | None] = [error]
    while queue:
        exc = queue.pop()
        if exc is None or id(exc) in seen:
            continue
        seen[id(exc)] = exc
        queue += [exc.__cause__, exc.__context__, *getattr(exc, "exceptions", ())]
    return list(seen.values())


def everything_of(error: BaseException) -> str:
    """Text, attributes, notes, causes, and the frames with their locals."""
    shown = []
    for exc in chain_of(error):
        shown += [str(exc), repr(exc), repr(exc.args), repr(vars(exc)), str(getattr(exc, "__notes__", ""))]
        shown += traceback.TracebackException.from_exception(exc, capture_locals=True).format()
    return "\n".join(shown)
