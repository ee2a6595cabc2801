"""Makes shorter variants of a function's schema.

Each level removes more, in the order of least harm:

    1  titles and comments, sentences that repeat an enum, the later sentences of long descriptions
    2  examples, the ends of long listings, all but the first sentences of descriptions
    3  defaults, optional parameters that the query does not mention
    4  the inner schemas of optional parameters, all but a few words of each description
    5  all optional parameters, all descriptions except the beginning of the function's
    6  that beginning, too: a name and the required parameters remain

Every variant is a valid schema with all required parameters, and allows everything that the schema before it allowed
(see `json_schema`). From a `strict` function only descriptions are removed, because it must list every parameter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.pipeline.tools import json_schema as schemas
from compressor.pipeline.tools.description_shrinking import (
    shorten,
    shorten_listings,
    without_enum_listing,
    without_examples,
)
from compressor.pipeline.tools.tool import FunctionTool, dump_tool
from compressor.scoring.token_index import terms


@dataclass(frozen=True, slots=True)
class ShrinkLevel:
    """How much a variant leaves out.

    Attributes:
        description: The maximum of sentences and characters of the function's description.
        parameter_description: The same for the description of each parameter.
        drops_examples: Whether examples are removed.
        drops_defaults: Whether defaults are removed.
        drops_unmatched: Whether optional parameters that the query does not mention are removed.
        drops_insides: Whether the inner schemas of optional parameters are removed.
        drops_optional: Whether all optional parameters are removed.
    """

    description: tuple[int, int]
    parameter_description: tuple[int, int]
    drops_examples: bool = False
    drops_defaults: bool = False
    drops_unmatched: bool = False
    drops_insides: bool = False
    drops_optional: bool = False


LEVELS = (
    ShrinkLevel(description=(4, 800), parameter_description=(3, 300)),
    ShrinkLevel(description=(2, 300), parameter_description=(2, 160), drops_examples=True),
    ShrinkLevel(
        description=(2, 240),
        parameter_description=(1, 120),
        drops_examples=True,
        drops_defaults=True,
        drops_unmatched=True,
    ),
    ShrinkLevel(
        description=(1, 160),
        parameter_description=(1, 60),
        drops_examples=True,
        drops_defaults=True,
        drops_unmatched=True,
        drops_insides=True,
    ),
    ShrinkLevel(
        description=(1, 60),
        parameter_description=(0, 0),
        drops_examples=True,
        drops_defaults=True,
        drops_unmatched=True,
        drops_insides=True,
        drops_optional=True,
    ),
    ShrinkLevel(
        description=(0, 0),
        parameter_description=(0, 0),
        drops_examples=True,
        drops_defaults=True,
        drops_unmatched=True,
        drops_insides=True,
        drops_optional=True,
    ),
)
_IGNORED_KEYWORDS = ("title", "$comment")
_EXAMPLE_KEYWORDS = ("examples", "example")


def shrink_variants(function: FunctionTool, query: Collection[str]) -> list[Any]:
    """Makes the shorter variants of a function.

    Args:
        function: The function.
        query: The terms of the query. Optional parameters that contain one of them are kept longer.

    Returns:
        The variants, the longest first, each shorter than the one before.
    """
    out: list[Any] = []
    last = dump_tool(function.tool)
    for level in LEVELS:
        variant = _SchemaShrinker(function, level, query).shrink_tool()
        text = dump_tool(variant)
        if len(text) < len(last):
            out.append(variant)
            last = text
    return out


class _SchemaShrinker:
    """Shortens one function to one level."""

    def __init__(self, function: FunctionTool, level: ShrinkLevel, query: Collection[str]) -> None:
        self.function, self.level, self.query = function, level, query
        root = function.schema if isinstance(function.schema, Mapping) else {}
        self.may_widen = not function.strict and not schemas.is_text_only(root)
        self.required = schemas.required_names(root) if self.may_widen else set()
        self.definitions = {key: root.get(key, {}) for key in schemas.DEFINITION_KEYWORDS}
        self.has_negation = schemas.has_negation(root)

    def shrink_tool(self) -> Any:
        level, function = self.level, self.function
        description = self.shrink_text(function.description, level.description, clip=level.drops_optional)
        root = self.shrink(function.schema, self.may_widen) if isinstance(function.schema, Mapping) else function.schema
        if self.may_widen and isinstance(root, dict):
            used = schemas.used_definitions(root)
            for key in schemas.DEFINITION_KEYWORDS:
                if key in root:
                    root[key] = {name: value for name, value in root[key].items() if (key, name) in used}
                    if not root[key]:
                        del root[key]
        return function.replaced(description, root, not level.drops_examples)

    def shrink(self, schema: Any, may_widen: bool) -> Any:
        """Shortens a schema. If it may not become wider, only descriptions are shortened."""
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
                if value := self.shrink_text(value, level.parameter_description, schema.get("enum", ())):
                    out[key] = value
            elif key == "properties":
                out[key] = self.shrink_properties(schema, may_widen)
            elif key in schemas.DEFINITION_KEYWORDS:
                out[key] = {
                    name: self.shrink(part, may_widen and not self.has_negation) for name, part in value.items()
                }
            elif key in schemas.MAPPING_KEYWORDS:
                out[key] = {name: self.shrink(part, may_widen) for name, part in value.items()}
            elif key in schemas.LIST_KEYWORDS or (key == "items" and isinstance(value, list)):
                out[key] = [self.shrink(part, may_widen) for part in value]
            elif key in schemas.SINGLE_KEYWORDS:
                out[key] = self.shrink(value, may_widen)
            elif key == "oneOf":
                out[key] = [self.shrink(part, False) for part in value]
            elif key in schemas.NEGATING_KEYWORDS:
                out[key] = self.shrink(value, False)
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

    def shrink_properties(self, schema: Mapping[str, Any], may_widen: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        level = self.level
        may_drop = may_widen and not isinstance(schema.get("additionalProperties"), Mapping)
        for name, part in schema["properties"].items():
            must_stay = not may_widen or name in self.required
            if (
                may_drop
                and not must_stay
                and (level.drops_optional or (level.drops_unmatched and not self.is_wanted(name, part)))
            ):
                continue
            out[name] = self.shrink(part, may_widen)
            if level.drops_insides and not must_stay:
                out[name] = self.without_insides(out[name])
        return out

    def is_wanted(self, name: str, schema: Any) -> bool:
        """Whether the name, an enum value or the description of a parameter shares terms with the query."""
        if not isinstance(schema, Mapping):
            return False
        texts = [name, *(v for v in _values(schema) if isinstance(v, str))]
        if any(term in self.query for text in texts for term in terms(text)):
            return True
        description = schema.get("description")
        return isinstance(description, str) and len({t for t in terms(description) if t in self.query}) > 1

    def without_insides(self, schema: Any) -> Any:
        """Reduces an object or an array to its type; returns other schemas unchanged."""
        if not isinstance(schema, Mapping):
            return schema
        place = schemas.parse_definition_ref(schema["$ref"]) if "$ref" in schema else None
        target = self.definitions[place[0]].get(place[1]) if place else schema
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

    def shrink_text(self, text: str, limits: tuple[int, int], values: Collection[Any] = (), clip: bool = False) -> str:
        text = without_enum_listing(text, values)
        if self.level.drops_examples:
            text = shorten_listings(without_examples(text))
        return shorten(text, *limits, clip=clip)


def _item_type(items: Any) -> str:
    """The type of an array's items if their inner schema can be removed, else ""."""
    kind = items.get("type") if isinstance(items, Mapping) and "enum" not in items else None
    return kind if isinstance(kind, str) and kind.lower() != "array" else ""


def _values(schema: Mapping[str, Any]) -> list[Any]:
    values = list(schema.get("enum", ()))
    items = schema.get("items")
    if isinstance(items, Mapping):
        values += items.get("enum", ())
    return values
