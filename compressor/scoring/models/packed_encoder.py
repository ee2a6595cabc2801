"""Runs all-MiniLM-L6-v2 with our own BERT, from token ids, in batches without padding: the encoder on a CUDA device.

sentence-transformers would tokenize each text again on the thread that feeds the device. Its vectors are the same but
for the last bits of the device's type of numbers. Not run on a GPU so far; the tests run it on a CPU.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError
from compressor.scoring.models import bundled_pruner
from compressor.scoring.models.encoder_backend import Floats, Window, replace_surrogates
from compressor.scoring.models.hub_files import load_tokenizer
from compressor.scoring.models.pair_encoder import SpecialTokens
from compressor.scoring.runtime.batch_scheduler import BatchLimits
from compressor.scoring.runtime.device import Device, dtype_for

LIMITS = BatchLimits(batch_tokens=131_072, batch_items=2_048, batch_cost=4_096)
CPU_LIMITS = BatchLimits()

Ints = npt.NDArray[np.int64]


class PackedEncoder:
    """`EncoderBackend` of the bundled all-MiniLM-L6-v2 in torch.

    Args:
        folder: The model's folder.
        name: The model's name, for messages.
        digest: A hash of the model's files.
        device: The device to run on.

    Raises:
        ModelError: The model cannot be loaded.
    """

    separates_queries = False

    def __init__(self, folder: Path, name: str, digest: str, device: Device) -> None:
        torch, packed = import_module("torch"), import_module("compressor.scoring.models.packed_bert")
        dtype = dtype_for(device)
        self.name, self.fingerprint = name, f"{digest[:24]}-packed-{dtype}"
        self.limits = LIMITS if device.gpu else CPU_LIMITS
        module, _ = bundled_pruner.load_base(None)
        self.dimensions = int(module.words.embedding_dim)
        module = module.to(device=device.name, dtype=getattr(torch, dtype)).eval()
        self._forward: Any = packed.fastest_forward(module, device)
        self._torch, self._device = torch, device
        self._tokenizer: Any = load_tokenizer(folder)
        self._lock = threading.Lock()
        special = SpecialTokens.from_tokenizer(self._tokenizer, pair=False)
        self._before = np.concatenate([special.before[0], special.between[0]])
        self._after = special.after[0]
        try:
            window = int(json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{name} cannot be loaded: {error}") from error
        self._text_tokens = window - len(self._before) - len(self._after)

    def split(self, texts: Sequence[str], is_query: bool) -> list[list[Window]]:
        """See `EncoderBackend.split`. A window's content is its token ids, special tokens included."""
        with self._lock:
            found = self._tokenizer.encode_batch([replace_surrogates(t) for t in texts], add_special_tokens=False)
        return [
            [Window(ids, len(ids), is_query) for ids in self._windows(np.array(one.ids, np.int64))] for one in found
        ]

    def encode(self, windows: Sequence[Window]) -> Floats:
        """See `EncoderBackend.encode`."""
        torch = self._torch
        lengths = [window.tokens for window in windows]
        ids = np.concatenate([window.content for window in windows])
        with torch.inference_mode():
            hidden = self._forward(ids, np.zeros_like(ids), lengths)
            owner = torch.repeat_interleave(torch.tensor(lengths)).to(self._device.name)
            total = torch.zeros(len(lengths), self.dimensions, dtype=torch.float32, device=self._device.name)
            total.index_add_(0, owner, hidden.float())
            found: Floats = total.cpu().numpy() / np.array(lengths, np.float32)[:, None]
        return found

    def _windows(self, ids: Ints) -> list[Ints]:
        parts = np.array_split(ids, -(-len(ids) // self._text_tokens)) if len(ids) else []
        return [np.concatenate([self._before, part, self._after]) for part in parts]
