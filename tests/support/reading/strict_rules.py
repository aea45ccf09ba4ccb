"""The rules of strict mode as they are published, held against a schema without knowing how it was made.

See https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

import re
from collections.abc import Iterator

EVERYWHERE = {"description", "title"}
NUMBER = {"multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"}
KEYWORDS = {
    "string": {"pattern", "format"},
    "number": NUMBER,
    "integer": NUMBER,
    "boolean": set(),
    "null": set(),
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
}
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
MAX_PROPERTIES, MAX_DEPTH, MAX_ENUM_VALUES, MAX_CHARACTERS = 5000, 10, 1000, 120_000


def violations(schema: dict) -> list[str]:
    """What *schema* does that strict mode does not allow."""
    defs = schema.get("$defs", {})
    root = {name: value for name, value in schema.items() if name != "$defs"}
    found = [] if root.get("type") == "object" else ["$: the root is no object"]
    found += _of_schema(root, defs, "$")
    for name, part in defs.items():
        found += _of_schema(part, defs, f"$defs.{name}")
    found += _of_size([root, *defs.values()], defs)
    if (depth := _depth(root, defs, frozenset())) > MAX_DEPTH:
        found.append(f"$: objects {depth} levels deep")
    return found


def _of_schema(schema: object, defs: dict, path: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{path}: {schema!r} is no schema"
    elif "$ref" in schema:
        if set(schema) != {"$ref"}:
            yield f"{path}: other keywords beside $ref"
        if schema["$ref"].removeprefix("#/$defs/") not in defs:
            yield f"{path}: {schema['$ref']} leads nowhere"
    elif "anyOf" in schema:
        if unknown := set(schema) - EVERYWHERE - {"anyOf"}:
            yield f"{path}: {sorted(unknown)} beside anyOf"
        for number, option in enumerate(schema["anyOf"]):
            yield from _of_schema(option, defs, f"{path}.anyOf[{number}]")
    elif schema.get("type") not in KEYWORDS:
        yield f"{path}: of the type {schema.get('type')!r}"
    else:
        yield from _of_type(schema, defs, path)


def _of_type(schema: dict, defs: dict, path: str) -> Iterator[str]:
    allowed = KEYWORDS[schema["type"]] | EVERYWHERE | {"type", "enum", "const"}
    if unknown := set(schema) - allowed:
        yield f"{path}: {sorted(unknown)} in a schema of the type {schema['type']}"
    if schema.get("format", "date") not in FORMATS:
        yield f"{path}: of the format {schema['format']}"
    if re.search(r"\(\?<?[=!]", schema.get("pattern", "")):
        yield f"{path}: a pattern that looks around"
    if schema["type"] == "object":
        if schema.get("additionalProperties") is not False:
            yield f"{path}: additionalProperties is not false"
        if sorted(schema.get("required", ["?"])) != sorted(schema.get("properties", {})):
            yield f"{path}: not all properties are required"
        for name, part in schema.get("properties", {}).items():
            yield from _of_schema(part, defs, f"{path}.{name}")
    if schema["type"] == "array":
        yield from _of_schema(schema.get("items"), defs, f"{path}[]")


def _of_size(parts: list, defs: dict) -> Iterator[str]:
    subschemas = [found for part in parts for found in _subschemas(part)]
    names = [name for schema in subschemas for name in schema.get("properties", ())]
    values = [value for schema in subschemas for value in schema.get("enum", ())]
    consts = [schema["const"] for schema in subschemas if "const" in schema]
    if len(names) > MAX_PROPERTIES:
        yield f"$: {len(names)} properties"
    if len(values) > MAX_ENUM_VALUES:
        yield f"$: {len(values)} values of enums"
    if (characters := sum(len(str(one)) for one in [*names, *values, *consts, *defs])) > MAX_CHARACTERS:
        yield f"$: names and values of {characters} characters"


def _subschemas(schema: dict) -> Iterator[dict]:
    yield schema
    for part in [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]:
        if isinstance(part, dict):
            yield from _subschemas(part)


def _depth(schema: dict, defs: dict, above: frozenset[str]) -> int:
    """How many objects lie in each other; a type within itself counts once."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return 0 if name in above or name not in defs else _depth(defs[name], defs, above | {name})
    parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]
    inner = max((_depth(part, defs, above) for part in parts if isinstance(part, dict)), default=0)
    return inner + (schema.get("type") == "object")
