"""What a device can do and what a small encoder asks of it: the two bounds on how many tokens a second it reads.

Roofline (Williams, Waterman, Patterson 2009): arithmetic over peak and bytes over bandwidth; the larger is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

#: dense bf16 FLOP/s and bytes/s of data sheets (NVIDIA: H100 SXM, H200 SXM, A100 80 GB SXM)
SHEETS = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.04e12)}
SQUARE = {"cpu": 2_048, "cuda": 8_192}  # side of the matrix product measured
COPY = {"cpu": 1 << 26, "cuda": 1 << 30}  # numbers of the copy measured: far more than any cache holds
REPEATS = 7


@dataclass(frozen=True)
class Shape:
    """An encoder (all-MiniLM-L6-v2's sizes) on sequences of `tokens`, `batch` of them at once."""

    tokens: int = 256
    batch: int = 16
    layers: int = 6
    hidden: int = 384
    inner: int = 1_536
    heads: int = 12
    vocabulary: int = 30_522

    @property
    def flops(self) -> float:
        """FLOPs a token: two a weight of the projections and the feed-forward pair, and attention's two products."""
        return self.layers * (2 * (4 * self.hidden**2 + 2 * self.hidden * self.inner) + 4 * self.tokens * self.hidden)

    def bytes(self, width: int) -> float:
        """Bytes a token moves to and from memory, at `width` bytes a number, if every operation but attention's reads
        its input and writes its output there: 18 times hidden and 4 times inner a layer; and its share of the weights,
        read once a batch."""
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        return self.layers * width * (18 * self.hidden + 4 * self.inner + weights / (self.tokens * self.batch))


@dataclass(frozen=True)
class Ceiling:
    """FLOP/s and bytes/s of a device. source: where the numbers are from."""

    flops: float
    bandwidth: float
    source: str

    def limit(self, shape: Shape, width: int) -> tuple[str, float]:
        """What bounds the encoder, and the tokens a second it allows."""
        arithmetic, memory = self.flops / shape.flops, self.bandwidth / shape.bytes(width)
        return ("arithmetic", arithmetic) if arithmetic <= memory else ("memory", memory)


def ceilings(device: str, dtype: str) -> list[Ceiling]:
    """As measured in this process; before it that of the data sheet, for a GPU that has one here."""
    torch = import_module("torch")
    found = [_measured(torch, device, getattr(torch, dtype))]
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        found[:0] = [Ceiling(*SHEETS[key], f"data sheet of {key}") for key in SHEETS if key in name][:1]
    return found


def encoder_speed(device: str, dtype: str, shape: Shape) -> float:
    """Tokens a second of our own BERT module of that shape, weights random: they do not change the time."""
    torch, bert = import_module("torch"), import_module("compressor.scoring.bert")
    config = bert.Config(
        shape.vocabulary, shape.hidden, shape.layers, shape.heads, shape.inner, max(512, shape.tokens), 2, 1e-12
    )
    module = bert.TokenClassifier(config).to(device=device, dtype=getattr(torch, dtype)).eval()
    ids = torch.randint(shape.vocabulary, (shape.batch, shape.tokens), device=device)
    rest = torch.ones_like(ids), torch.zeros_like(ids)
    with torch.inference_mode():
        seconds = _seconds(torch, device, lambda: module(ids, *rest))
    return shape.batch * shape.tokens / seconds


def _measured(torch: Any, device: str, dtype: Any) -> Ceiling:
    kind = device.partition(":")[0]
    side, size = SQUARE.get(kind, SQUARE["cpu"]), COPY.get(kind, COPY["cpu"])
    a, b = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    product = _seconds(torch, device, lambda: a @ b)
    source = torch.zeros(size, device=device, dtype=dtype)
    target = torch.empty_like(source)
    copy = _seconds(torch, device, lambda: target.copy_(source))
    return Ceiling(2 * side**3 / product, 2 * size * source.element_size() / copy, "measured")


def _seconds(torch: Any, device: str, work: Callable[[], object]) -> float:
    """The best of a few runs, after one that warms up. A GPU works on its own: it is waited for."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else torch.mps.synchronize if device == "mps" else None
    best = float("inf")
    for run in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        if wait:
            wait()
        if run:
            best = min(best, time.perf_counter() - start)
    return best
