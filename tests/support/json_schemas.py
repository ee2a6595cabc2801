"""Random JSON Schemas of function parameters, with the keywords that negate and count included."""

from __future__ import annotations

from typing import Any

from support.property_tests import st

_NAMES = st.sampled_from(["a", "b", "c", "title", "default", "properties", "number of items"])
_WORDS = st.sampled_from(
    ["", "A day.", "The first. The second, e.g. 3. It must be blue. " * 4, "x " * 200, "'m', 'n', 'o'"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["m", "n", "blue", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def _words(draw: Any, schema: dict[str, Any]) -> dict[str, Any]:
    for key in draw(st.sets(st.sampled_from(["description", "title", "$comment"]))):
        schema[key] = draw(_WORDS)
    if draw(st.booleans()):
        schema["default"] = draw(VALUES)
    if draw(st.integers(0, 5)) == 0:
        schema["examples"] = [draw(VALUES)]
    return schema


@st.composite
def schemas(draw: Any, depth: int = 3) -> Any:
    """A JSON Schema of most of the keywords that there are, turning and counting ones included."""
    kinds = ["plain", "enum", "ref"] + (["object", "array", "object", "union", "turn"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    inner = schemas(depth - 1) if depth else st.just({})
    if kind == "plain":
        return _words(draw, {"type": draw(st.sampled_from(["string", "integer", "boolean", ["string", "null"]]))})
    if kind == "enum":
        return _words(draw, {"enum": draw(st.lists(st.sampled_from(["m", "n", "o", 1]), min_size=1, unique=True))})
    if kind == "ref":
        return _words(draw, {"$ref": draw(st.sampled_from(["#/$defs/d", "#/$defs/e", "#/$defs/d", "#"]))})
    if kind == "array":
        return _words(draw, {"type": "array", "items": draw(inner), "maxItems": 2})
    if kind == "union":
        return _words(draw, {draw(st.sampled_from(["anyOf", "allOf"])): [draw(inner), draw(inner)]})
    if kind == "turn":
        turned: dict[str, Any] = {
            "not": {"not": draw(inner)},
            "oneOf": [draw(inner), draw(inner)],
            "if": draw(inner),
            "unevaluatedProperties": draw(st.booleans()),
        }
        key = draw(st.sampled_from(sorted(turned)))
        return {"type": "object", "properties": {"a": draw(inner)}, key: turned[key], "then": {"required": ["a"]}}
    return draw(objects(depth))


@st.composite
def objects(draw: Any, depth: int = 3) -> Any:
    inner = schemas(depth - 1) if depth else st.just({"type": "string"})
    properties = draw(st.dictionaries(_NAMES, inner, max_size=4))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if properties and draw(st.booleans()):
        schema["required"] = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    extra = draw(st.sampled_from([None, False, True, {"type": "string"}]))
    if extra is not None:
        schema["additionalProperties"] = extra
    if draw(st.integers(0, 6)) == 0:
        schema["patternProperties"] = {"^a": draw(inner)}
    if draw(st.integers(0, 6)) == 0:
        schema["dependentRequired"] = {"a": ["b"]}
    return _words(draw, schema)


@st.composite
def roots(draw: Any) -> Any:
    root = draw(objects(3))
    root["$defs"] = {"d": draw(objects(1)), "e": draw(schemas(1))}
    if draw(st.booleans()):  # as OpenAI's strict functions are
        root["$defs"]["d"]["properties"]["again"] = {"$ref": "#/$defs/d"}
    return root
