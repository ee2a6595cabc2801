"""Makes shorter variants of a function's schema, one for each of the `shrink_levels`.

Every variant is a valid schema with all required parameters, and allows everything that the schema before it allowed
(see `json_schema`). From a `strict` function only descriptions are removed, because it must list every parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from compressor.pipeline.tools import json_schema as schemas
from compressor.pipeline.tools.argument_use import ArgumentUse
from compressor.pipeline.tools.description_shrinking import (
    shorten,
    shorten_listings,
    without_enum_listing,
    without_examples,
)
from compressor.pipeline.tools.rule_sentences import count_rules, count_warnings
from compressor.pipeline.tools.shrink_levels import LEVELS, PROBABILITIES, REQUIRED_USE, UNKNOWN_USE, WHOLE, ShrinkLevel
from compressor.pipeline.tools.tool import FunctionTool, dump_tool

#: What a variant is worth to a call of the function: being there at all, the parameters listed, the rules, the words.
#: Chosen among two dozen settings on the requests of `benchmarks/tool_arguments.py`; those around differ by one.
PRESENCE_VALUE, ARGUMENTS_VALUE, RULES_VALUE, WORDS_VALUE = 0.35, 0.3, 0.32, 0.03
MIN_RULE_WEIGHT = 0.3  # of a rule about a parameter that is never used; a rule about the function has 1
_NO_INSIDES_VALUE = 0.5  # of a parameter whose inner schema is removed


class Variant(NamedTuple):
    """A shorter form of a tool.

    Attributes:
        tool: The tool as it is sent.
        value: What it is worth to a call of the function, from 0 to 1 for the complete tool.
    """

    tool: Any
    value: float


_IGNORED_KEYWORDS = ("title", "$comment")
_EXAMPLE_KEYWORDS = ("examples", "example")


def shrink_variants(
    function: FunctionTool, use: ArgumentUse, uses: Sequence[int], levels: Sequence[ShrinkLevel] = LEVELS
) -> list[Variant]:
    """Makes the shorter variants of a function.

    Args:
        function: The function.
        use: Its optional parameters.
        uses: How likely each of them is used.
        levels: The levels to make, the longest first.

    Returns:
        The variants, the longest first, each shorter than the one before. None leaves out a warning.
    """
    known = dict(zip(use.paths, uses, strict=True))
    facts = _SchemaFacts(function)
    whole = _SchemaShrinker(function, facts, WHOLE, known)
    whole.shrink_tool()
    out: list[Variant] = []
    last = len(dump_tool(function.tool))
    for level in levels:
        shrinker = _SchemaShrinker(function, facts, level, known)
        tool = shrinker.shrink_tool()
        if shrinker.warnings < whole.warnings:
            break  # to offer a function without its warnings may do harm
        if (length := len(dump_tool(tool))) < last:
            out.append(Variant(tool, shrinker.compare(whole)))
            last = length
    return out


def name_only(function: FunctionTool) -> Any | None:
    """Returns a function without description and parameters; it still allows every call that it allowed.

    Returns:
        The tool; None if its parameters cannot be left out, or if its description warns of a call.
    """
    schema = function.schema
    if not isinstance(schema, Mapping) or schema.get("type") != "object" or not schema.get("properties"):
        return None
    if function.strict or function.form == "gemini" or schemas.is_text_only(schema):  # Gemini wants parameters
        return None
    if count_warnings(function.description):
        return None
    return function.replaced("", {"type": "object", "properties": {}}, examples=False)


class _SchemaFacts:
    """What the levels of one function have in common."""

    def __init__(self, function: FunctionTool) -> None:
        root = function.schema if isinstance(function.schema, Mapping) else {}
        self.may_widen = not function.strict and not schemas.is_text_only(root)
        self.required = schemas.required_names(root) if self.may_widen else set()
        self.definitions = {key: root.get(key, {}) for key in schemas.DEFINITION_KEYWORDS}
        self.has_definitions = any(self.definitions.values())
        self.has_negation = schemas.has_negation(root)


class _SchemaShrinker:
    """Shortens one function to one level, and adds up what is left of it."""

    def __init__(
        self, function: FunctionTool, facts: _SchemaFacts, level: ShrinkLevel, uses: Mapping[tuple[str, ...], int]
    ) -> None:
        self.function, self.level, self.uses = function, level, uses
        self.facts = facts
        self.arguments = self.rules = self.words = 0.0
        self.warnings = 0
        self.scale = 1.0

    def compare(self, whole: _SchemaShrinker) -> float:
        """Returns what is left as the value of the variant."""
        arguments = self.arguments / whole.arguments if whole.arguments else 1.0
        rules = self.rules / whole.rules if whole.rules else 1.0
        words = math.sqrt(self.words / whole.words) if whole.words else 1.0
        return PRESENCE_VALUE + ARGUMENTS_VALUE * arguments + RULES_VALUE * min(rules, 1) + WORDS_VALUE * min(words, 1)

    def shrink_tool(self) -> Any:
        level, function = self.level, self.function
        text = function.description
        if level.drops_examples:
            text = shorten_listings(without_examples(text))
        description = shorten(text, *level.description, level.keeps, level.clips)
        self.add_text(description, 1.0)
        self.warnings = count_warnings(description)
        root: Any = function.schema
        if isinstance(root, Mapping):
            root = self.shrink(root, self.facts.may_widen, (), REQUIRED_USE)
        if self.facts.may_widen and self.facts.has_definitions and isinstance(root, dict):
            used = schemas.used_definitions(root)
            for key in schemas.DEFINITION_KEYWORDS:
                if key in root:
                    root[key] = {name: value for name, value in root[key].items() if (key, name) in used}
                    if not root[key]:
                        del root[key]
        return function.replaced(description, root, not level.drops_examples)

    def shrink(self, schema: Any, may_widen: bool, path: tuple[str, ...] | None, use: int) -> Any:
        """Shortens a schema.

        Args:
            schema: The schema.
            may_widen: Whether it may become wider. If not, only descriptions are shortened.
            path: The keys that lead to it, None where parameters are not told apart by the request.
            use: How likely the parameter that it describes is used.
        """
        if not isinstance(schema, Mapping):
            return schema
        level = self.level
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if (key in _IGNORED_KEYWORDS and isinstance(value, str)) or (
                key in _EXAMPLE_KEYWORDS and level.drops_examples
            ):
                continue
            if key == "default" and level.drops_defaults:
                continue
            if key == "description" and isinstance(value, str):
                if value := self.shrink_parameter_text(value, schema, use):
                    out[key] = value
            elif key == "properties":
                out[key] = self.shrink_properties(schema, may_widen, path)
            elif key in schemas.DEFINITION_KEYWORDS:
                out[key] = {
                    name: self.shrink(part, may_widen and not self.facts.has_negation, None, use)
                    for name, part in value.items()
                }
            elif key in schemas.MAPPING_KEYWORDS:
                out[key] = {name: self.shrink(part, may_widen, None, use) for name, part in value.items()}
            elif key in schemas.LIST_KEYWORDS or (key == "items" and isinstance(value, list)):
                out[key] = [self.shrink(part, may_widen, None, use) for part in value]
            elif key in schemas.SINGLE_KEYWORDS:
                out[key] = self.shrink(
                    value, may_widen, (*path, key) if path is not None and key == "items" else None, use
                )
            elif key == "oneOf":
                out[key] = [self.shrink(part, False, None, use) for part in value]
            elif key in schemas.NEGATING_KEYWORDS:
                out[key] = self.shrink(value, False, None, use)
            else:
                out[key] = value
        remaining = out.get("properties")
        if (
            remaining is not None
            and len(remaining) < len(schema["properties"])
            and schema.get("additionalProperties") is False
        ):
            del out["additionalProperties"]  # a parameter that is no longer listed must stay allowed
        return out

    def shrink_properties(
        self, schema: Mapping[str, Any], may_widen: bool, path: tuple[str, ...] | None
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        level = self.level
        may_drop = may_widen and not isinstance(schema.get("additionalProperties"), Mapping)
        needed = schema.get("required", ())
        for name, part in schema["properties"].items():
            inner = None if path is None else (*path, name)
            use = self.uses.get(inner, UNKNOWN_USE) if inner is not None else UNKNOWN_USE
            if name in needed:
                use = REQUIRED_USE
            must_stay = not may_widen or name in self.facts.required
            if may_drop and not must_stay and use < level.min_use:
                continue
            before, outer = (self.arguments, self.rules, self.words), self.scale
            self.scale *= PROBABILITIES[use]  # what is inside is used if this is used
            out[name] = self.shrink(part, may_widen, inner, use)
            value = self.scale if use < REQUIRED_USE else 0.0
            self.scale = outer
            if use < level.min_use_for_insides and not must_stay:
                reduced = self.without_insides(out[name])
                if reduced is not out[name]:
                    value *= _NO_INSIDES_VALUE
                    self.arguments, self.rules, self.words = before
                    self.add_text(reduced.get("description", ""), PROBABILITIES[use])
                out[name] = reduced
            self.arguments += value
        return out

    def without_insides(self, schema: Any) -> Any:
        """Reduces an object or an array to its type; returns other schemas unchanged."""
        if not isinstance(schema, Mapping):
            return schema
        place = schemas.parse_definition_ref(schema["$ref"]) if "$ref" in schema else None
        target = self.facts.definitions[place[0]].get(place[1]) if place else schema
        kind = target.get("type") if isinstance(target, Mapping) else None
        if kind in ("object", "OBJECT") and isinstance(target.get("properties"), Mapping):
            reduced: dict[str, Any] = {"type": kind, "properties": {}}
        elif kind in ("array", "ARRAY") and (inner := _item_type(target.get("items"))):
            reduced = {
                "type": kind,
                "items": {"type": inner, **({"properties": {}} if inner in ("object", "OBJECT") else {})},
            }
        else:
            return schema
        return {**reduced, **{key: schema[key] for key in ("description",) if key in schema}}

    def shrink_parameter_text(self, text: str, schema: Mapping[str, Any], use: int) -> str:
        level = self.level
        values = tuple(v for v in _values(schema) if isinstance(v, str))
        text = without_enum_listing(text, values) if level is not WHOLE else text
        if level.drops_examples:
            text = shorten_listings(without_examples(text))
        sentences, chars = level.parameter_description
        out = shorten(
            text,
            sentences if use >= level.min_use_for_words else 0,
            chars,
            "rules" if use >= level.min_use_for_rules else "none",
            False,
            values,
        )
        self.add_text(out, PROBABILITIES[use])
        return out

    def add_text(self, text: str, weight: float) -> None:
        self.rules += (MIN_RULE_WEIGHT + (1 - MIN_RULE_WEIGHT) * weight) * count_rules(text)
        self.words += weight * len(text)


def _item_type(items: Any) -> str:
    """The type of an array's items if their inner schema can be removed, else ""."""
    kind = items.get("type") if isinstance(items, Mapping) and "enum" not in items else None
    return kind if isinstance(kind, str) and kind.lower() != "array" else ""


def _values(schema: Mapping[str, Any]) -> list[Any]:
    items = schema.get("items")
    inner = items.get("enum") if isinstance(items, Mapping) else None
    return [v for values in (schema.get("enum"), inner) if isinstance(values, list) for v in values]
