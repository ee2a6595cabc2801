"""Runs our BERT on sequences that lie end to end, without padding, and chooses the fastest way that works on a device.

On a CUDA device with numbers of 16 bits, attention is torch's variable-length flash attention. `COMPRESSOR_COMPILE=1`
also compiles the network there, which takes up to a minute when a model is loaded. Each way is tried on two texts
first: one that raises, or that disagrees with the padded network, is not used. Import this module only where torch is
installed.

Not run on a GPU so far: the tests run the same code on a CPU, where attention goes from sequence to sequence.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from compressor.scoring.models.bert import Attention, TokenClassifier, padded_attention
from compressor.scoring.runtime.device import Device

#: "1" compiles networks on a CUDA device.
COMPILE_VARIABLE = "COMPRESSOR_COMPILE"
#: The least cosine of a token's outputs between a fast way and the padded network; in bfloat16 they reach .9999.
MIN_COSINE = 0.99
#: Where torch has variable-length attention, since 2.10.
VARLEN = "torch.nn.attention.varlen"
#: Lengths of the sequences on which a way is tried: two batches of different shapes.
TRIED = ((5, 33, 12), (64, 7))

Ints = npt.NDArray[np.int64]
#: The last layer's output of sequences that lie end to end [tokens, d], given ids, types and the sequences' lengths.
PackedForward = Callable[[Ints, Ints, Sequence[int]], torch.Tensor]
#: See `packed_network`.
Network = Callable[..., torch.Tensor]

logger = logging.getLogger(__name__)


def fastest_forward(module: TokenClassifier, device: Device) -> PackedForward:
    """Returns the network of a module in the fastest way that works: compiled, packed, or padded."""
    plain = padded_forward(module, device)
    for name, make in _candidates(module, device):
        try:
            forward = make()
            worst = min(_agreement(module, forward, plain, lengths) for lengths in TRIED)
        except Exception as error:  # compilers and kernels raise exceptions of many kinds
            logger.warning("%s: the %s network cannot run: %s: %s", device.name, name, type(error).__name__, error)
            continue
        if worst >= MIN_COSINE:
            return forward
        logger.warning("%s: the %s network gives other numbers (cosine %.3f)", device.name, name, worst)
    return plain


def can_pack(device: Device, dtype: torch.dtype) -> bool:
    """Returns whether torch has variable-length flash attention for a device and a type of numbers."""
    if not device.name.startswith("cuda") or dtype not in (torch.bfloat16, torch.float16):
        return False
    try:
        import_module(VARLEN)
    except ImportError:
        return False
    return torch.version.cuda is not None and torch.cuda.get_device_capability(device.name) >= (8, 0)


def compiles(device: Device) -> bool:
    """Returns whether networks are compiled: only on a CUDA device, and only if the user asks for it."""
    return device.name.startswith("cuda") and os.environ.get(COMPILE_VARIABLE) == "1"


def packed_forward(network: Network, device: Device) -> PackedForward:
    """Returns a network on sequences without padding, see `packed_network`."""

    def forward(ids: Ints, types: Ints, lengths: Sequence[int]) -> torch.Tensor:
        positions = np.concatenate([np.arange(n) for n in lengths])
        borders = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        with torch.inference_mode():
            tensors = (torch.from_numpy(x).to(device.name) for x in (ids, positions, types, borders))
            return network(*tensors, max(lengths))

    return forward


def packed_network(module: TokenClassifier, device: Device) -> Network:
    """Returns the network of a module as a function of ids, positions, types, the sequences' borders and the longest.

    The borders [sequences + 1] int32 are where sequences begin and the last one ends.
    """
    on_cuda = device.name.startswith("cuda")
    attention = flash_attention(import_module(VARLEN).varlen_attn) if on_cuda else separate_attention

    def network(
        ids: torch.Tensor, positions: torch.Tensor, types: torch.Tensor, borders: torch.Tensor, longest: int
    ) -> torch.Tensor:
        return module.hidden(ids, positions, types, attention(borders, longest))

    return network


def flash_attention(varlen: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor, int], Attention]:
    """Returns torch's variable-length attention as `separate_attention`. Only on CUDA: not run so far."""

    def attention(borders: torch.Tensor, longest: int) -> Attention:
        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return varlen(q, k, v, borders, borders, longest, longest)

        return attend

    return attention


def separate_attention(borders: torch.Tensor, longest: int) -> Attention:
    """Returns the attention within sequences [tokens, heads, d], one after another. Runs everywhere."""
    lengths = borders.diff().tolist()

    def attend(*projected: torch.Tensor) -> torch.Tensor:
        parts = zip(*(torch.split(x.transpose(0, 1), lengths, dim=1) for x in projected), strict=True)
        mixed = [functional.scaled_dot_product_attention(*(x[None] for x in part))[0] for part in parts]
        return torch.cat(mixed, 1).transpose(0, 1)

    return attend


def padded_forward(module: TokenClassifier, device: Device) -> PackedForward:
    """Returns the network of a module with padding, which runs everywhere."""

    def forward(ids: Ints, types: Ints, lengths: Sequence[int]) -> torch.Tensor:
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        wide = np.zeros((2, *mask.shape), np.int64)
        wide[0][mask], wide[1][mask] = ids, types
        with torch.inference_mode():
            real = torch.from_numpy(mask).to(device.name)
            tokens, kinds = torch.from_numpy(wide).to(device.name)
            positions = torch.arange(mask.shape[1], device=device.name)
            found: torch.Tensor = module.hidden(tokens, positions, kinds, padded_attention(real))[real]
        return found

    return forward


def _candidates(module: TokenClassifier, device: Device) -> Iterator[tuple[str, Callable[[], PackedForward]]]:
    """The fast ways that a device may have, the fastest first."""
    if not can_pack(device, next(module.parameters()).dtype):
        return
    if compiles(device):
        yield "compiled", lambda: packed_forward(torch.compile(packed_network(module, device), dynamic=True), device)
    yield "packed", lambda: packed_forward(packed_network(module, device), device)


def _agreement(module: TokenClassifier, forward: PackedForward, plain: PackedForward, lengths: Sequence[int]) -> float:
    """The least cosine of a token's outputs in two ways."""
    ids = np.random.default_rng(0).integers(0, module.words.num_embeddings, sum(lengths))
    one, other = (run(ids, np.zeros_like(ids), lengths).float() for run in (forward, plain))
    return float(functional.cosine_similarity(one, other, dim=-1).min())
