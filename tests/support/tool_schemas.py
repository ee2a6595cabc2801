"""Function tools with long descriptions, as tests of tool selection offer them."""

from __future__ import annotations

from typing import Any

import pytest

LONG = (
    "It works for every account that was opened after 2010. The answer holds a summary, too. Ask the user first. "
    "For example, 'A-17' gives the account of the first customer. It was written by the team in Bonn."
)


def chat(name: str, about: str, properties: dict[str, Any], required: list[str], **more: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": required, **more}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


def tools(count: int = 12) -> list[dict[str, Any]]:
    things = [
        "invoice",
        "weather",
        "flight",
        "hotel",
        "parcel",
        "recipe",
        "ticket",
        "pump",
        "song",
        "lamp",
        "car",
        "tax",
    ]
    return [
        chat(
            f"get_{thing}",
            f"Looks up one {thing} by its number. {LONG}",
            {
                "number": {"type": "string", "title": "Number", "description": f"The number of the {thing}. {LONG}"},
                "color": {"type": "string", "enum": ["red", "blue"], "description": f"What the {thing} looks like."},
                "filter": {
                    "type": "object",
                    "properties": {"since": {"type": "string", "description": "A day."}, "deep": {"type": "object"}},
                    "description": "What else to look at.",
                },
            },
            ["number"],
            additionalProperties=False,
        )
        for thing in things[:count]
    ]


def names(found: list[Any]) -> list[str]:
    return [t["function"]["name"] if "function" in t else t.get("name", t.get("type")) for t in found]


def schema_validator() -> Any:
    """The class that checks JSON schemas and values; without jsonschema the test is skipped."""
    return pytest.importorskip("jsonschema").Draft202012Validator
