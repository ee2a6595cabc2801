"""Names the tools of many servers so that each name is unique and valid for every model provider."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from compressor.context.refs import compute_ref

MAX_NAME_CHARS = 64
_VALID_NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_NAME_CHARS}}}")
_HASH_CHARS = 6  # of the digits that make a shortened name unique
SEPARATOR = "__"  # between the name of a server and that of its tool


@dataclass(frozen=True)
class ExposedTool:
    """A tool of a wrapped server.

    Attributes:
        name: The name under which it is offered.
        server: The name of its server.
        tool: The tool as its server lists it, in MCP's JSON form.
    """

    name: str
    server: str
    tool: Mapping[str, Any] = field(repr=False)

    @property
    def original_name(self) -> str:
        """The name under which its server knows it."""
        return str(self.tool["name"])

    def schema(self) -> dict[str, Any]:
        """Returns what a model sees of it: name, description and parameters."""
        return {
            "name": self.name,
            "description": self.tool.get("description") or "",
            "input_schema": self.tool["inputSchema"],
        }


class ToolNames:
    """Gives each tool a name, and the same name to the same tool as long as the process runs.

    A tool keeps its own name if no other server has one of this name and providers accept it. Otherwise the name of its
    server stands before it.

    Args:
        reserved: Names that no tool may have.
        always_prefix: Whether the server's name stands before every tool's name.
    """

    def __init__(self, reserved: Collection[str], always_prefix: bool = False) -> None:
        self._reserved = frozenset(reserved)
        self._always_prefix = always_prefix
        self._names: dict[tuple[str, str], str] = {}

    def expose(self, tools_by_server: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[ExposedTool]:
        """Returns the tools of all servers under their names, in order.

        Of two tools of one server with the same name only the first is used.
        """
        keys = {(server, str(tool["name"])): tool for server, tools in tools_by_server.items() for tool in tools[::-1]}
        owners = Counter(name for _, name in keys)
        taken = {*self._reserved, *self._names.values()}
        for server, tools in tools_by_server.items():
            for name in (str(tool["name"]) for tool in tools):
                if (server, name) not in self._names:
                    is_free = owners[name] == 1 and name not in taken and _VALID_NAME.fullmatch(name)
                    given = name if is_free and not self._always_prefix else _prefixed(server, name, taken)
                    self._names[server, name] = given
                    taken.add(given)
        out: dict[str, ExposedTool] = {}
        for server, tools in tools_by_server.items():
            for tool in tools:
                key = (server, str(tool["name"]))
                out.setdefault(self._names[key], ExposedTool(self._names[key], server, keys[key]))
        return list(out.values())


def is_allowed(server: str, name: str, allow: Sequence[str], deny: Sequence[str]) -> bool:
    """Returns whether a tool may be offered and called.

    Args:
        server: The name of its server.
        name: Its own name.
        allow: Patterns such as "read_*" or "github/*", one of which it must match; empty for all tools.
        deny: Patterns of which it must match none.
    """
    return (not allow or matches(server, [name], allow)) and not matches(server, [name], deny)


def matches(server: str, names: Iterable[str], patterns: Sequence[str]) -> bool:
    """Returns whether one of a tool's names matches a pattern such as "read_*" or "github/*"."""
    return any(
        fnmatchcase(text, pattern) for name in names for text in (name, f"{server}/{name}") for pattern in patterns
    )


def _prefixed(server: str, name: str, taken: Collection[str]) -> str:
    """Returns a valid name that is not taken, made of the server's and the tool's."""
    full = f"{_clean(server)}{SEPARATOR}{_clean(name)}"
    if len(full) <= MAX_NAME_CHARS and full not in taken:
        return full
    digits = compute_ref(f"{server}\n{name}")
    for length in range(_HASH_CHARS, len(digits) + 1):
        short = f"{full[: MAX_NAME_CHARS - length - 1]}_{digits[:length]}"
        if short not in taken:
            return short
    return f"tool_{digits}_{len(taken)}"


def _clean(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_") or "x"
