"""Analyses JSON Schemas: what may be removed so that everything the schema allowed stays allowed.

The rule: a shortened schema may be wider than the original, never narrower. Removing a property or a constraint widens
the object it belongs to, and a wider part widens the whole unless a keyword above it negates or counts matches (`not`,
`if`, `oneOf`, `contains`, `unevaluatedProperties`). Below such a keyword only descriptions may be removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MAX_DEPTH = 60  # levels; no provider accepts deeper schemas
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
TYPES = frozenset((*_TYPES, *(name.upper() for name in _TYPES)))  # Gemini's are upper case
#: Keywords whose value is one schema, a list or a mapping of schemas, where a wider part makes the whole wider.
SINGLE_KEYWORDS = ("items", "additionalProperties", "additionalItems", "propertyNames", "then", "else", "contentSchema")
LIST_KEYWORDS = ("anyOf", "allOf", "prefixItems")
MAPPING_KEYWORDS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
#: Keywords where a wider part may make the whole narrower.
NEGATING_KEYWORDS = ("not", "if", "oneOf", "contains")
DEFINITION_KEYWORDS = ("$defs", "definitions")
UNEVALUATED_KEYWORDS = ("unevaluatedProperties", "unevaluatedItems")
_STRINGS = ("title", "description", "format", "pattern", "$ref", "$id", "$schema", "$comment", "$anchor")


def find_problem(schema: Any) -> str:
    """Checks a schema of parameters lightly, without the metaschema.

    Returns:
        What is wrong with it, or "".
    """
    if not isinstance(schema, Mapping):
        return f"its parameters must be a JSON Schema object, not {type(schema).__name__}"
    if schema.get("type", "object") not in ("object", "OBJECT") and "$ref" not in schema:
        return f"its parameters must have the type 'object', not {schema['type']!r}"
    return _find_fault(schema, 0)


def _find_fault(schema: Any, depth: int) -> str:
    if isinstance(schema, bool):
        return ""
    if not isinstance(schema, Mapping):
        return f"every part of its schema must be an object, not {type(schema).__name__}"
    if depth > MAX_DEPTH:
        return "its schema is cyclic or nested too deeply"
    if not all(isinstance(key, str) for key in schema):
        return "every key of its schema must be a string"
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [None]:
        if not isinstance(kind, str) or kind not in TYPES:
            return f"JSON Schema has no type {kind!r}"
    for key in _STRINGS:
        if not isinstance(schema.get(key, ""), str):
            return f"{key!r} must be a string"
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return "'required' must be a list of names"
    if not isinstance(schema.get("enum", []), list):
        return "'enum' must be a list"
    for key in MAPPING_KEYWORDS:
        if not isinstance(schema.get(key, {}), Mapping):
            return f"{key!r} must be an object"
    for key in (*LIST_KEYWORDS, "oneOf"):
        if not isinstance(schema.get(key, []), list):
            return f"{key!r} must be a list"
    return next((fault for part in subschemas(schema) if (fault := _find_fault(part, depth + 1))), "")


def subschemas(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the schemas directly inside a schema."""
    for key, value in schema.items():
        if key in MAPPING_KEYWORDS and isinstance(value, Mapping):
            yield from value.values()
        elif key in (*LIST_KEYWORDS, "oneOf", "items") and isinstance(
            value, list
        ):  # "items" may be a list in drafts before 2020-12
            yield from value
        elif key in SINGLE_KEYWORDS or key in NEGATING_KEYWORDS or key in UNEVALUATED_KEYWORDS:
            yield value


def walk(schema: Any, depth: int = MAX_DEPTH) -> Iterator[Mapping[str, Any]]:
    """Yields a schema and all schemas inside it, down to `depth` levels. `$ref`s are not followed."""
    if isinstance(schema, Mapping) and depth >= 0:
        yield schema
        for part in subschemas(schema):
            yield from walk(part, depth - 1)


def find_refs(value: Any) -> Iterator[str]:
    """Yields every `$ref` in a JSON value."""
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
    """Whether a schema has a keyword anywhere below which wider parts may make the whole narrower."""
    return any(key in part for part in walk(schema) for key in NEGATING_KEYWORDS)


def is_text_only(schema: Mapping[str, Any]) -> bool:
    """Whether only descriptions may be removed from a schema.

    That is so if a keyword depends on which properties others have evaluated, or if a `$ref` cannot be followed.
    """
    for part in walk(schema):
        if any(key in part for key in (*UNEVALUATED_KEYWORDS, "$dynamicRef", "$recursiveRef", "$id", "$anchor")):
            return True
    other_refs = {ref for ref in find_refs(schema) if parse_definition_ref(ref) is None}
    return bool(other_refs - {"#"}) or (bool(other_refs) and has_negation(schema))


def parse_definition_ref(ref: str) -> tuple[str, str] | None:
    """Splits a `$ref` to a definition into its keyword and name, such as ("$defs", name); None for other refs."""
    for key in DEFINITION_KEYWORDS:
        name = ref.removeprefix(f"#/{key}/")
        if name != ref and name and "/" not in name:
            return key, unquote(name).replace("~1", "/").replace("~0", "~")
    return None


def used_definitions(schema: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Returns the definitions that are used outside of the definitions, directly or through other definitions."""
    definitions = {key: schema.get(key, {}) for key in DEFINITION_KEYWORDS}
    found: set[tuple[str, str]] = set()
    unvisited: list[Any] = [{key: value for key, value in schema.items() if key not in definitions}]
    while unvisited:
        for ref in find_refs(unvisited.pop()):
            place = parse_definition_ref(ref)
            if place is not None and place not in found and place[1] in definitions[place[0]]:
                found.add(place)
                unvisited.append(definitions[place[0]][place[1]])
    return found


def required_names(schema: Mapping[str, Any]) -> set[str]:
    """Returns the names of properties that any part of the schema requires, which must not be removed."""
    names: set[str] = set()
    for part in walk(schema):
        names.update(part.get("required", ()))
        for key in ("dependentRequired", "dependencies", "dependentSchemas"):
            more = part.get(key)
            for name, value in more.items() if isinstance(more, Mapping) else ():
                names.add(name)
                names.update(v for v in value if isinstance(v, str)) if isinstance(value, list) else None
    return names
