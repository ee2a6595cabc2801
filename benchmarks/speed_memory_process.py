"""The process that `speed_memory` measures: it does what each line of its input says, and prints what it holds.

A line is JSON: `{"do": "compress", "messages", "budget", "model"}`, `{"do": "session", "messages", "name"}` or
`{"do": "report", "caches": true}`. Only a report is answered.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
import types
from collections.abc import Iterable
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

from compressor import Compressor
from compressor.caches import LruCache, TextMemo, TwoGenerationCache
from compressor.scoring.vocabulary import Vocabulary
from compressor.scoring.word_memory import current_memory
from compressor.tokens.base import Tokenizer

AnyCache = LruCache[Any, Any] | TwoGenerationCache[Any] | TextMemo[Any]
# What a walk through an entry does not enter: it is there without the entry.
OUTSIDE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)
SHARED = (Tokenizer, Vocabulary, type(current_memory().vocabulary), LruCache, TwoGenerationCache, TextMemo)


def resident_mb(field: str = "VmRSS") -> float:
    """Returns the resident memory of this process. Linux only."""
    found = re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else 0.0


def trimmed_mb() -> float:
    """Returns the resident memory after the allocator has given back what it can."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return resident_mb()


def walk(roots: Iterable[object], seen: set[int]) -> int:
    """Returns the bytes of objects and of all that they refer to, but for those that were seen before."""
    stack, total = list(roots), 0
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, (*OUTSIDE, *SHARED)):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        base = getattr(one, "base", None) if type(one).__name__ == "ndarray" else None
        stack += gc.get_referents(one) if base is None else [base]
    return total


def _held(cache: AnyCache) -> list[object]:
    """The keys and values of a cache."""
    if isinstance(cache, LruCache):
        return [*cache.list_keys(), *cache.values()]
    young = cache if isinstance(cache, TextMemo) else cache._young
    return [*young, *young.values(), *cache._old, *cache._old.values()]


def _names() -> dict[int, str]:
    """Names the caches of modules, and those of objects by their classes."""
    out: dict[int, str] = {}
    for path, module in list(sys.modules.items()):
        if path.startswith("compressor"):
            out |= {id(value): f"{path.removeprefix('compressor.')}.{name}" for name, value in vars(module).items()}
    for one in gc.get_objects():
        held = getattr(one, "__dict__", None) if str(type(one).__module__).startswith("compressor") else None
        if isinstance(held, dict):
            out |= {id(v): f"{type(one).__name__}.{k}" for k, v in held.items() if isinstance(v, SHARED)}
    return out


def report_caches() -> list[dict[str, Any]]:
    """Returns for each cache its entries, the bytes that it counts, and those that it really keeps.

    `alone` are the bytes that would be freed if nothing else held them; `more` are those that no cache above it in the
    list has, so that their sum is what all caches hold.
    """
    names, seen, rows = _names(), set[int](), list[dict[str, Any]]()
    found = [one for one in gc.get_objects() if isinstance(one, LruCache | TwoGenerationCache | TextMemo)]
    for cache in found:
        held = _held(cache)
        counted = cache.size if isinstance(cache, LruCache) else cache.size_bytes
        name = names.get(id(cache), "of a function")
        rows.append({"name": name, "entries": len(held) // 2, "counted": counted})
        rows[-1] |= {"alone": walk(held, set()), "more": walk(held, seen)}
    for one in gc.get_objects():
        if isinstance(one, _lru_cache_wrapper) and str(getattr(one, "__module__", "")).startswith("compressor"):
            name = f"{one.__module__.removeprefix('compressor.')}.{one.__qualname__}"
            held = gc.get_referents(one)
            rows.append({"name": name, "entries": one.cache_info().currsize, "counted": None})
            rows[-1] |= {"alone": walk(held, set()), "more": walk(held, seen)}
    words = current_memory().vocabulary
    rows.append({"name": "the vocabulary", "entries": len(words), "counted": words.size_bytes})
    rows[-1] |= {"alone": words.size_bytes, "more": words.size_bytes}
    return sorted((row for row in rows if row["entries"]), key=lambda row: -row["alone"])


def main(store: str) -> None:
    """Reads lines until the input ends."""
    compressor = Compressor(store=store)
    for line in sys.stdin:
        task = json.loads(line)
        if task["do"] == "compress":
            compressor.compress(task["messages"], budget=task["budget"], model=task["model"])
        elif task["do"] == "session":
            session = compressor.session(task["name"], model=task["model"])
            session.append(*task["messages"])
            session.view(best_effort=True)
            session.close()
        else:
            found: dict[str, Any] = {
                "mb": resident_mb(),
                "peak_mb": resident_mb("VmHWM"),
                "objects": len(gc.get_objects()),
            }
            if task["caches"]:
                found |= {"trimmed_mb": trimmed_mb(), "caches": report_caches()}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
