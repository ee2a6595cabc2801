"""Estimates how likely a call gives each optional parameter a value.

A logistic model of the parameter (its kind, its name, its position, a default) and of the request (whether it names the
parameter or one of its values). Its weights were fitted by `benchmarks/tool_arguments_fit.py` on the reference calls of
the Berkeley Function Calling Leaderboard (Apache-2.0): 4,156 optional parameters of 2,501 requests, each weighted by
1/sqrt(how often it occurs). Calls in the messages then move the estimate.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from compressor.pipeline.tools import json_schema as schemas
from compressor.scoring.token_index import terms

WEIGHTS = {
    "constant": 0.21,
    "name is in the request": 1.84,
    "part of the name is in the request": 1.10,
    "a value is in the request": 1.53,
    "words of the description in the request, of 4": 0.91,
    "has a default": -0.53,
    "log of the number of optional parameters": -0.67,
    "log of the position": -0.71,
    "boolean": -0.30,
    "number": -0.79,
    "number, and a digit is in the request": 1.08,
    "pages a result": -0.36,
    "shapes a result": -0.21,
    "carries content": 0.21,
    "array": 0.63,
    "nothing is required": 0.79,
}
_PAGING = frozenset(
    "page pages paging pagination cursor offset limit skip per perpage size after before starting ending token "
    "continuation".split()
)
_SHAPING = frozenset(
    "fields format verbose detail details detailed include timeout debug output raw pretty locale language timezone "
    "encoding retry retries dry".split()
)
_CONTENT = frozenset(
    "title name body text content description message subject comment note query value amount date time".split()
)
_NAME_PART = re.compile(r"[a-z]+|[A-Z][a-z]*|\d+")
PRIOR_CALLS = 2.0  # calls of the tool that weigh as much as the model
SIBLING_CALLS = 6.0  # calls of other tools with a parameter of the same name that weigh as much as the model
#: Probabilities are told apart by these bounds only, so that few variants of a tool are made.
BOUNDS = (0.06, 0.12, 0.22, 0.35, 0.5)
CERTAIN = len(BOUNDS)


class OptionalParameter:
    """One optional parameter: what the model knows of it.

    Attributes:
        own_facts: The facts that do not depend on a request, by the names of `WEIGHTS`.
        logit: Their part of the estimate.

    Args:
        name: Its name.
        schema: Its schema.
        count: The number of optional parameters beside it, itself included.
        position: Its position among them.
        nothing_required: Whether all parameters are optional.
    """

    def __init__(self, name: str, schema: Any, count: int, position: float, nothing_required: bool) -> None:
        part: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
        items, kind, about = part.get("items"), part.get("type"), part.get("description")
        inner = items.get("enum") if isinstance(items, Mapping) else None
        listed = [v for values in (part.get("enum"), inner) if isinstance(values, list) for v in values]
        words = {word.lower() for word in _NAME_PART.findall(name)}
        self._is_number = kind in ("integer", "number")
        self._names = frozenset(terms(name))
        self._values = frozenset(term for value in listed if isinstance(value, str) for term in terms(value))
        self._words = frozenset(terms(about)) if isinstance(about, str) else frozenset()
        self.own_facts = {
            "constant": 1.0,
            "has a default": float("default" in part),
            "log of the number of optional parameters": math.log1p(count),
            "log of the position": math.log1p(position),
            "boolean": float(kind == "boolean"),
            "number": float(self._is_number),
            "pages a result": float(bool(words & _PAGING)),
            "shapes a result": float(bool(words & _SHAPING)),
            "carries content": float(bool(words & _CONTENT)),
            "array": float(kind == "array"),
            "nothing is required": float(nothing_required),
        }
        self.logit = sum(WEIGHTS[key] * value for key, value in self.own_facts.items())

    def facts(self, request: Collection[str], has_digit: bool) -> dict[str, float]:
        """Returns the facts that depend on a request, by the names of `WEIGHTS`.

        Args:
            request: The terms of the request.
            has_digit: Whether a digit is in the request.
        """
        named = sum(term in request for term in self._names)
        return {
            "name is in the request": float(0 < named == len(self._names)),
            "part of the name is in the request": float(0 < named < len(self._names)),
            "a value is in the request": float(any(term in request for term in self._values)),
            "words of the description in the request, of 4": min(sum(t in request for t in self._words), 4) / 4,
            "number, and a digit is in the request": float(self._is_number and has_digit),
        }


class PastCalls:
    """Which parameters the calls in the messages gave a value.

    Args:
        calls: The name of a tool and the names of its arguments, for each call.
    """

    def __init__(self, calls: Collection[tuple[str, Collection[str]]] = ()) -> None:
        self.tools: Counter[str] = Counter(name for name, _ in calls)
        self.arguments: Counter[tuple[str, str]] = Counter((name, key) for name, keys in calls for key in keys)
        self.names: Counter[str] = Counter(key for _, keys in calls for key in keys)

    def adjust(self, tool: str, parameter: str, probability: float) -> float:
        """Moves a probability by how often the calls gave this parameter a value."""
        if self.names[parameter]:
            elsewhere = self.names[parameter] - self.arguments[tool, parameter]
            probability = (SIBLING_CALLS * probability + elsewhere) / (SIBLING_CALLS + elsewhere)
        if self.tools[tool]:
            used = self.arguments[tool, parameter]
            probability = (PRIOR_CALLS * probability + used) / (PRIOR_CALLS + self.tools[tool])
        return probability


class ArgumentUse:
    """The optional parameters of one function, at every depth.

    Attributes:
        paths: Where each of them is, as the keys that lead to it.

    Args:
        name: The name of the function.
        schema: The schema of its parameters.
    """

    def __init__(self, name: str, schema: Any) -> None:
        self.name = name
        found = list(_optional_parameters(schema, ()))
        self.paths = [path for path, _ in found]
        self._parameters = [parameter for _, parameter in found]

    def levels(self, request: Collection[str], has_digit: bool, calls: PastCalls | None = None) -> tuple[int, ...]:
        """Returns for each parameter how likely it gets a value, as the number of `BOUNDS` that are below.

        Args:
            request: The terms of the request.
            has_digit: Whether a digit is in the request.
            calls: The calls in the messages.
        """
        out = []
        for path, parameter in zip(self.paths, self._parameters, strict=True):
            logit = parameter.logit + sum(WEIGHTS[key] * v for key, v in parameter.facts(request, has_digit).items())
            probability = 1 / (1 + math.exp(-logit))
            if calls is not None:
                probability = calls.adjust(self.name, path[-1], probability)
            out.append(sum(probability >= bound for bound in BOUNDS))
        return tuple(out)


def _optional_parameters(
    schema: Any, path: tuple[str, ...], depth: int = 0
) -> Iterator[tuple[tuple[str, ...], OptionalParameter]]:
    if not isinstance(schema, Mapping) or depth > schemas.MAX_DEPTH:
        return
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        required = schema.get("required")
        needed = set(required) if isinstance(required, list) and all(isinstance(n, str) for n in required) else set()
        optional = [name for name in properties if name not in needed]
        is_sorted = list(properties) == sorted(properties)  # then positions say nothing
        for place, name in enumerate(optional):
            position = len(optional) / 3 if is_sorted and len(properties) > 3 else place
            yield (*path, name), OptionalParameter(name, properties[name], len(optional), position, not needed)
        for name, part in properties.items():
            yield from _optional_parameters(part, (*path, name), depth + 1)
    yield from _optional_parameters(schema.get("items"), (*path, "items"), depth + 1)
