"""Recognises lists of examples that were seen before, so that another query over the same examples is fast."""

from __future__ import annotations

import copy
import hashlib
import json
import marshal
from collections.abc import Sequence
from typing import Any

from compressor.caches import LruCache
from compressor.pipeline.examples.example import parse_example
from compressor.pipeline.examples.example_set import ExampleSet
from compressor.pipeline.examples.template import TemplateLike

MAX_CACHED_SETS = 4  # sets that a process remembers

_cache: LruCache[tuple[bytes, TemplateLike | None], ExampleSet] = LruCache(MAX_CACHED_SETS)


def get_example_set(given: Sequence[Any], template: TemplateLike | None) -> ExampleSet:
    """Returns the set of a list of examples. Another list with equal content gets the same set.

    The set is made from a copy, so changing the list or what it holds gives another set.

    Raises:
        ContextError: If an entry is not an example; `index` is its position.
    """
    digest = _digest_list(given)
    if digest is None:
        return _build_set(given, template)  # objects that are not JSON cannot be compared, so they are not cached
    examples = _cache.get((digest, template))
    if examples is None:
        examples = _build_set(_copy_containers(list(given)), template)
        _cache.put((digest, template), examples)
    return examples


def _digest_list(given: Sequence[Any]) -> bytes | None:
    """A digest of all that a list holds, or None if it holds other types than JSON's.

    marshal tells all values and types apart and is ten times as fast as json, but only knows the built-in types.
    """
    try:
        # Later versions of the format write a value that occurs twice in another way if it is the same object.
        data = marshal.dumps(list(given), 2)
    except ValueError:
        try:
            data = json.dumps(list(given), ensure_ascii=False).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError):
            return None
    return hashlib.blake2b(data, digest_size=16).digest()


def _copy_containers(value: Any) -> Any:
    """A copy that shares strings and numbers only."""
    if type(value) is dict:
        return {name: item if type(item) is str else _copy_containers(item) for name, item in value.items()}
    if type(value) is list or type(value) is tuple:
        return type(value)([_copy_containers(item) for item in value])
    return value if type(value) in (str, int, float, bool, type(None)) else copy.deepcopy(value)


def _build_set(given: Sequence[Any], template: TemplateLike | None) -> ExampleSet:
    return ExampleSet([parse_example(example, i, template is not None) for i, example in enumerate(given)], template)
