"""A causal language model from a GGUF file, run by llama.cpp: the nats of tokens, many sequences in one pass.

Knows tokens, not what they stand for (`llama_text`) nor how a file is opened (`llama_file`). Everything goes through
llama.cpp's low-level interface: sequences that begin alike share the cells of their prefix, so it is computed once, and
only the logits that are asked for are computed.
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
from compressor.scoring.models.gguf_loader import SEQUENCES, open_gguf
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.device import Device

ROWS = 1 << 20  # numbers whose exponentials are held at a time

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ScoredSequence:
    """A sequence: `prefix` and what follows, neither empty; and from which token of the latter nats are wanted."""

    prefix: Ids
    ids: Ids
    first: int = 0

    def __len__(self) -> int:
        return len(self.prefix) + len(self.ids)


class GgufLanguageModel:
    """A loaded GGUF. Safe to share between threads: one pass at a time, in the device's worker.

    window: tokens of a sequence, prefix included, that fit. vocabulary: text to tokens and back.
    """

    def __init__(self, path: Path, device: Device) -> None:
        self._opened = open_gguf(path, device)
        self.name, self.vocabulary, self.window = path.name, self._opened.vocabulary, self._opened.window
        limits = BatchLimits(batch_tokens=self._opened.tokens, batch_items=SEQUENCES)
        self._lane: BatchScheduler[ScoredSequence, Floats] = BatchScheduler(
            self._pass, len, device.name, limits, path.name
        )
        self._memo: TwoGenerationCache[Floats] = TwoGenerationCache()

    def token_nll(self, items: Sequence[ScoredSequence]) -> list[Floats]:
        """Per item [len(ids) - first] float32: -log p of each wanted token given all before it. Remembered by what
        was asked. Raises Overloaded, and ModelError if llama.cpp fails or a number is none."""
        keys = [_key(s) for s in items]
        out = {k: v for k in keys if (v := self._memo.get(k)) is not None}
        new = {k: s for k, s in zip(keys, items, strict=True) if k not in out}
        for k, v in zip(new, self._lane.map(list(new.values())), strict=True):
            self._memo.put(k, v, v.nbytes)
            out[k] = v
        return [out[k] for k in keys]

    def _pass(self, items: Sequence[ScoredSequence]) -> list[Floats]:
        api, context = self._opened.api, self._opened.context
        batch = _Batch(items, self._opened.shares)
        api.llama_memory_clear(api.llama_get_memory(context), False)
        status = api.llama_decode(context, batch.struct(api))
        if status in (1, -2):
            raise MemoryError(f"{self.name}: no room for {len(batch.token)} tokens")
        if status:
            raise ModelError(f"{self.name}: llama.cpp failed with status {status}")
        # A view, valid until the next pass.
        logits = np.ctypeslib.as_array(api.llama_get_logits(context), (batch.rows, self.vocabulary.size))
        nats = _log_sums(logits)[batch.row] - logits[batch.row, batch.target]
        if not np.isfinite(nats).all():
            raise ModelError(f"{self.name}: gives logits that are no numbers")
        return np.split(nats, np.cumsum([len(s.ids) - s.first for s in items])[:-1])


class _Batch:
    """Sequences laid out for `llama_decode`: each distinct prefix once, for all sequences it begins.

    token, position, owners, owner: [n] a token, its place in its sequence, of how many sequences it is and the first of
    them (they are numbered in order). row, target: [wanted] the row of logits that foretells each wanted token, and it.
    """

    def __init__(self, items: Sequence[ScoredSequence], share: bool) -> None:
        groups: dict[object, list[int]] = {}
        for i, s in enumerate(items):
            groups.setdefault(s.prefix.tobytes() if share else i, []).append(i)
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
                s, n = items[i], len(items[i].ids) - 1  # the last token foretells nothing that is wanted
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
        # A token's sequences are given as a pointer to their numbers: all point into one list of the numbers.
        self._numbers = np.arange(number, dtype=np.int32)
        self._pointers = self._numbers.ctypes.data + self.owner.astype(np.uintp) * self._numbers.itemsize

    def struct(self, api: Any) -> Any:
        """The arrays as llama.cpp takes them; valid as long as this object."""

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
    """[rows] log of the sum of the exponentials, a few rows at a time."""
    out = np.empty(len(logits), np.float32)
    step = max(1, ROWS // logits.shape[1])
    for i in range(0, len(logits), step):
        part = logits[i : i + step]
        most = part.max(1)
        out[i : i + step] = most + np.log(np.exp(part - most[:, None]).sum(1))
    return out


def _key(item: ScoredSequence) -> str:
    sizes = np.array([len(item.prefix), item.first], np.int32)
    return hashlib.blake2b(np.concatenate([sizes, item.prefix, item.ids]).tobytes(), digest_size=16).hexdigest()


_lock = threading.Lock()
_models: dict[tuple[Path, str], GgufLanguageModel] = {}


def language_model(path: Path, device: Device) -> GgufLanguageModel:
    """The model of that file on that device, loaded once a process. ModelError if it cannot be; see `llama_file`."""
    key = path.resolve(), device.name
    if key not in _models:
        with _lock:
            if key not in _models:
                _models[key] = GgufLanguageModel(path, device)
    return _models[key]
