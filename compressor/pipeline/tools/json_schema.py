"""What may be taken out of a JSON Schema so that all it allowed stays allowed. Takes nothing out itself.

The rule: whatever goes, the schema must get wider, never narrower. Taking a property (or a constraint) away widens the
object it stands in, and a wider part widens the whole as long as nothing above it turns the answer round (`not`, `if`,
`oneOf`, a count of matches, `unevaluatedProperties`). Where such a keyword stands above, only words may go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MAX_DEPTH = 60  # levels; what is nested deeper no provider takes
TYPES = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
#: keywords whose value is one schema, a list of them, a mapping of them, where a wider part makes the whole wider
SINGLE_KEYWORDS = ("items", "additionalProperties", "additionalItems", "propertyNames", "then", "else", "contentSchema")
LIST_KEYWORDS = ("anyOf", "allOf", "prefixItems")
MAPPING_KEYWORDS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
#: and those where it may not
NEGATING_KEYWORDS = ("not", "if", "oneOf", "contains")
DEFINITION_KEYWORDS = ("$defs", "definitions")
UNEVALUATED_KEYWORDS = ("unevaluatedProperties", "unevaluatedItems")
_STRINGS = ("title", "description", "format", "pattern", "$ref", "$id", "$schema", "$comment", "$anchor")


def find_problem(schema: Any) -> str:
    """What is wrong with a schema of parameters, "" if nothing that we can see: a light check, not the metaschema's."""
    if not isinstance(schema, Mapping):
        return f"its parameters are no schema but {type(schema).__name__}"
    if schema.get("type", "object") != "object" and "$ref" not in schema:
        return f"its parameters are of type {schema['type']!r}, not 'object'"
    return _find_fault(schema, 0)


def _find_fault(schema: Any, depth: int) -> str:
    if isinstance(schema, bool):
        return ""
    if not isinstance(schema, Mapping):
        return f"a schema is an object, not {type(schema).__name__}"
    if depth > MAX_DEPTH:
        return "it is cyclic, or nested too deeply"
    if not all(isinstance(key, str) for key in schema):
        return "a key is no string"
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [None]:
        if not isinstance(kind, str) or kind not in TYPES:
            return f"there is no type {kind!r} in JSON Schema"
    for key in _STRINGS:
        if not isinstance(schema.get(key, ""), str):
            return f"{key!r} is no string"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return "'required' is no list of names"
    if not isinstance(schema.get("enum", []), list):
        return "'enum' is no list"
    for key in MAPPING_KEYWORDS:
        if not isinstance(schema.get(key, {}), Mapping):
            return f"{key!r} is no object"
    for key in (*LIST_KEYWORDS, "oneOf"):
        if not isinstance(schema.get(key, []), list):
            return f"{key!r} is no list"
    return next((fault for part in subschemas(schema) if (fault := _find_fault(part, depth + 1))), "")


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that stand directly in this one."""
    for key, value in schema.items():
        if key in MAPPING_KEYWORDS and isinstance(value, Mapping):
            yield from value.values()
        elif key in (*LIST_KEYWORDS, "oneOf", "items") and isinstance(
            value, list
        ):  # a list of items: drafts before 2020-12
            yield from value
        elif key in SINGLE_KEYWORDS or key in NEGATING_KEYWORDS or key in UNEVALUATED_KEYWORDS:
            yield value


def walk(schema: Any, depth: int = MAX_DEPTH) -> Iterator[Mapping[str, Any]]:
    """A schema and all that stands in it, down to `depth` levels. Follows no `$ref`."""
    if isinstance(schema, Mapping) and depth >= 0:
        yield schema
        for part in subschemas(schema):
            yield from walk(part, depth - 1)


def find_refs(value: Any) -> Iterator[str]:
    """Every `$ref` in a piece of JSON, wherever it stands."""
    if isinstance(value, Mapping):
        ref = value.get("$ref")
        if isinstance(ref, str):
            yield ref
        for item in value.values():
            yield from find_refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from find_refs(item)


def has_negation(schema: Mapping[str, Any]) -> bool:
    """Whether a keyword that turns the answer round stands anywhere in it."""
    return any(key in part for part in walk(schema) for key in NEGATING_KEYWORDS)


def is_text_only(schema: Mapping[str, Any]) -> bool:
    """Whether nothing but words may go anywhere in it: something in it sees which properties others have looked at, or
    a ref leads to a place we do not follow."""
    for part in walk(schema):
        if any(key in part for key in (*UNEVALUATED_KEYWORDS, "$dynamicRef", "$recursiveRef", "$id", "$anchor")):
            return True
    odd = {ref for ref in find_refs(schema) if parse_definition_ref(ref) is None}
    return bool(odd - {"#"}) or (bool(odd) and has_negation(schema))


def parse_definition_ref(ref: str) -> tuple[str, str] | None:
    """("$defs", name) of a ref into the schema's definitions; None for one that leads elsewhere."""
    for key in DEFINITION_KEYWORDS:
        name = ref.removeprefix(f"#/{key}/")
        if name != ref and name and "/" not in name:
            return key, unquote(name).replace("~1", "/").replace("~0", "~")
    return None


def used_definitions(schema: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The definitions that are reached from outside of the definitions, over any number of refs."""
    homes = {key: schema.get(key, {}) for key in DEFINITION_KEYWORDS}
    found: set[tuple[str, str]] = set()
    fresh: list[Any] = [{key: value for key, value in schema.items() if key not in homes}]
    while fresh:
        for ref in find_refs(fresh.pop()):
            place = parse_definition_ref(ref)
            if place is not None and place not in found and place[1] in homes[place[0]]:
                found.add(place)
                fresh.append(homes[place[0]][place[1]])
    return found


def required_names(schema: Mapping[str, Any]) -> set[str]:
    """Names that any part of the schema demands: of properties that must not go."""
    names: set[str] = set()
    for part in walk(schema):
        names.update(part.get("required", ()))
        for key in ("dependentRequired", "dependencies", "dependentSchemas"):
            more = part.get(key)
            for name, value in more.items() if isinstance(more, Mapping) else ():
                names.add(name)
                names.update(v for v in value if isinstance(v, str)) if isinstance(value, list) else None
    return names
