"""A shortened schema allows what the whole one allowed, also below keywords that negate and count."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from compressor.pipeline.tools.argument_use import CERTAIN, ArgumentUse
from compressor.pipeline.tools.schema_shrinking import Variant, shrink_variants
from compressor.pipeline.tools.tool import parse_function
from support.tool_schemas import LONG, schema_validator

INTEGER_X = {"type": "object", "properties": {"x": {"type": "integer", "description": LONG}}}
DEEP_X = {"type": "object", "properties": {"x": {"type": "object", "properties": {"y": {"type": "integer"}}}}}


def _variants(root: dict[str, Any], **more: Any) -> list[Variant]:
    """All variants for every estimate of which parameters are used."""
    function = parse_function({"name": "f", "description": LONG, "parameters": root, **more}, 0)
    assert function is not None
    use = ArgumentUse("f", root)
    estimates = product((0, CERTAIN), repeat=min(4, len(use.paths)))
    return [
        v for some in estimates for v in shrink_variants(function, use, (*some, *[0] * (len(use.paths) - len(some))))
    ]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        # taken out of one branch, the parameter would make both branches match
        (
            {"oneOf": [{"properties": {"x": {"type": "string"}}}, {"properties": {"x": {"type": "integer"}}}]},
            {"x": "m"},
        ),
        ({"oneOf": [{"$ref": "#/$defs/d"}, {"properties": {"x": {"type": "string"}}}]}, {"x": "m"}),
        ({"not": {"$ref": "#/$defs/d"}}, {"x": "m"}),
        ({"not": INTEGER_X}, {"x": "m"}),
        ({"not": DEEP_X}, {"x": {"y": "m"}}),
        ({"not": {"anyOf": [INTEGER_X, {"required": ["z"]}]}}, {"x": "m"}),
        ({"not": {"not": {"not": INTEGER_X}}}, {"x": "m"}),
        ({"if": {"$ref": "#/$defs/d"}, "then": {"required": ["z"]}}, {"x": "m"}),
        ({"if": INTEGER_X, "then": {"required": ["z"]}}, {"x": "m"}),
        (
            {"properties": {"a": {"type": "array", "contains": INTEGER_X, "maxContains": 1}}},
            {"a": [{"x": 1}, {"x": "m"}]},
        ),
        (
            {"properties": {"a": {"type": "array", "contains": {"$ref": "#/$defs/d"}, "maxContains": 1}}},
            {"a": [{"x": 1}, {"x": "m"}]},
        ),
        ({"properties": {"x": {"type": "string"}}, "unevaluatedProperties": False}, {"x": "m"}),
        ({"properties": {"x": {"type": "integer"}}, "additionalProperties": {"type": "string"}}, {"x": 3}),
        ({"properties": {"x": {"type": "integer"}}, "additionalProperties": False}, {"x": 3}),
        ({"properties": {"x": {"$ref": "#/properties/y"}, "y": {"type": "string"}}}, {"x": "m", "y": "n"}),
        ({"properties": {"x": {"$ref": "#a"}, "y": {"$anchor": "a", "type": "string"}}}, {"x": "m", "y": "n"}),
        ({"properties": {"x": {"type": "string"}}, "dependentRequired": {"x": ["y"]}}, {"x": "m", "y": 1}),
        ({"properties": {"k": {"$ref": "#/$defs/e"}}, "required": ["k"]}, {"k": {"d": {"x": 1}}}),
        ({"propertyNames": {"pattern": "^x"}, "properties": {"x": {"type": "integer"}}}, {"x": 3}),
    ],
)
def test_keywords_that_turn_the_answer_round(schema: dict[str, Any], value: Any) -> None:
    root = {
        "type": "object",
        "title": LONG,
        **schema,
        "$defs": {
            "d": {"properties": {"x": {"type": "integer", "description": LONG}}, "title": LONG},
            "e": {"type": "object", "properties": {"d": {"$ref": "#/$defs/d"}}, "required": ["d"]},
        },
    }
    assert schema_validator()(root).is_valid(value)
    made = _variants(root)
    assert made
    for form, _ in made:
        schema_validator().check_schema(form["parameters"])
        assert schema_validator()(form["parameters"]).is_valid(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"required": ["a", "b"]},
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"dependentRequired": {"a": ["b"]}},
        {"dependentSchemas": {"a": {"required": ["b"]}}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
    ],
)
def test_what_any_part_requires_stays_listed_with_its_inner_schema(schema: dict[str, Any]) -> None:
    inner = {"type": "object", "properties": {"deep": {"type": "string"}}, "required": ["deep"]}
    properties = {"a": inner, "b": inner, "c": {"type": "string"}}
    made = _variants({"type": "object", "properties": properties, **schema})
    for form, _ in made:
        listed = form["parameters"]["properties"]
        assert {"a", "b"} <= listed.keys()
        assert listed["a"]["properties"] == listed["b"]["properties"] == inner["properties"]
    assert any("c" not in form["parameters"]["properties"] for form, _ in made)


def test_the_unlikeliest_parameters_go_first_and_words_go_before_names() -> None:
    names = [f"p{i}" for i in range(6)]
    root = {"type": "object", "properties": {name: {"type": "string", "description": LONG} for name in names}}
    function = parse_function({"name": "f", "description": LONG, "parameters": root}, 0)
    assert function is not None
    made = shrink_variants(function, ArgumentUse("f", root), range(6))
    for form, _ in made:
        listed = form["parameters"]["properties"]
        assert list(listed) == names[len(names) - len(listed) :]
    assert any(
        list(form["parameters"]["properties"]) == names
        and not any("It was" in str(p) for p in form["parameters"]["properties"].values())
        for form, _ in made
    )
    assert all(0 < value < 1 for _, value in made)


def test_warnings_stay_in_every_variant() -> None:
    about = "Sends money. It cannot be undone. Many banks take part. Never call it before the user confirms the amount."
    root = {"type": "object", "properties": {"amount": {"type": "integer"}, "note": {"type": "string"}}}
    function = parse_function({"name": "send", "description": about, "parameters": root}, 0)
    assert function is not None
    made = shrink_variants(function, ArgumentUse("send", root), (0, 0))
    assert made and "Many banks" not in made[-1].tool["description"]
    for form, _ in made:
        assert "It cannot be undone." in form["description"] and "Never call it" in form["description"]
