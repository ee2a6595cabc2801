"""The forms a function can be sent in: as it is, then with less and less, in the order of least harm.

    1  titles and comments, sentences that repeat an enum, the later sentences of long descriptions
    2  examples, the ends of long listings, all but the first words of descriptions
    3  defaults, optional parameters that the query says nothing of
    4  the insides of optional parameters, all but a few words of each description
    5  all optional parameters, all descriptions but the beginning of the function's
    6  that, too: a name and required parameters, which is more than nothing

Every form is a valid schema with its required parameters, and allows whatever the schema before it allowed (see
`schema`). Nothing but words goes from a `strict` function: there every parameter has to be listed.
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
    """How much goes. about, each: sentences and characters of the function's description, and of each parameter's."""

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
_NOISE = ("title", "$comment")
_EXAMPLES = ("examples", "example")


def shrink_variants(function: FunctionTool, query: Collection[str]) -> list[dict[str, Any]]:
    """The slimmer forms of a function, the fullest first, each different from the one before. `query` are the query's
    terms: optional parameters that share one are wanted."""
    out: list[dict[str, Any]] = []
    last = dump_tool(function.tool)
    for level in LEVELS:
        slimmed = _SchemaShrinker(function, level, query).shrink_tool()
        text = dump_tool(slimmed)
        if len(text) < len(last):
            out.append(slimmed)
            last = text
    return out


class _SchemaShrinker:
    def __init__(self, function: FunctionTool, level: ShrinkLevel, query: Collection[str]) -> None:
        self.function, self.level, self.query = function, level, query
        root = function.schema if isinstance(function.schema, Mapping) else {}
        self.may_widen = not function.strict and not schemas.is_text_only(root)
        self.required = schemas.required_names(root) if self.may_widen else set()
        self.definitions = {key: root.get(key, {}) for key in schemas.DEFINITION_KEYWORDS}
        self.has_negation = schemas.has_negation(root)

    def shrink_tool(self) -> dict[str, Any]:
        level, function = self.level, self.function
        about = self.shrink_text(function.description, level.description, clip=level.drops_optional)
        root = self.shrink(function.schema, self.may_widen) if isinstance(function.schema, Mapping) else function.schema
        if self.may_widen and isinstance(root, dict):
            alive = schemas.used_definitions(root)
            for key in schemas.DEFINITION_KEYWORDS:
                if key in root:
                    root[key] = {name: value for name, value in root[key].items() if (key, name) in alive}
                    if not root[key]:
                        del root[key]
        return function.replaced(about, root, not level.drops_examples)

    def shrink(self, schema: Any, wide: bool) -> Any:
        """A schema at this level; with `wide` False only words go."""
        if not isinstance(schema, Mapping):
            return schema
        level = self.level
        out: dict[str, Any] = {}
        for key, value in schema.items():
            if (key in _NOISE and isinstance(value, str)) or (key in _EXAMPLES and level.drops_examples):
                continue
            if key == "default" and level.drops_defaults:
                continue
            if key == "description" and isinstance(value, str):
                if value := self.shrink_text(value, level.parameter_description, schema.get("enum", ())):
                    out[key] = value
            elif key == "properties":
                out[key] = self.shrink_properties(schema, wide)
            elif key in schemas.DEFINITION_KEYWORDS:
                out[key] = {name: self.shrink(part, wide and not self.has_negation) for name, part in value.items()}
            elif key in schemas.MAPPING_KEYWORDS:
                out[key] = {name: self.shrink(part, wide) for name, part in value.items()}
            elif key in schemas.LIST_KEYWORDS or (key == "items" and isinstance(value, list)):
                out[key] = [self.shrink(part, wide) for part in value]
            elif key in schemas.SINGLE_KEYWORDS:
                out[key] = self.shrink(value, wide)
            elif key == "oneOf":
                out[key] = [self.shrink(part, False) for part in value]
            elif key in schemas.NEGATING_KEYWORDS:
                out[key] = self.shrink(value, False)
            else:
                out[key] = value
        left = out.get("properties")
        if left is not None and len(left) < len(schema["properties"]) and schema.get("additionalProperties") is False:
            del out["additionalProperties"]  # a parameter that is no longer listed is still allowed
        return out

    def shrink_properties(self, schema: Mapping[str, Any], wide: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        level = self.level
        free = wide and not isinstance(schema.get("additionalProperties"), Mapping)
        for name, part in schema["properties"].items():
            stays = not wide or name in self.required
            if (
                free
                and not stays
                and (level.drops_optional or (level.drops_unmatched and not self.is_wanted(name, part)))
            ):
                continue
            out[name] = self.shrink(part, wide)
            if level.drops_insides and not stays:
                out[name] = self.without_insides(out[name])
        return out

    def is_wanted(self, name: str, schema: Any) -> bool:
        """Whether the query says something that a parameter's name, or a value of its enum, says, too."""
        if not isinstance(schema, Mapping):
            return False
        said = [name, *(v for v in _values(schema) if isinstance(v, str))]
        if any(term in self.query for text in said for term in terms(text)):
            return True
        about = schema.get("description")
        return isinstance(about, str) and len({t for t in terms(about) if t in self.query}) > 1

    def without_insides(self, schema: Any) -> Any:
        """An object or a list of which only that is said; anything else as it is."""
        if not isinstance(schema, Mapping):
            return schema
        place = schemas.parse_definition_ref(schema["$ref"]) if "$ref" in schema else None
        known = self.definitions[place[0]].get(place[1]) if place else schema
        kind = known.get("type") if isinstance(known, Mapping) else None
        if kind == "object" and isinstance(known.get("properties"), Mapping):
            bare: dict[str, Any] = {"type": kind, "properties": {}}
        elif kind == "array" and (inner := _kind_of(known.get("items"))):
            bare = {"type": kind, "items": {"type": inner, **({"properties": {}} if inner == "object" else {})}}
        else:
            return schema
        return {**bare, **{key: schema[key] for key in ("description",) if key in schema}}

    def shrink_text(self, text: str, most: tuple[int, int], values: Collection[Any] = (), clip: bool = False) -> str:
        text = without_enum_listing(text, values)
        if self.level.drops_examples:
            text = shorten_listings(without_examples(text))
        return shorten(text, *most, clip=clip)


def _kind_of(items: Any) -> str:
    """The type of a list's items where they have insides that can be left out: objects, and what is described."""
    kind = items.get("type") if isinstance(items, Mapping) and "enum" not in items else None
    return kind if isinstance(kind, str) and kind != "array" else ""


def _values(schema: Mapping[str, Any]) -> list[Any]:
    values = list(schema.get("enum", ()))
    items = schema.get("items")
    if isinstance(items, Mapping):
        values += items.get("enum", ())
    return values
