"""Computes log-probabilities of tokens with a causal language model from a GGUF file, many sequences in one batch.

This uses llama.cpp's low-level interface, because the high-level class `Llama` computes one sequence at a time. Here,
sequences with the same prefix share its cells, so the prefix is computed once, and logits are computed only for the
tokens whose probabilities are needed.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.errors import ModelError
from compressor.scoring.models.gguf_loader import MAX_SEQUENCES, open_gguf
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device

#: Logits whose exponentials are held in memory at a time.
EXP_BLOCK = 1 << 20
#: Bytes of remembered log-likelihoods.
CACHE_BYTES = 32 << 20

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """One sequence of tokens to score.

    Attributes:
        prefix: [p] int32 tokens before the scored ones, at least one.
        ids: [n] int32 tokens after the prefix, at least one.
        first: The index in `ids` of the first token whose log-probability is needed.
    """

    prefix: Ids
    ids: Ids
    first: int = 0

    def __len__(self) -> int:
        return len(self.prefix) + len(self.ids)


class GgufLanguageModel:
    """A causal language model from a GGUF file; threads may share it, as the device's worker runs one batch at a time.

    Args:
        path: The GGUF file.
        device: The device to run on.

    Attributes:
        name: The file's name.
        vocabulary: Turns text into tokens.
        window: Tokens of a sequence that fit, its prefix included.
    """

    def __init__(self, path: Path, device: Device) -> None:
        self._gguf = open_gguf(path, device)
        self.name, self.vocabulary, self.window = path.name, self._gguf.vocabulary, self._gguf.window
        limits = BatchLimits(batch_tokens=self._gguf.tokens, batch_items=MAX_SEQUENCES)
        self._scheduler: BatchScheduler[ScoredSequence, Floats] = BatchScheduler(
            self._run_batch, len, device.name, limits, path.name
        )
        self._cache: TwoGenerationCache[Floats] = TwoGenerationCache(CACHE_BYTES)

    def token_nll(self, items: Sequence[ScoredSequence]) -> list[Floats]:
        """Returns the negative log-likelihood of each token, given all tokens before it. Results are cached.

        Args:
            items: The sequences; each may have at most `window` tokens.

        Returns:
            For each sequence [len(ids) - first] float32, in nats.

        Raises:
            QueueFullError: The result was not ready before the deadline.
            ModelError: llama.cpp failed, or returned NaN or infinity.
        """
        keys = [_key(s) for s in items]
        out = {k: v for k in keys if (v := self._cache.get(k)) is not None}
        new = {k: s for k, s in zip(keys, items, strict=True) if k not in out}
        for k, v in zip(new, self._scheduler.map(list(new.values())), strict=True):
            self._cache.put(k, v)
            out[k] = v
        return [out[k] for k in keys]

    def _run_batch(self, items: Sequence[ScoredSequence]) -> list[Floats]:
        api, context = self._gguf.api, self._gguf.context
        batch = _Batch(items, self._gguf.shares_prefixes)
        api.llama_memory_clear(api.llama_get_memory(context), False)
        status = api.llama_decode(context, batch.struct(api))
        if status in (1, -2):
            raise MemoryError(f"{self.name}: not enough memory for {len(batch.token)} tokens")
        if status:
            raise ModelError(f"{self.name}: llama.cpp failed with status {status}")
        # This is a view, valid until the next batch.
        logits = np.ctypeslib.as_array(api.llama_get_logits(context), (batch.rows, self.vocabulary.size))
        nats = _log_sums(logits)[batch.row] - logits[batch.row, batch.target]
        if not np.isfinite(nats).all():
            raise ModelError(f"{self.name} returned NaN or infinity")
        return np.split(nats, np.cumsum([len(s.ids) - s.first for s in items])[:-1])


class _Batch:
    """Sequences laid out for `llama_decode`, with each distinct prefix once for all sequences that start with it.

    Attributes:
        token: [n] the tokens.
        position: [n] each token's position in its sequence.
        owners: [n] how many sequences a token belongs to.
        owner: [n] the first of these sequences; their numbers are consecutive.
        row: [wanted] the row of logits that predicts each scored token.
        target: [wanted] the scored tokens.
    """

    def __init__(self, items: Sequence[ScoredSequence], shares_prefixes: bool) -> None:
        groups: dict[object, list[int]] = {}
        for i, s in enumerate(items):
            groups.setdefault(s.prefix.tobytes() if shares_prefixes else i, []).append(i)
        tokens: list[Ids] = []
        positions: list[Ids] = []
        owners: list[Ids] = []
        wanted: list[npt.NDArray[np.bool_]] = []
        before: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(items)
        length, number = 0, 0
        for members in groups.values():
            prefix = items[members[0]].prefix
            last = length + len(prefix) - 1
            tokens.append(prefix)
            positions.append(np.arange(len(prefix), dtype=np.int32))
            owners.append(np.full((len(prefix), 2), (len(members), number), np.int32))
            wanted.append(np.zeros(len(prefix), np.bool_))
            wanted[-1][-1] = any(items[i].first == 0 for i in members)
            length += len(prefix)
            for i in members:
                s, n = items[i], len(items[i].ids) - 1  # the last token predicts nothing that is scored
                before[i] = np.append(last, length + np.arange(n))[s.first :]
                tokens.append(s.ids[:n])
                positions.append(np.arange(len(prefix), len(prefix) + n, dtype=np.int32))
                owners.append(np.full((n, 2), (1, number), np.int32))
                wanted.append(np.arange(1, n + 1) >= s.first)
                length, number = length + n, number + 1
        self.token = np.concatenate(tokens)
        self.position = np.concatenate(positions)
        self.owners, self.owner = np.ascontiguousarray(np.concatenate(owners).T)
        self.wanted = np.concatenate(wanted).astype(np.int8)
        self.rows = int(self.wanted.sum())
        self.row = (np.cumsum(self.wanted) - 1)[np.concatenate(before)]
        self.target = np.concatenate([s.ids[s.first :] for s in items])
        # llama.cpp takes a token's sequences as a pointer to their numbers: all pointers point into one array.
        self._numbers = np.arange(number, dtype=np.int32)
        self._pointers = self._numbers.ctypes.data + self.owner.astype(np.uintp) * self._numbers.itemsize

    def struct(self, api: Any) -> Any:
        """Returns the arrays as llama.cpp takes them; they are valid as long as this object lives."""

        def pointer(array: npt.NDArray[Any], kind: Any) -> Any:
            return array.ctypes.data_as(ctypes.POINTER(kind))

        return api.llama_batch(
            n_tokens=len(self.token),
            token=pointer(self.token, ctypes.c_int32),
            pos=pointer(self.position, ctypes.c_int32),
            n_seq_id=pointer(self.owners, ctypes.c_int32),
            seq_id=pointer(self._pointers, ctypes.POINTER(ctypes.c_int32)),
            logits=pointer(self.wanted, ctypes.c_int8),
        )


def _log_sums(logits: Floats) -> Floats:
    """[rows] log of the sum of exponentials, computed a few rows at a time to bound memory."""
    out = np.empty(len(logits), np.float32)
    step = max(1, EXP_BLOCK // logits.shape[1])
    for i in range(0, len(logits), step):
        part = logits[i : i + step]
        peak = part.max(1)
        out[i : i + step] = peak + np.log(np.exp(part - peak[:, None]).sum(1))
    return out


def _key(item: ScoredSequence) -> str:
    sizes = np.array([len(item.prefix), item.first], np.int32)
    return hashlib.blake2b(np.concatenate([sizes, item.prefix, item.ids]).tobytes(), digest_size=16).hexdigest()


_lock = threading.Lock()
_models: dict[tuple[Path, str], GgufLanguageModel] = {}


def get_language_model(path: Path, device: Device) -> GgufLanguageModel:
    """Returns the model of a file on a device; the first call in a process loads it.

    Raises:
        ModelError: The model cannot be loaded.
    """
    key = path.resolve(), device.name
    if key not in _models:
        with _lock:
            if key not in _models:
                _models[key] = GgufLanguageModel(path, device)
    return _models[key]
