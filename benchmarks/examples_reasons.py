"""Measures how many helpful examples fit into 1,000 tokens, with and without shortened reasoning.

The set icl_math is GSM8K, SVAMP and AQuA together; the set bbh is the published chains of thought.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import records, sample
from compressor import ExampleStore
from compressor.tokens import get_counter

Example = dict[str, str]
BUDGET = 1_000
PER_SET = 60  # queries of each set of icl_math
PER_TASK = 10  # of each task of bbh


@dataclass(frozen=True)
class Case:
    """A query, and the kind of the examples that help it."""

    query: str
    kind: str


def measure_reasons(root: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """Yields a row for each set and variant."""
    for name, read in (("icl_math", _math), ("bbh", _bbh)):
        bank, kinds, cases, intact = read(root, limit)
        for label, options in VARIANTS.items():
            yield {"set": name, "method": label, **_measured(bank, kinds, cases, intact, options)}


#: How examples are chosen, and whether their reasoning is shortened.
VARIANTS: dict[str, dict[str, Any]] = {
    "top, whole": {"method": "top", "prune": False},
    "MMR, whole": {"method": "mmr", "prune": False},
    "DPP, whole": {"method": "dpp", "prune": False},
    "DPP, shortened (ours)": {"method": "auto", "prune": True},
    "top, shortened": {"method": "top", "prune": True},
}


def _measured(
    bank: list[Example], kinds: list[str], cases: list[Case], intact: Callable[[Example, Example], bool], options: Any
) -> dict[str, Any]:
    """Counts the examples of the query's kind per 1,000 tokens."""
    chooser, counter = ExampleStore("memory"), get_counter(None)
    place = dict(zip(chooser.add(bank), range(len(bank)), strict=True))
    good = tokens = size = cut = whole = over = 0
    times: list[float] = []
    chooser.select(cases[0].query, BUDGET, **options)  # the first call computes what later ones reuse
    begin = time.process_time()
    fractions: list[float] = []
    for case in cases:
        start = time.perf_counter()
        made = chooser.select(case.query, BUDGET, **options)
        times.append(1e3 * (time.perf_counter() - start))
        rows = [place[id] for id in made.ids]
        here = [kinds[row] == case.kind for row in rows]
        good += sum(here)
        fractions.append(float(np.mean(here)))
        tokens += made.tokens_after
        size += len(here)
        over += counter.count(made.text) > BUDGET
        for index, row, example in zip(made.indices, rows, made.examples, strict=True):
            if index in made.shortened:
                cut += 1
                whole += intact(bank[row], example)
    cpu = 1e3 * (time.process_time() - begin) / len(cases)
    speed = {"cpu": cpu, "p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}
    sizes = {"queries": len(cases), "examples": size / len(cases), "over": over, "cut": cut, "intact": whole}
    return {"rate": 1e3 * good / max(1, tokens), "kinds": float(np.mean(fractions)), **sizes, **speed}


Read = tuple[list[Example], list[str], list[Case], Callable[[Example, Example], bool]]


def _math(root: Path, limit: int | None) -> Read:
    """Reads GSM8K, SVAMP and AQuA: of every four problems three go into the bank and one is a query.

    A helpful example is from the same set and, except in AQuA, uses the same arithmetic operations.
    """
    folder = root / "icl_math"
    sets: list[list[tuple[Example, str]]] = [[], [], []]
    for r in records(folder / "gsm8k-train.jsonl.gz"):
        signs = "".join(sorted(set(re.findall(r"[-+*/]", "".join(re.findall(r"<<([^=]*)=", r["answer"]))))))
        sets[0].append(({"question": r["question"], "answer": r["answer"]}, f"gsm8k {signs}"))
    for r in records(folder / "svamp.jsonl.gz"):
        question = f"{r['Body'].rstrip('.')}. {r['Question']}"
        sets[1].append(({"question": question, "answer": f"{r['Equation']} = {r['Answer']:g}"}, f"svamp {r['Type']}"))
    for r in records(folder / "aqua-dev.jsonl.gz"):
        question = "\n".join([r["question"], *r["options"]])
        sets[2].append(({"question": question, "rationale": r["rationale"], "answer": r["correct"]}, "aqua"))
    bank = [pair for some in sets for i, pair in enumerate(some) if i % 4]
    size = min(limit or PER_SET, PER_SET)
    cases = [Case(e["question"], kind) for some in sets for e, kind in sample(some[::4], size)]

    def intact(old: Example, new: Example) -> bool:
        same = {**new, "rationale": "", "answer": ""}.items() == {**old, "rationale": "", "answer": ""}.items()
        if "rationale" in old:
            last = re.split(r"(?<=[.!?])\s+|\n+", old["rationale"].strip())[-2:]
            return same and old["answer"] == new["answer"] and all(piece in new["rationale"] for piece in last)
        return same and new["answer"].endswith("\n".join(old["answer"].split("\n")[-2:]))

    return [e for e, _ in bank], [kind for _, kind in bank], cases, intact


def _bbh(root: Path, limit: int | None) -> Read:
    """Reads the published chains of thought, three per task, as the bank; a helpful example is from the same task."""
    bank: list[Example] = []
    kinds: list[str] = []
    for r in records(root / "bbh" / "cot_prompts.jsonl.gz"):
        for block in re.split(r"\n\n(?=Q: )", r["prompt"])[1:]:
            question, _, answer = block.removeprefix("Q: ").partition("\nA: ")
            bank.append({"input": question, "output": answer.strip()})
            kinds.append(r["task"])
    tasks: dict[str, list[Case]] = {}
    for r in records(root / "bbh" / "bbh.jsonl.gz"):
        tasks.setdefault(r["task"], []).append(Case(r["input"], r["task"]))
    cases = [case for some in tasks.values() for case in sample(some, min(limit or PER_TASK, PER_TASK))]

    def intact(old: Example, new: Example) -> bool:
        end = old["output"][old["output"].lower().rfind("so the answer is") :]
        return old["input"] == new["input"] and new["output"].endswith(end)

    return bank, kinds, cases, intact
