"""Scores units by contrastive perplexity of a causal language model: the model of the `perplexity` tier.

The score follows LongLLMLingua (Jiang et al. 2023, arXiv 2310.06839, equation 3): a token counts as much as the
question makes it more likely, log p(x_i | question, x_<i) - log p(x_i | x_<i). Without a question, a token counts its
surprisal, -log p(x_i | x_<i), as in LLMLingua.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.models.bundled_pruner import build_query_text
from compressor.scoring.models.gguf_loader import validate_gguf
from compressor.scoring.models.gguf_logprobs import GgufLanguageModel, ScoredSequence, get_language_model
from compressor.scoring.models.gguf_tokenizer import GgufTokens
from compressor.scoring.models.windowing import split_windows, token_to_unit
from compressor.scoring.runtime.file_digest import file_digest

#: The question may fill one part in so many of a window.
QUERY_PARTS = 4
#: Characters of a source's title that are read before its text.
MAX_TITLE_CHARS = 300
#: Log-odds for one nat of contrast. This is not tuned.
CONTRAST_SCALE = 4.0
#: Log-odds for one nat of surprisal, used without a question.
SURPRISAL_SCALE = 0.5

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class PerplexityModel:
    """`RelevanceModel` of a causal language model. The first call of `relevance` loads it, once a process and device.

    Args:
        model: A GGUF file.
        device: See `select_device`.

    Raises:
        ModelError: No model is named, or the file cannot be read or is not a GGUF file.
        MissingDependencyError: llama-cpp-python is not installed.
        DeviceError: The device does not exist, or llama.cpp was built without support for it.
    """

    def __init__(self, model: str | Path | None, device: str | None = None) -> None:
        if not model:
            raise ModelError(
                "the scorer 'perplexity' needs a model: name a GGUF file, as in 'perplexity:/path/model.gguf'"
            )
        self.name = "perplexity"
        self.path = Path(model)
        self.device = validate_gguf(self.path, device)

    @property
    def identity(self) -> str:
        """What the scores depend on: the model's file and the device."""
        file = file_digest(self.path)
        return f"perplexity:{file}:{self.device.name}" if file else ""

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """Returns the mean over each unit's tokens; a unit without tokens gets the lowest score of the others."""
        model = self._model()
        wanted = np.zeros(len(units), np.bool_)
        wanted[which] = True
        windows = [
            w for s in np.unique(units.source_indices[which]).tolist() for w in _windows(model, units, s, wanted)
        ]
        if not windows:
            return np.zeros(len(which), np.float32)
        scores = _contrast(model, build_query_text(query), windows)
        unit = np.concatenate([w.unit for w in windows])
        inside = unit >= 0
        tokens = np.bincount(unit[inside], minlength=len(units))[which]
        total = np.bincount(unit[inside], np.concatenate(scores)[inside], len(units))[which]
        out: Scores = (total / np.maximum(tokens, 1)).astype(np.float32)
        out[tokens == 0] = out[tokens > 0].min(initial=np.inf) if (tokens > 0).any() else 0.0
        return out

    def _model(self) -> GgufLanguageModel:
        return get_language_model(self.path, self.device)


@dataclass(frozen=True, slots=True)
class _Window:
    """Tokens that are read at once.

    Attributes:
        ids: [n] the tokens.
        first: The index of the first scored token; those before it were scored in the previous window.
        unit: [n - first] the unit of each scored token, numbered over all sources; -1 for none.
    """

    ids: npt.NDArray[np.int32]
    first: int
    unit: Ints


def _windows(model: GgufLanguageModel, units: UnitBatch, source: int, wanted: npt.NDArray[np.bool_]) -> list[_Window]:
    """The windows of a source that score a wanted unit. They start with its title, and do not depend on the query."""
    layout, start = units.sources[source].layout, int(units.starts[source])
    title = units.sources[source].tool_call_text[:MAX_TITLE_CHARS]
    head = f"{title}: " if title else ""
    tokens = model.vocabulary.tokens(head + layout.text)
    owner = token_to_unit(_spans(tokens), layout.spans + len(head))
    out = []
    for a, b, first in _split(owner, _text_tokens(model)):
        mine = owner[a + first : b]
        unit = np.where(mine >= 0, mine + start, -1)
        if wanted[unit[mine >= 0]].any():
            out.append(_Window(tokens.ids[a:b], first, unit))
    return out


def _contrast(model: GgufLanguageModel, query: str, windows: list[_Window]) -> list[Floats]:
    """For each window, [len(ids) - first] log-odds of its tokens."""
    start = model.vocabulary.start
    plain = [ScoredSequence(start, w.ids, w.first) for w in windows]
    if not query:
        return [np.float32(SURPRISAL_SCALE) * nats for nats in model.token_nll(plain)]
    max_query_tokens = model.window // QUERY_PARTS - len(start)
    prefix = np.concatenate([start, model.vocabulary.tokens(f"{query}\n").ids[-max_query_tokens:]])
    nats = model.token_nll([*plain, *(ScoredSequence(prefix, w.ids, w.first) for w in windows)])
    pairs = zip(nats, nats[len(windows) :], strict=False)
    return [np.float32(CONTRAST_SCALE) * (alone - with_query) for alone, with_query in pairs]


def _text_tokens(model: GgufLanguageModel) -> int:
    """Tokens of text in a window. The rest is reserved for a question, so that windows do not depend on the query."""
    return model.window - model.window // QUERY_PARTS


def _split(owner: Ints, max_tokens: int) -> list[tuple[int, int, int]]:
    """The windows of `split_windows`, each with the number of its tokens that are in the previous window too."""
    found = split_windows(owner, max_tokens)
    return [(a, b, max(0, before - a)) for (a, b), (_, before) in zip(found, [(0, 0), *found], strict=False)]


def _spans(tokens: GgufTokens) -> Ints:
    """[n, 2] the characters of each token; of several tokens that share a character, all but the last are empty."""
    return np.stack([np.concatenate([[0], tokens.ends[:-1]]), tokens.ends], 1).astype(np.int64)
