"""Translate annotations into those that msgspec reads.

msgspec reads ``Annotated[..., msgspec.Meta(...)]`` and silently ignores anything else in an ``Annotated``. The same can
be said with ``pydantic.Field``, ``annotated_types`` (``Ge``, ``MaxLen``, ...), ``Doc`` of PEP 727, or a text; each is
translated to a ``Meta``, also in the fields of Structs, dataclasses, TypedDicts, NamedTuples and attrs classes.

The classes themselves stay as they are. If a field needs translation, a *shadow* of its class is made: a Struct with
the same fields and translated types.

    annotation --survey--> nothing foreign         the annotation itself is used
                           foreign, translatable   shadows give the schema and check the bounds;
                                                   then the class itself decodes the value
                           only pydantic knows it  ``schema`` asks pydantic for schema and validation
                           unknown to both         refused by name

To ignore what has no translation was rejected: a bound that is not checked is worse than none.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, ForwardRef, Literal, NamedTuple, TypeAlias, TypeGuard, TypeVar, Union, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from opeai_async._core.json import is_object
from opeai_async.errors import RequestValidationError

# By class of annotated_types: the name of the bound in Meta, and the attribute that has its value.
_BOUNDS = {
    "Gt": ("gt", "gt"),
    "Ge": ("ge", "ge"),
    "Lt": ("lt", "lt"),
    "Le": ("le", "le"),
    "MultipleOf": ("multiple_of", "multiple_of"),
    "MinLen": ("min_length", "min_length"),
    "MaxLen": ("max_length", "max_length"),
}
# Arguments of Meta that describe and do not bound.
_WORDS = frozenset({"description", "title", "examples", "extra_json_schema"})
# Arguments of a pydantic Field that Meta has as well, or that make no difference here.
_FIELD_ATTRIBUTES = frozenset(
    {"default", "default_factory", "annotation", "description", "title", "examples", "json_schema_extra", "strict"}
)
_QUALIFIERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})


_Fielded: TypeAlias = inspect.StructType | inspect.DataclassType | inspect.TypedDictType | inspect.NamedTupleType


class Translation(NamedTuple):
    """An annotation that msgspec reads, and what the survey found in the original.

    Attributes:
        annotation: The translated annotation; the same object if there was nothing to translate.
        is_bounded: True if it checks more than the original when a value is decoded.
        has_pydantic: True if it contains a type of pydantic, at any depth.
        needs_pydantic: True if it contains validators that only pydantic can run.
        is_beyond_pydantic: True if it contains something that pydantic would ignore.
        has_fields: True if it contains a class with fields that is not a pydantic type.
    """

    annotation: Any
    is_bounded: bool
    has_pydantic: bool
    needs_pydantic: bool
    is_beyond_pydantic: bool
    has_fields: bool


def translated(annotation: Any) -> Translation:
    """Translate *annotation* and the fields of all classes in it.

    Raises:
        RequestValidationError: If an ``Annotated`` has an item that neither msgspec nor pydantic knows; names it.
    """
    found = _Survey()
    found.visit(annotation)
    made = _Translator(found).root(annotation) if found.is_foreign and not found.needs_pydantic else annotation
    return Translation(
        made,
        is_bounded=found.is_bounded,
        has_pydantic=found.has_pydantic,
        needs_pydantic=found.needs_pydantic,
        is_beyond_pydantic=found.is_beyond_pydantic,
        has_fields=bool(found.fields),
    )


def is_pydantic(annotation: Any) -> bool:
    """Tell whether *annotation* is a type of pydantic itself, under whatever name."""
    # Pydantic is never imported here: as long as the user has not done so, there are no types of it.
    if "pydantic" not in sys.modules:
        return False
    annotation = _unnamed(annotation)
    if typing.get_origin(annotation) is Annotated:
        return is_pydantic(typing.get_args(annotation)[0])
    origin = typing.get_origin(annotation) or annotation
    return not _is_struct(origin) and (
        hasattr(origin, "__pydantic_core_schema__") or hasattr(origin, "__get_pydantic_core_schema__")
    )


def is_field_info(value: object) -> bool:
    """Tell whether *value* is what ``pydantic.Field(...)`` returns."""
    return any(kind.__name__ == "FieldInfo" and _is_of(kind, "pydantic") for kind in type(value).__mro__)


def default_of(field_info: Any) -> Any:
    """Return the default of a ``pydantic.Field(...)``; ``msgspec.NODEFAULT`` if it has none."""
    if field_info.is_required():
        return msgspec.NODEFAULT
    return field_info.get_default(call_default_factory=True)


def words_of(annotation: Any) -> dict[str, Any]:
    """Return the description in an ``Annotated`` that pydantic ignores: a text, ``Doc`` or ``Meta``."""
    if typing.get_origin(annotation) is not Annotated:
        return {}
    words: dict[str, Any] = {}
    for item in typing.get_args(annotation)[1:]:
        said = item.description if isinstance(item, Meta) else _said(item).meta.get("description")
        words.update({"description": said} if said else {})
    return words


def _is_of(kind: type, package: str) -> bool:
    return kind.__module__.partition(".")[0] == package


def _unnamed(annotation: Any) -> Any:
    """Return the type behind a ``NewType`` or a ``type X = ...``."""
    while True:
        if (supertype := getattr(annotation, "__supertype__", None)) is not None:
            annotation = supertype
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


# --- what stands in Annotated ----------------------------------------------------------------------------------------


class _Said(NamedTuple):
    """One item of an ``Annotated`` as arguments for ``Meta``; *only_pydantic* if only pydantic understands it."""

    meta: dict[str, Any]
    only_pydantic: bool = False


def _said(item: object) -> _Said:
    # Classes of other packages are known by name and module, so that none of the packages has to be imported.
    kind = type(item)
    if isinstance(item, str):
        return _Said({"description": item})
    if is_field_info(item):
        return _said_by_field(item)
    if kind.__name__ == "Doc" and isinstance(text := getattr(item, "documentation", None), str):
        return _Said({"description": text})
    if _is_of(kind, "annotated_types") and kind.__name__ in _BOUNDS:
        name, attribute = _BOUNDS[kind.__name__]
        return _Said({} if (bound := getattr(item, attribute)) is None else {name: bound})
    if _is_of(kind, "annotated_types") and isinstance(item, Iterable):  # Interval, Len: several at once
        parts = cast("Iterable[object]", item)
        return _together([_said(part) for part in parts])
    if "pydantic" in sys.modules and (_is_of(kind, "pydantic") or _is_of(kind, "pydantic_core")):
        return _Said({}, only_pydantic=True)
    raise RequestValidationError(
        f"Annotated holds {_shown(item)}, expected what msgspec, annotated_types or pydantic know, or a text",
        field="annotation",
        hint="leave it out, or say it with msgspec.Meta(...)",
    )


def _shown(item: object) -> str:
    """Return the name of *item*, without its values, which may be anything."""
    if isinstance(item, type):
        return f"the class {item.__qualname__}"
    return f"a {type(item).__qualname__}"


def _said_by_field(field: Any) -> _Said:
    words = {name: value for name in ("description", "title", "examples") if (value := getattr(field, name))}
    extra: object = field.json_schema_extra
    if is_object(extra):
        words["extra_json_schema"] = extra
    given = set(getattr(field, "_attributes_set", ()))
    bounds = {name for name, _ in _BOUNDS.values()} | {"pattern", "min_items", "max_items"}
    parts = [_said_by_constraint(item) for item in field.metadata]
    if given - _FIELD_ATTRIBUTES - bounds or callable(extra):
        parts.append(_Said({}, only_pydantic=True))
    return _together([_Said(words), *parts])


def _said_by_constraint(item: Any) -> _Said:
    """Read one constraint of a ``Field``; pydantic has its own class for those that ``annotated_types`` lacks."""
    if type(item).__name__ == "_PydanticGeneralMetadata":
        said: dict[str, Any] = {**vars(item)}
        return _Said(said) if said.keys() <= {"pattern"} else _Said({}, only_pydantic=True)
    if type(item).__name__ == "Strict":  # decoding is always strict here
        return _Said({})
    return _said(item)


def _together(parts: list[_Said]) -> _Said:
    meta: dict[str, Any] = {}
    for part in parts:
        meta.update(part.meta)
    return _Said(meta, any(part.only_pydantic for part in parts))


# --- what there is to translate --------------------------------------------------------------------------------------


class _Survey:
    """Survey of an annotation and all its parts, made before anything is translated.

    Attributes:
        fields: For each class found, with its type arguments: the annotations of its fields by name.
        is_foreign: True if there is anything to translate.
        is_bounded: True if any of that is a bound.
        has_pydantic: True if a type of pydantic was found.
        needs_pydantic: True if something was found that only pydantic understands.
        is_beyond_pydantic: True if something was found that pydantic ignores or does not know.
    """

    def __init__(self) -> None:
        self.fields: dict[Any, dict[str, Any]] = {}
        self.is_foreign = self.is_bounded = False
        self.has_pydantic = self.needs_pydantic = self.is_beyond_pydantic = False
        # A list, since an annotation need not be hashable.
        self._seen: list[Any] = []

    def visit(self, annotation: Any) -> None:
        """Survey *annotation* and all its parts."""
        # Classes may contain themselves.
        if any(annotation is seen for seen in self._seen):
            return
        self._seen.append(annotation)
        plain = _unnamed(annotation)
        origin, parts = typing.get_origin(plain), typing.get_args(plain)
        if is_pydantic(plain) and origin is not Annotated:
            self.has_pydantic = True
        elif origin is Annotated:
            self._visit_annotated(*parts)
        elif origin is Literal:
            # msgspec sorts the values of a Literal; the schema shall have them in the order in which they were written.
            self.is_foreign |= not _is_in_order(plain)
        else:
            self._visit_fields(plain)
            for part in parts:
                self.visit(part)

    def _visit_annotated(self, base: Any, *items: object) -> None:
        self.visit(base)
        for item in items:
            if isinstance(item, Meta):
                self.is_beyond_pydantic = True
                continue
            said = _said(item)
            self.is_beyond_pydantic |= isinstance(item, str) or type(item).__name__ == "Doc"
            self.is_foreign = True
            self.is_bounded |= bool(said.meta.keys() - _WORDS)
            self.needs_pydantic |= said.only_pydantic
        if self.needs_pydantic or all(isinstance(item, Meta) for item in items):
            return
        bounds = _bounds_in(items)
        # msgspec cannot check such a bound on this type; pydantic, if it is there, may.
        if bounds and not _takers(base, bounds):
            if "pydantic" not in sys.modules:
                raise RequestValidationError(
                    f"Annotated holds a bound ({', '.join(bounds)}) which {base} cannot have",
                    field="annotation",
                    hint="leave it out, or check it in the function",
                )
            self.needs_pydantic = True

    def _visit_fields(self, plain: Any) -> None:
        origin = typing.get_origin(plain) or plain
        if not _has_fields(origin) or plain in self.fields:
            return
        self.fields[plain] = _annotations_of(plain)
        for hint in self.fields[plain].values():
            self.visit(hint)
        self.is_beyond_pydantic |= _is_struct(origin) or hasattr(origin, "__attrs_attrs__")
        if dataclasses.is_dataclass(origin):
            self.needs_pydantic |= any(is_field_info(field.default) for field in dataclasses.fields(origin))


def _bounds_in(items: Iterable[object]) -> dict[str, Any]:
    said = _together([_said(item) for item in items if not isinstance(item, Meta)]).meta
    return {name: value for name, value in said.items() if name not in _WORDS}


def _takers(base: Any, bounds: dict[str, Any]) -> list[Any]:
    """Return those members of the union *base*, or *base* itself, that can have *bounds*."""
    plain = _unnamed(base)
    is_union = typing.get_origin(plain) in (Union, types.UnionType)
    return [part for part in (typing.get_args(plain) if is_union else [base]) if _takes(part, bounds)]


def _takes(part: Any, bounds: dict[str, Any]) -> bool:
    try:
        inspect.type_info(Annotated[part, Meta(**bounds)])
    except (TypeError, ValueError):
        return False
    return True


def _is_in_order(literal: Any) -> bool:
    try:
        order: list[Any] = msgspec.json.schema(literal)["enum"]
        return order == list(typing.get_args(literal))
    except (TypeError, KeyError):  # a Literal of other values is refused when it is described
        return True


def _is_struct(kind: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _is_class(kind: object) -> TypeGuard[type]:
    return isinstance(kind, type)


def _has_fields(kind: object) -> bool:
    if not _is_class(kind):
        return False
    if any(hasattr(kind, name) for name in ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__")):
        return True
    return _is_named_tuple(kind) or (dict in kind.__mro__ and hasattr(kind, "__total__"))


def _is_named_tuple(kind: type) -> bool:
    return tuple in kind.__mro__ and hasattr(kind, "_fields")


def _annotations_of(plain: Any) -> dict[str, Any]:
    """Return the annotations of a class's fields, its type arguments filled in; none if they cannot be resolved."""
    origin = typing.get_origin(plain) or plain
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except (NameError, TypeError):  # msgspec reports it better when it describes the class
        return {}
    given = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(plain), strict=False))
    return {name: _filled(_unqualified(hint), given) for name, hint in hints.items()}


