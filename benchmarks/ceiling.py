"""Computes the upper bound on the tokens per second that a small encoder can read on a device.

It is the roofline model (Williams, Waterman, Patterson 2009): the time for arithmetic at peak FLOP/s and the time for
memory traffic at peak bandwidth; the larger one is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from compressor.scoring.runtime.device import dtype_for, select_device

#: Dense bf16 FLOP/s and bytes/s of data sheets (NVIDIA: H100 SXM, H200 SXM, A100 80 GB SXM)
DATA_SHEETS = {"H200": (989e12, 4.8e12), "H100": (989e12, 3.35e12), "A100": (312e12, 2.04e12)}
MATRIX_SIDE = {"cpu": 2_048, "cuda": 8_192}  # side of the matrix product that is measured
COPY_NUMBERS = {"cpu": 1 << 26, "cuda": 1 << 30}  # numbers that are copied: far more than any cache holds
REPEATS = 7

#: How a network runs.
Way = Literal["padded", "packed", "compiled"]


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder (default: all-MiniLM-L6-v2), the `tokens` of a sequence, and the sequences of a `batch`."""

    tokens: int = 256
    batch: int = 16
    layers: int = 6
    hidden: int = 384
    inner: int = 1_536
    heads: int = 12
    vocabulary: int = 30_522

    @property
    def flops(self) -> float:
        """FLOPs per token: two per weight of projections and feed-forward layers, and attention's two products."""
        return self.layers * (2 * (4 * self.hidden**2 + 2 * self.hidden * self.inner) + 4 * self.tokens * self.hidden)

    def bytes(self, width: int) -> float:
        """Returns the bytes per token that move to and from memory, at `width` bytes per number.

        It assumes that every operation except attention reads its input from memory and writes its output there
        (18 times hidden and 4 times inner per layer), and that the weights are read once per batch.
        """
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        return self.layers * width * (18 * self.hidden + 4 * self.inner + weights / (self.tokens * self.batch))


@dataclass(frozen=True)
class Bound:
    """An encoder on a device.

    Attributes:
        tokens_per_second: The measured speed.
        flops: FLOPs per token.
        bytes: Bytes of memory traffic per token.
        peak_flops: FLOP/s of the device, from `source`.
        peak_bandwidth: Bytes/s of the device, from `source`.
    """

    dtype: str
    shape: str
    tokens_per_second: float
    flops: float
    bytes: float
    peak_flops: float
    peak_bandwidth: float
    source: str

    @property
    def arithmetic(self) -> float:
        """Tokens per second that arithmetic allows."""
        return self.peak_flops / self.flops

    @property
    def memory(self) -> float:
        """Tokens per second that memory bandwidth allows."""
        return self.peak_bandwidth / self.bytes

    @property
    def limit(self) -> float:
        """Tokens per second that both allow."""
        return min(self.arithmetic, self.memory)

    @property
    def fraction(self) -> float:
        """The fraction of the limit that is reached."""
        return self.tokens_per_second / self.limit

    def __str__(self) -> str:
        limit = "arithmetic" if self.arithmetic <= self.memory else "memory"
        return (
            f"{self.dtype}, {self.shape}; {self.flops / 1e6:.1f} MFLOP and {self.bytes / 1e3:.0f} kB per token if all"
            f" but attention goes through memory; {self.source} {self.peak_flops / 1e12:.2f} TFLOP/s and"
            f" {self.peak_bandwidth / 1e9:.0f} GB/s. The limit is {limit}: {self.limit:,.0f} tokens/s, of which"
            f" {self.fraction:.0%} are reached."
        )


def bound(device: str, way: Way = "padded", batch: int = 0) -> Bound:
    """Measures our own BERT module of `Shape` against the device's data sheet, or against peaks measured here.

    Args:
        device: The device's name.
        way: How the network runs: as torch has it, on sequences that lie end to end, or compiled.
        batch: Sequences of a batch; 0 for what suits the device.
    """
    torch, bert = import_module("torch"), import_module("compressor.scoring.models.bert")
    name = dtype_for(select_device(device))
    dtype, shape = getattr(torch, name), Shape(batch=batch or (16 if device == "cpu" else 512))
    config = bert.BertConfig(
        shape.vocabulary, shape.hidden, shape.layers, shape.heads, shape.inner, shape.tokens, 2, 1e-12
    )
    module = bert.TokenClassifier(config).to(device=device, dtype=dtype).eval()
    ids = torch.randint(shape.vocabulary, (shape.batch, shape.tokens), device=device)
    work = _work(module, ids, device, way)
    with torch.inference_mode():
        seconds = _seconds(torch, device, work)
    peaks = _sheet(torch, device) or (*_measured(torch, device, dtype), "measured")
    description = f"{shape.batch} sequences of {shape.tokens} tokens"
    speed = shape.batch * shape.tokens / seconds
    return Bound(name, description, speed, shape.flops, shape.bytes(dtype.itemsize), *peaks)


def _work(module: Any, ids: Any, device: str, way: Way) -> Callable[[], object]:
    """One batch, whose sequences are all equally long, run in a way."""
    torch = import_module("torch")
    batch, tokens = ids.shape
    zeros = torch.zeros_like(ids)
    if way == "padded":
        ones = torch.ones_like(ids)
        return lambda: module(ids, ones, zeros)
    packed = import_module("compressor.scoring.models.packed_bert")
    network = packed.packed_network(module, select_device(device))
    if way == "compiled":
        network = torch.compile(network, dynamic=True)
    positions = torch.arange(tokens, device=device).repeat(batch)
    borders = torch.arange(0, (batch + 1) * tokens, tokens, device=device, dtype=torch.int32)
    return lambda: network(ids.flatten(), positions, zeros.flatten(), borders, tokens)


def _sheet(torch: Any, device: str) -> tuple[float, float, str] | None:
    """Returns the data sheet of a known GPU."""
    if not device.startswith("cuda"):
        return None
    name = torch.cuda.get_device_name(device)
    return next(((*DATA_SHEETS[key], f"{key}'s data sheet has") for key in DATA_SHEETS if key in name), None)


def _measured(torch: Any, device: str, dtype: Any) -> tuple[float, float]:
    """Returns FLOP/s of a large matrix product, and bytes/s (read and written) of a large copy."""
    kind = device.partition(":")[0]
    side, size = MATRIX_SIDE.get(kind, MATRIX_SIDE["cpu"]), COPY_NUMBERS.get(kind, COPY_NUMBERS["cpu"])
    a, b = (torch.randn(side, side, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    product = _seconds(torch, device, lambda: a @ b)
    source = torch.zeros(size, device=device, dtype=dtype)
    target = torch.empty_like(source)
    copy = _seconds(torch, device, lambda: target.copy_(source))
    return 2 * side**3 / product, 2 * size * source.element_size() / copy


def _seconds(torch: Any, device: str, work: Callable[[], object]) -> float:
    """Returns the best of a few runs after a warm-up run. A GPU works asynchronously, so it is synchronised."""
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
