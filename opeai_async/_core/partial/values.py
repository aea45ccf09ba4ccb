"""Build the value of a JSON text while it comes: objects and arrays that fill, and one string that grows.

Everything visible stays true of the whole text:

    part of the text   visible
    -----------------  -----------------------------------------------------------------------------------------
    object, array      when it opens; names and items are added
    string             when its first quote has come; it gets longer
    number, literal    when it has ended, since ``12`` may become ``123``
    repeated name      when its value is complete: until then it is kept aside, and then replaces the earlier one

The last row is the only change that is not growth; of a repeated name, the last value counts.

Containers are handed out themselves, not copies. The pieces of the open string are joined when it is read, and the text
joined before grows in place, so that a look after each piece costs only what is new. The path by which the open string
was last found is kept while the string is open. To parse the text again at each look was rejected: that is quadratic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from opeai_async._core.json import JSONObject, is_array, is_object

Path: TypeAlias = str | Sequence[str | int]
"""Path of a field: names and positions from the top, as ``("steps", 0, "title")`` or as ``"steps.0.title"``."""

Keys: TypeAlias = tuple[str | int, ...]

ABSENT: Any = object()
"""Result of a search that finds nothing; None is a value of JSON."""

# No array is longer; int() raises if there are thousands of digits.
_MAX_POSITION_DIGITS = 9


def keys_of(path: Path) -> Keys:
    """Return *path* as a tuple of its steps."""
    return tuple(path.split(".") if isinstance(path, str) else path)


class _Place(NamedTuple):
    """Place of an open container: the one it is in, its name there, and whether it is kept aside."""

    into: Any
    name: str
    is_aside: bool


class PartialValues:
    """The value so far, built in the order of the text.

    Attributes:
        name: Name of the next value if an object is open; the reader of the text sets it.
        changes: Number of times that something new became visible.
    """

    __slots__ = (
        "_asides",
        "_into",
        "_is_aside",
        "_is_growing",
        "_path",
        "_pieces",
        "_places",
        "_replaced",
        "_root",
        "changes",
        "name",
    )

    def __init__(self) -> None:
        self.name = ""
        self.changes: int = 0
        # Places at which a repeated name has replaced a value.
        self._replaced: set[Keys] = set()
        # The whole value, as the only item; and the innermost open container, at first that list.
        self._root: list[Any] = []
        self._into: Any = self._root
        # Places of the open containers, outermost first.
        self._places: list[_Place] = []
        # The open string: pieces that are not joined yet, whether there is one, and whether it is kept aside.
        self._pieces: list[str] = []
        self._is_growing = False
        self._is_aside = False
        # Number of open containers and strings that are kept aside: above 0, nothing new becomes visible.
        self._asides = 0
        # Path by which the open string was found last; None if it was not looked for.
        self._path: Path | None = None

    # --- building --------------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of containers that are open."""
        return len(self._places)

    @property
    def is_in_object(self) -> bool:
        """True if the innermost open container is an object."""
        return type(self._into) is dict

    def add(self, value: object) -> None:
        """Add a value that is complete."""
        into = self._into
        if is_array(into):
            into.append(value)
        else:
            if self.name in into:
                self._replaced.add((*self._keys(self.depth), self.name))
            into[self.name] = value
        if not self._asides:
            self.changes += 1

    def open(self, container: JSONObject | list[Any]) -> None:
        """Open an object or array: the next values are in it."""
        into, name = self._into, self.name
        self._places.append(_Place(into, name, self._begin(container)))
        self._into = container

    def close(self) -> None:
        """End the innermost container."""
        container, place = self._into, self._places.pop()
        self._into, self.name = place.into, place.name
        if place.is_aside:
            self._asides -= 1
            self.add(container)

    def begin_text(self) -> None:
        """Begin a string, whose text comes through ``grow``."""
        self._is_aside = self._begin("")
        self._is_growing = True

    def grow(self, piece: str) -> None:
        """Append *piece* to the open string."""
        self._pieces.append(piece)
        if not self._asides:
            self.changes += 1

    def end_text(self) -> None:
        """End the open string."""
        self._is_growing, self._path = False, None
        if self._is_aside:
            self._asides -= 1
            self.add("".join(self._pieces))
            self._pieces.clear()
        else:
            self._settle()

    def _begin(self, value: object) -> bool:
        """Make *value* visible; if it repeats a name, return True without doing so: it waits until it is complete."""
        into = self._into
        if is_array(into):
            into.append(value)
        elif self.name in into:
            self._asides += 1
            return True
        else:
            into[self.name] = value
        if not self._asides:
            self.changes += 1
        return False

    def _settle(self) -> None:
        """Join the new pieces of the open string to the text joined before."""
        if not self._pieces or self._is_aside:
            return
        into, key = self._into, _last_key(self._into, self.name)
        # CPython appends to a string in place if a local variable is the only reference to it.
        text: str = into[key]
        into[key] = ""
        text += "".join(self._pieces)
        into[key] = text
        self._pieces.clear()

    # --- looking ---------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The whole value so far; ABSENT before it begins."""
        self._settle()
        return self._root[0] if self._root else ABSENT

    def find(self, path: Path) -> Any:
        """Return the value at *path*; ABSENT if there is none yet."""
        # The open string, looked for again: no walk down the path.
        if path == self._path:
            self._settle()
            return self._into[_last_key(self._into, self.name)]
        keys, value = self._resolve(path)
        if self._is_growing and isinstance(path, (str, tuple)) and isinstance(value, str) and keys == self._open_keys():
            self._path = path
        return value

    def is_complete(self, path: Path) -> bool:
        """Tell whether there is a value at *path* that will not grow any more."""
        if path == self._path:
            return False
        keys, value = self._resolve(path)
        if value is ABSENT:
            return False
        is_open = bool(self._places) or self._is_growing
        return not is_open or keys != self._open_keys()[: len(keys)]

    def was_replaced(self, path: Path) -> bool:
        """Tell whether a value at *path*, or around it, was replaced by a later one of the same name."""
        if not self._replaced:
            return False
        keys = self._resolve(path)[0]
        return any(keys[:length] in self._replaced for length in range(1, len(keys) + 1))

    def _resolve(self, path: Path) -> tuple[Keys, Any]:
        """Return *path* as keys of the containers, as far as it leads; and the value there, or ABSENT."""
        keys: list[str | int] = []
        value = self.value
        for step in keys_of(path):
            key = _key_in(value, step)
            if key is None:
                return tuple(keys), ABSENT
            keys.append(key)
            value = value[key]
        return tuple(keys), value

    def _open_keys(self) -> Keys:
        """Return the keys of the innermost visible value that grows; all containers around it are open, too."""
        for number, place in enumerate(self._places):
            if place.is_aside:
                return self._keys(number)
        keys = self._keys(self.depth)
        is_inside = self._is_growing and not self._is_aside and bool(self._places)
        return (*keys, _last_key(self._into, self.name)) if is_inside else keys

    def _keys(self, depth: int) -> Keys:
        """Return the keys of the open container number *depth*, counted from one."""
        # The first place is in the list around the whole value, which is not a part of any path.
        return tuple(_last_key(place.into, place.name) for place in self._places[1:depth])


def _last_key(into: Any, name: str) -> str | int:
    """Return the key of the latest value in *into*."""
    return len(into) - 1 if is_array(into) else name


def _key_in(value: object, step: str | int) -> str | int | None:
    """Return the key that *step* of a path means in *value*; None if nothing is there."""
    if is_object(value):
        return step if step in value else None
    if is_array(value):
        if isinstance(step, str) and step.isascii() and step.isdigit() and len(step) <= _MAX_POSITION_DIGITS:
            step = int(step)
        return step if isinstance(step, int) and 0 <= step < len(value) else None
    return None
