"""Measures the lossless codecs alone: how much smaller tool output gets, and whether every byte comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.data import read_text, records
from benchmarks.report import Report
from benchmarks.tokens import count

#: Takes the tool outputs of one context in order; returns each one's encoded text and what that decodes to.
LosslessMethod = Callable[[list[str]], list[tuple[str, str]]]


def ours(texts: list[str]) -> list[tuple[str, str]]:
    """Applies the package's codecs as the engine does: first repeats of earlier outputs, then codecs of one text."""
    from compressor.text.lossless.back_references import BackReferenceCodec

    repeats, out = BackReferenceCodec(), []
    for label, text in enumerate(texts, 1):
        found = repeats.encode(text)
        short, back = _one_text(found.text if found else text)
        out.append((short, repeats.decode(back, lambda k: texts[k - 1]) if found else back))
        repeats.add(label, text)
    return out


def _one_text(text: str) -> tuple[str, str]:
    """Encodes one text, as JSON if it is JSON, and returns it with what decoding gives back."""
    from compressor.text.lossless import decode_losslessly, encode_losslessly, json_tables

    parsed = json_tables.parse(text)
    if parsed is None:
        short, names = encode_losslessly(text, count)
        return short, decode_losslessly(short, names)
    encoded, style = json_tables.encode_parsed(text, parsed), json_tables.detect_json_style(text, parsed)
    if encoded is None or style is None:
        return text, text
    return encoded, json_tables.decode(encoded, style)


def minified(texts: list[str]) -> list[tuple[str, str]]:
    """Removes the white space of JSON. This is not exact: the layout is lost."""
    out = []
    for text in texts:
        try:
            short = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
        except ValueError:
            short = text
        out.append((short, short))
    return out


def exact_repeats(texts: list[str]) -> list[tuple[str, str]]:
    """Replaces an output that came before by a note."""
    first: dict[str, int] = {}
    out = []
    for i, text in enumerate(texts, 1):
        note = f"[same as tool result {first[text]}]" if text in first else text
        out.append((min(note, text, key=len), text))
        first.setdefault(text, i)
    return out


METHODS: dict[str, LosslessMethod] = {"ours": ours, "exact repeats": exact_repeats, "minified JSON": minified}


def _strings(value: Any) -> Iterator[Any]:
    """Yields a payload as a tool would print it: on one line, and indented."""
    yield json.dumps(value, ensure_ascii=False)
    yield json.dumps(value, indent=2)


def contexts(root: Path, limit: int | None) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields (name of the set, tool outputs of each of its contexts)."""
    for path in sorted((root / "sessions").glob("*.jsonl.gz")):
        sessions = list(records(path))[:limit]
        outputs = [[m["content"] or "" for m in s["messages"] if m["role"] == "tool"] for s in sessions]
        yield path.name.removesuffix(".jsonl.gz"), outputs
    payloads: list[list[str]] = []
    for path in sorted((root / "json_payloads").glob("*.gz")):
        if path.name.endswith(".jsonl.gz"):
            values = list(records(path))[:limit]
        else:
            text = read_text(path)
            payloads.append([text])
            values = [] if path.name.endswith(".ndjson.gz") else [json.loads(text)]
        payloads += [[text] for value in values for text in _strings(value)]
    yield "json_payloads", payloads
    logs = [[read_text(path)] for path in sorted((root / "loghub").glob("*.log.gz"))[:limit]]
    yield "loghub", logs
    runs = [log["text"] for path in sorted((root / "test_logs").glob("*.jsonl.gz")) for log in records(path)]
    yield "test_logs", [[text] for text in runs[:limit]]


def measure(method: LosslessMethod, outputs: list[list[str]]) -> dict[str, Any]:
    """Counts tokens before and after over all texts and the texts that came back exactly, and times the encoding."""
    before = after = exact = changed = texts = 0
    seconds = 0.0
    for context in outputs:
        start = time.perf_counter()
        encoded = method(context)
        seconds += time.perf_counter() - start
        for text, (short, back) in zip(context, encoded, strict=True):
            before += count(text)
            after += count(short)
            exact += back == text
            changed += short != text
            texts += 1
    return {"before": before, "after": after, "exact": exact, "folded": changed, "texts": texts, "seconds": seconds}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every set and method. `limit` caps the sessions, files or records of a set (default: all)."""
    chosen = [m for m in METHODS if m in methods]
    rows: list[dict[str, Any]] = []
    table = [["tool outputs", "texts", "tokens", *chosen, *(["encoded", "exact"] if "ours" in chosen else [])]]
    for name, outputs in contexts(root, limit):
        found = {label: measure(METHODS[label], outputs) for label in chosen}
        rows += [{"set": name, "method": label, **row} for label, row in found.items()]
        any_row = next(iter(found.values()), None)
        if any_row is None:
            continue
        cells = [f"{row['before'] / max(1, row['after']):.2f}×" for row in found.values()]
        own = found.get("ours")
        exact = [str(own["folded"]), f"{own['exact']}/{own['texts']}"] if own else []
        table.append([name, str(any_row["texts"]), f"{any_row['before']:,}", *cells, *exact])
    notes = [
        "cl100k tokens of tool output before and after, whole sessions, nothing dropped; how many texts our codecs",
        "changed, and how many decode to exactly what they were (unchanged ones included). Minified JSON is not exact:",
        "its layout is lost.",
    ]
    return Report("folds", "Lossless codecs alone", notes, table, rows)