def _unqualified(hint: Any) -> Any:
    while getattr(typing.get_origin(hint), "_name", None) in _QUALIFIERS:
        hint = typing.get_args(hint)[0]
    return hint


def _filled(hint: Any, given: dict[Any, Any]) -> Any:
    """Replace type variables in *hint* by the types *given* for them."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    if given and (parameters := getattr(hint, "__parameters__", ())):
        return hint[tuple(given.get(parameter, parameter) for parameter in parameters)]
    return hint


# --- translating -----------------------------------------------------------------------------------------------------


class _Translator:
    """Maker of the shadows of all classes that were found, and of the annotation that refers to them.

    Classes may contain each other, so a shadow refers to others by name. msgspec looks such a name up in the class
    itself; so each shadow gets all shadows as attributes.
    """

    def __init__(self, found: _Survey) -> None:
        self._names = {plain: f"_shadow_{number}" for number, plain in enumerate(found.fields)}
        self._fields = found.fields
        self._shadows: dict[str, type[msgspec.Struct]] = {}

    def root(self, annotation: Any) -> Any:
        """Return *annotation* translated, with shadows in the places of classes."""
        self._shadows = {name: self._shadow(plain) for plain, name in self._names.items()}
        for shadow in self._shadows.values():
            for name, other in self._shadows.items():
                setattr(shadow, name, other)
        return self._of(annotation, is_root=True)

    def _of(self, annotation: Any, *, is_root: bool = False) -> Any:
        plain = _unnamed(annotation)
        if plain in self._names:
            name = self._names[plain]
            return self._shadows[name] if is_root else ForwardRef(name)
        origin, parts = typing.get_origin(plain), typing.get_args(plain)
        if origin is Annotated:
            return self._annotated(*parts, is_root=is_root)
        if origin is Literal:
            order = Meta(extra_json_schema={"enum": list(parts)})
            return plain if _is_in_order(plain) else Annotated[plain, order]
        if not parts or is_pydantic(plain):
            return plain
        made = tuple(self._of(part, is_root=is_root) if part is not ... else ... for part in parts)
        return _union(made) if origin in (Union, types.UnionType) else origin[made]

    def _annotated(self, base: Any, *items: object, is_root: bool) -> Any:
        bounds = _bounds_in(items)
        takers = _takers(base, bounds) if bounds else []
        made: Any
        # On a union, msgspec takes a bound only at the member that it is for.
        if takers and takers != [base]:
            parts = [
                Annotated[self._of(part, is_root=is_root), Meta(**bounds)]
                if any(part is taker for taker in takers)
                else self._of(part, is_root=is_root)
                for part in typing.get_args(_unnamed(base))
            ]
            made, bounds = _union(parts), {}
        else:
            made = self._of(base, is_root=is_root)
        own = [item for item in items if isinstance(item, Meta)]
        said = _together([_said(item) for item in items if not isinstance(item, Meta)]).meta
        words = {name: value for name, value in said.items() if name in _WORDS}
        for meta in (*own, *([Meta(**bounds, **words)] if bounds or words else [])):
            made = Annotated[made, meta]
        return made

    def _shadow(self, plain: Any) -> type[msgspec.Struct]:
        origin = typing.get_origin(plain) or plain
        hints, info = self._fields[plain], _type_info(plain)
        config: dict[str, Any] = {}
        if _is_struct(origin):
            own = origin.__struct_config__
            names = ("forbid_unknown_fields", "array_like", "tag", "tag_field")
            config = {name: getattr(own, name) for name in names}
        is_row: bool = _is_named_tuple(origin) or config.get("array_like", False)
        options: Any = {**config, "array_like": is_row}
        return msgspec.defstruct(
            "_".join([origin.__name__, *(getattr(part, "__name__", "T") for part in typing.get_args(plain))]),
            [self._field(field, hints.get(field.name, Any)) for field in info.fields],
            namespace={"__doc__": _docstring(origin)},
            module=origin.__module__,
            kw_only=not is_row,
            **options,
        )

    def _field(self, field: inspect.Field, hint: Any) -> tuple[str, Any, Any]:
        made = self._of(hint)
        if field.required:
            return field.name, made, msgspec.field(name=field.encode_name)
        if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
            # A key that may be missing, as in a TypedDict.
            return field.name, _union([made, UnsetType]), msgspec.field(name=field.encode_name, default=UNSET)
        default: Any = field.default
        if field.default is msgspec.NODEFAULT:
            return field.name, made, msgspec.field(name=field.encode_name, default_factory=field.default_factory)
        return field.name, made, msgspec.field(name=field.encode_name, default=default)


def _union(parts: Iterable[Any]) -> Any:
    return Union[tuple(parts)]  # noqa: UP007 - `|` does not take a ForwardRef


def _type_info(plain: Any) -> _Fielded:
    return cast("_Fielded", inspect.type_info(plain))


def _docstring(kind: type) -> str | None:
    """Return the docstring of *kind*; None if ``dataclass`` or ``NamedTuple`` generated it."""
    doc = kind.__doc__
    is_made_up = doc is not None and doc.startswith(f"{kind.__name__}(") and doc.endswith(")")
    return None if is_made_up else doc
