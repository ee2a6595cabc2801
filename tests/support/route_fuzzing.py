"""Random requests for every route of a service, seeded: its paths and bodies are those of its OpenAPI description."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

TEXTS = ["", "a", "red", "s", "local", "0", "-1", "x" * 300, "a/b", "../..", "%00", "\x00", "ключ", "\ud83d\ude00"]
TEXTS += ["'; DROP TABLE logs;--", "{}", "null", "12h", "2030-01-01T00:00:00Z", "1" * 12, "f" * 64, "$0.02", "50%"]
NUMBERS = [0, -1, 1, 3, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308]
RAW = [
    b"",
    b"{",
    b"[]",
    b"nul",
    b'{"a": NaN}',
    b"\xff\xfe",
    b"[" * 500,
    b'"text"',
    b"0",
    b'{"tenant": "a", "tenant": 1}',
]


@dataclass
class FuzzedRequest:
    """One request."""

    method: str
    path: str
    body: bytes | None
    template: str


class RouteFuzzer:
    """Makes requests.

    Args:
        openapi: The description of the service.
        seed: The same seed gives the same requests.
        known: Values that a path's parameter may also have, by its name: ids that exist.
    """

    def __init__(self, openapi: dict[str, Any], seed: int, known: dict[str, list[str]]) -> None:
        self._random, self._known = random.Random(seed), known
        self._shapes = openapi.get("components", {}).get("schemas", {})
        self._routes = [(way, path, one) for path, ways in openapi["paths"].items() for way, one in ways.items()]

    def requests(self, count: int) -> Iterator[FuzzedRequest]:
        """Yields requests; each route has its turn."""
        for number in range(count):
            way, path, described = self._routes[number % len(self._routes)]
            yield FuzzedRequest(way.upper(), self._path(path, described), self._body(described), path)

    def _path(self, path: str, described: dict[str, Any]) -> str:
        query = []
        for one in described.get("parameters", []):
            name = one["name"]
            if one["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(self._parameter(name) or "-", safe=""))
            elif self._random.random() < 0.5:
                query.append(f"{name}={quote(self._parameter(name), safe='')}")
        return path + ("?" + "&".join(query) if query else "")

    def _parameter(self, name: str) -> str:
        known = self._known.get(name, [])
        if known and self._random.random() < 0.5:
            return self._random.choice(known)
        pool = [text for text in TEXTS if not re.search("[\ud800-\udfff]", text)]
        return self._random.choice([*pool, *map(str, NUMBERS)])

    def _body(self, described: dict[str, Any]) -> bytes | None:
        shape = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if self._random.random() < 0.1:
            return self._random.choice(RAW)
        if shape is None:
            return None
        return json.dumps(self._value(shape, 0)).encode()

    def _value(self, shape: dict[str, Any], depth: int) -> Any:
        if self._random.random() < 0.12 or depth > 4:
            return self._anything(depth)
        if "$ref" in shape:
            return self._value(self._shapes[shape["$ref"].rpartition("/")[2]], depth)
        for name in ("anyOf", "oneOf"):
            if name in shape:
                return self._value(self._random.choice(shape[name]), depth)
        if "enum" in shape or "const" in shape:
            return self._random.choice(shape.get("enum", [shape.get("const")]))
        if (examples := shape.get("examples")) and self._random.random() < 0.5:
            return self._random.choice(examples)
        kind = shape.get("type")
        if kind == "object":
            fields = shape.get("properties", {})
            made = {name: self._value(one, depth + 1) for name, one in fields.items() if self._random.random() < 0.7}
            if self._random.random() < 0.2 or not fields:
                settings = ["budget", "policy", "requests_per_minute", "originals_ttl", "pinned_tools", "x"]
                made[self._random.choice(settings)] = self._anything(depth)
            return made
        if kind == "array":
            return [self._value(shape.get("items", {}), depth + 1) for _ in range(self._random.randrange(4))]
        simple: dict[Any, list[Any]] = {
            "string": TEXTS,
            "integer": [0, 1, 5, 1000, -1],
            "number": NUMBERS,
            "boolean": [True, False],
        }
        return self._random.choice(simple[kind]) if kind in simple else self._anything(depth)

    def _anything(self, depth: int) -> Any:
        pick = self._random.randrange(6 if depth < 4 else 4)
        if pick == 0:
            return self._random.choice(TEXTS)
        if pick == 1:
            return self._random.choice(NUMBERS)
        if pick in (2, 3):
            return self._random.choice([None, True, False])
        if pick == 4:
            return [self._anything(depth + 1) for _ in range(self._random.randrange(4))]
        return {self._random.choice(TEXTS): self._anything(depth + 1) for _ in range(self._random.randrange(4))}
