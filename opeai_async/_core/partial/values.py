"""The values of a JSON text as far as they have come: objects and arrays that fill, and one string that grows.

What can be seen is always true of the whole text too. An object or array is there as soon as it opens, and a string as
soon as its first quote has come; a number or literal is there when it has ended, since ``12`` may become ``123``. So
what was seen stays: names and items are added, the one open string gets longer, and nothing else changes.

One thing could be taken back: where an object repeats a name, the last value counts. Such a value is kept aside until
it is complete, and then takes the place of the earlier one at once, which is the one step that is not growth.

The containers are handed out themselves, not copies. The pieces of the open string are joined when somebody looks; the
text joined before is grown in place, so that a look after each piece costs what is new. Where one looks for the open
string by its path, that is remembered as long as the string is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from opeai_async._core.json import JSONObject, is_array, is_object

Path: TypeAlias = str | Sequence[str | int]
"""Where a field is: names and positions from the top, as ``("steps", 0, "title")`` or as ``"steps.0.title"``."""

Keys: TypeAlias = tuple[str | int, ...]

ABSENT: Any = object()
"""What is found where nothing is."""

_MAX_POSITION_DIGITS = 9


def keys_of(path: Path) -> Keys:
    """The steps of *path*."""
    return tuple(path.split(".") if isinstance(path, str) else path)


class _Place(NamedTuple):
    """Where an open container belongs."""

    into: Any
    name: str
    is_aside: bool


class PartialValues:
    """What has come, built in the order of the text.

    Attributes:
        name: The name of the next value, where an object is open; set by whoever builds.
        changes: How often something new could be seen.
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
        self._replaced: set[Keys] = set()
        self._root: list[Any] = []
        self._into: Any = self._root
        self._places: list[_Place] = []
        self._pieces: list[str] = []
        self._is_growing = False
        self._is_aside = False  # the string that grows
        self._asides = 0  # how many of what is open are kept aside
        self._path: Path | None = None  # of the string that grows, if somebody looked for it

    # --- building --------------------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """How many containers are open."""
        return len(self._places)

    @property
    def is_in_object(self) -> bool:
        """Whether the innermost open container is an object."""
        return type(self._into) is dict

    def add(self, value: object) -> None:
        """Take a value that is complete."""
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
        """Take an object or array that has begun: what comes next is in it."""
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
        """Take a string that has begun, to be grown."""
        self._is_aside = self._begin("")
        self._is_growing = True

    def grow(self, piece: str) -> None:
        """What has come of the string that has begun."""
        self._pieces.append(piece)
        if not self._asides:
            self.changes += 1

    def end_text(self) -> None:
        """The string that has begun is complete."""
        self._is_growing, self._path = False, None
        if self._is_aside:
            self._asides -= 1
            self.add("".join(self._pieces))
            self._pieces.clear()
        else:
            self._settle()

    def _begin(self, value: object) -> bool:
        """Show *value*, if it takes no other's place; True if it does, and is to be kept aside until it is complete."""
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
        """Join what has come of the open string to what was joined before."""
        if not self._pieces or self._is_aside:
            return
        into, key = self._into, _last_key(self._into, self.name)
        # CPython grows a text in place where a local variable is the only reference to it.
        text: str = into[key]
        into[key] = ""
        text += "".join(self._pieces)
        into[key] = text
        self._pieces.clear()

    # --- looking ---------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value at the top, ABSENT before it begins."""
        self._settle()
        return self._root[0] if self._root else ABSENT

    def find(self, path: Path) -> Any:
        """What is at *path*, ABSENT if nothing is there yet."""
        if path == self._path:
            self._settle()
            return self._into[_last_key(self._into, self.name)]
        keys, value = self._resolve(path)
        if self._is_growing and isinstance(path, (str, tuple)) and isinstance(value, str) and keys == self._open_keys():
            self._path = path
        return value

    def is_complete(self, path: Path) -> bool:
        """Whether there is something at *path* that will not grow."""
        if path == self._path:
            return False
        keys, value = self._resolve(path)
        if value is ABSENT:
            return False
        is_open = bool(self._places) or self._is_growing
        return not is_open or keys != self._open_keys()[: len(keys)]

    def was_replaced(self, path: Path) -> bool:
        """Whether something at *path* made way for a later value of the same name."""
        if not self._replaced:
            return False
        keys = self._resolve(path)[0]
        return any(keys[:length] in self._replaced for length in range(1, len(keys) + 1))

    def _resolve(self, path: Path) -> tuple[Keys, Any]:
        """*path* as the values have it, and what is there."""
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
        """Where the innermost of what grows in sight is; all around it is open too."""
        for number, place in enumerate(self._places):
            if place.is_aside:
                return self._keys(number)
        keys = self._keys(self.depth)
        is_inside = self._is_growing and not self._is_aside and bool(self._places)
        return (*keys, _last_key(self._into, self.name)) if is_inside else keys

    def _keys(self, depth: int) -> Keys:
        """Where the container is that opened as number *depth*, counted from one."""
        return tuple(_last_key(place.into, place.name) for place in self._places[1:depth])


def _last_key(into: Any, name: str) -> str | int:
    """Where in *into* the latest value is."""
    return len(into) - 1 if is_array(into) else name


def _key_in(value: object, step: str | int) -> str | int | None:
    """What *step* of a path means in *value*; None if nothing is there."""
    if is_object(value):
        return step if step in value else None
    if is_array(value):
        if isinstance(step, str) and step.isascii() and step.isdigit() and len(step) <= _MAX_POSITION_DIGITS:
            step = int(step)
        return step if isinstance(step, int) and 0 <= step < len(value) else None
    return None
