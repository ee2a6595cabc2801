"""Sixty made-up tools of an office, in the form of each provider, and a script of a model that uses a few of them."""

from __future__ import annotations

from typing import Any

VERBS = ("create", "update", "delete", "search", "archive", "share")
THINGS = ("invoice", "flight", "hotel", "parcel", "recipe", "ticket", "song", "lamp", "contract", "visa")
ABOUT = {
    "create": "Makes a new {} and returns its number. Ask the user first if anything is missing.",
    "update": "Changes an existing {}. Fields that are not given stay as they are.",
    "delete": "Removes a {} for good. Only call this after the user has confirmed.",
    "search": "Finds every {} that fits, newest first, with its number and its date.",
    "archive": "Puts a {} away, so that it no longer shows up in lists.",
    "share": "Sends a link to a {} to somebody else. The link works for a week.",
}


def parameters(verb: str, thing: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "number": {"type": "string", "description": f"The number of the {thing}, such as {thing[0].upper()}-1234."},
        "note": {"type": "string", "description": "What the audit log should say about this call."},
        "urgent": {"type": "boolean", "description": "Whether this goes before everything else. The default is no."},
    }
    if verb == "search":
        properties["words"] = {"type": "string", "description": f"What the {thing} is about."}
    if verb == "share":
        properties["email"] = {"type": "string", "format": "email", "description": "Who gets the link."}
    required = {"search": ["words"], "create": [], "share": ["number", "email"]}.get(verb, ["number"])
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def office_tools(kind: str = "chat") -> list[dict[str, Any]]:
    """Returns the tools in a form: "chat", "responses", "messages" (Anthropic's) or "mcp"."""
    made = []
    for verb in VERBS:
        for thing in THINGS:
            about, schema = ABOUT[verb].format(thing), parameters(verb, thing)
            name = f"{verb}_{thing}"
            function = {"name": name, "description": about, "parameters": schema}
            made.append(
                {
                    "chat": {"type": "function", "function": function},
                    "responses": {"type": "function", **function},
                    "messages": {"name": name, "description": about, "input_schema": schema},
                    "mcp": {"name": name, "description": about, "inputSchema": schema},
                }[kind]
            )
    return made
