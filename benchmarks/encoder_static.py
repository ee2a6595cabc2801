"""Makes static word vectors of the bundled sentence encoder, in the manner of model2vec, for the benchmarks.

Every token of the vocabulary runs through all-MiniLM-L6-v2 by itself, principal components shorten the vectors, and
Zipf's law stands in for frequencies: the vocabulary of BERT is sorted by them. The vector of a text is the weighted
mean of its tokens. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring.models.bundled_pruner import base_folder
from compressor.scoring.models.encoder_backend import Floats, Window, replace_surrogates
from compressor.scoring.models.hub_files import load_tokenizer
from compressor.scoring.runtime.batch_scheduler import BatchLimits

DIMENSIONS = 256
#: Of smooth inverse frequency (Arora, Liang, Ma 2017), as model2vec has it.
SIF = 1e-4
BATCH = 512
#: The first ids of BERT's vocabulary are special and unused tokens.
FIRST_TOKEN = 999

Ints = npt.NDArray[np.int64]


def distil(dimensions: int = DIMENSIONS) -> Floats:
    """Returns [vocabulary, dimensions] float32, the weighted vector of each token; 0 for special tokens."""
    torch, library = import_module("torch"), import_module("sentence_transformers")
    model = library.SentenceTransformer(str(base_folder()), device="cpu").float().eval()
    tokenizer = load_tokenizer(base_folder())
    size = tokenizer.get_vocab_size()
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    rows = []
    with torch.inference_mode():
        for start in range(0, size, BATCH):
            token = torch.arange(start, min(start + BATCH, size))
            ids = torch.stack([torch.full_like(token, first), token, torch.full_like(token, last)], dim=1)
            hidden = model[0]({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["token_embeddings"]
            rows.append(hidden.mean(1).numpy())
    vectors = np.concatenate(rows).astype(np.float64)
    vectors -= vectors.mean(0)
    values, axes = np.linalg.eigh(vectors.T @ vectors)
    vectors = vectors @ axes[:, np.argsort(-values)[:dimensions]]
    share = 1 / np.arange(2, size + 2)
    vectors *= (SIF / (SIF + share / share.sum()))[:, None]
    vectors[:FIRST_TOKEN] = 0
    out: Floats = vectors.astype(np.float32)
    return out


class StaticEncoder:
    """`EncoderBackend` of static word vectors: a vector of a text is the mean of its tokens' vectors.

    Args:
        vectors: [vocabulary, d] the tokens' vectors, see `distil`.
    """

    separates_queries = False
    limits = BatchLimits(batch_tokens=1 << 20, batch_items=4_096, max_padding_fraction=1.0)

    def __init__(self, vectors: Floats) -> None:
        self.name, self.fingerprint, self.dimensions = "static word vectors", "static", vectors.shape[1]
        self._vectors = vectors
        self._tokenizer: Any = load_tokenizer(base_folder())

    def split(self, texts: Sequence[str], is_query: bool) -> list[list[Window]]:
        """See `EncoderBackend.split`. A text is one window; none if its tokens have no vector."""
        found = self._tokenizer.encode_batch([replace_surrogates(text) for text in texts], add_special_tokens=False)
        known = [np.array([i for i in one.ids if i >= FIRST_TOKEN], np.int64) for one in found]
        return [[Window(ids, len(ids), is_query)] if len(ids) else [] for ids in known]

    def encode(self, windows: Sequence[Window]) -> Floats:
        """See `EncoderBackend.encode`."""
        ids: list[Ints] = [window.content for window in windows]
        sizes = np.array([len(one) for one in ids])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        out: Floats = np.add.reduceat(self._vectors[np.concatenate(ids)], starts, axis=0) / sizes[:, None]
        return out.astype(np.float32)
