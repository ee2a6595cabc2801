"""The reader of the `perplexity` tier: what a language model's surprise says of a text, with and without the question.

Contrastive perplexity after LongLLMLingua (Jiang et al. 2023, arXiv 2310.06839, equation 3): a token is worth as much
as the question makes it less surprising, log p(x_i | question, x_<i) - log p(x_i | x_<i). Without a question, a token
is worth its surprisal, -log p(x_i | x_<i), as in LLMLingua. Runs no model itself (`llama`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.models.bundled_pruner import build_query_text
from compressor.scoring.models.gguf_loader import TINY, validate_gguf
from compressor.scoring.models.gguf_logprobs import GgufLanguageModel, ScoredSequence, language_model
from compressor.scoring.models.gguf_tokenizer import GgufTokens
from compressor.scoring.models.windowing import split_windows, token_to_unit
from compressor.scoring.runtime.file_digest import file_digest
from compressor.text.segmenters.base import Spans

ASKED = 4  # the question may fill this part of a window
STEP = 64  # tokens of plain text that windows have in common
LONGEST_TITLE = 300  # characters
CONTRAST = 4.0  # log-odds a nat. Not tuned: the shipped model tells too little of a question to tune it on
SURPRISE = 0.5  # the same without a question

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class PerplexityModel:
    """`RelevanceModel` of a causal language model.

    model: a GGUF file, None for the shipped one (tiny: for tests, and to show how it works). device: see
    `device.choose`. Making one raises MissingDependencyError, ModelError and DeviceError for what can be told without loading;
    the model is loaded by the first `read`, once a process and device.
    """

    def __init__(self, model: str | Path | None = None, device: str | None = None) -> None:
        self.name = "perplexity"
        self.path = Path(model) if model else TINY
        self.device = validate_gguf(self.path, device)

    @property
    def identity(self) -> str:
        """The model's file and the device."""
        file = file_digest(self.path)
        return f"perplexity:{file}:{self.device.name}" if file else ""

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        """See `RelevanceModel.relevance`: the mean of a unit's tokens. A unit without a token gets the lowest score there is."""
        model = self._model()
        wanted = np.zeros(len(units), np.bool_)
        wanted[which] = True
        windows = [
            w for s in np.unique(units.source_indices[which]).tolist() for w in _windows(model, units, s, wanted)
        ]
        if not windows:
            return np.zeros(len(which), np.float32)
        worth = _contrast(model, build_query_text(query), windows)
        unit = np.concatenate([w.unit for w in windows])
        inside = unit >= 0
        tokens = np.bincount(unit[inside], minlength=len(units))[which]
        total = np.bincount(unit[inside], np.concatenate(worth)[inside], len(units))[which]
        out: Scores = (total / np.maximum(tokens, 1)).astype(np.float32)
        out[tokens == 0] = out[tokens > 0].min(initial=np.inf) if (tokens > 0).any() else 0.0
        return out

    def surprisals(self, text: str) -> tuple[Spans, Floats]:
        """[k, 2] the characters of each token, in order and without gaps, and [k] its surprisal in nats. Tokens that
        share a character are one."""
        model = self._model()
        tokens = model.vocabulary.tokens(text)
        if not len(tokens.ids):
            return np.zeros((0, 2), np.int32), np.zeros(0, np.float32)
        place = np.arange(len(tokens.ids), dtype=np.int64)
        parts = _cut(place // STEP, _room(model))
        items = [ScoredSequence(model.vocabulary.start, tokens.ids[a:b], first) for a, b, first in parts]
        nats = np.concatenate(model.token_nll(items))
        begins = np.concatenate([[0], tokens.ends[:-1]])
        first = np.flatnonzero(
            np.diff(begins, prepend=-1) > 0
        )  # a token that begins where the one before did is its end
        ends = np.append(begins[first[1:]], len(text))
        return np.stack([begins[first], ends], 1).astype(np.int32), np.add.reduceat(nats, first)

    def _model(self) -> GgufLanguageModel:
        return language_model(self.path, self.device)


@dataclass(frozen=True, slots=True)
class _Window:
    """Tokens read at once, of which those before `first` were scored in the window before. unit: [len(ids) - first] the
    unit of each of the others, numbered over all sources, -1 for none."""

    ids: npt.NDArray[np.int32]
    first: int
    unit: Ints


def _windows(model: GgufLanguageModel, units: UnitBatch, source: int, wanted: npt.NDArray[np.bool_]) -> list[_Window]:
    """The windows of a source that score a wanted unit; they depend on the source alone. Its title comes first."""
    layout, start = units.sources[source].layout, int(units.starts[source])
    title = units.sources[source].tool_call_text[:LONGEST_TITLE]
    head = f"{title}: " if title else ""
    tokens = model.vocabulary.tokens(head + layout.text)
    owner = token_to_unit(_spans(tokens), layout.spans + len(head))
    out = []
    for a, b, first in _cut(owner, _room(model)):
        mine = owner[a + first : b]
        unit = np.where(mine >= 0, mine + start, -1)
        if wanted[unit[mine >= 0]].any():
            out.append(_Window(tokens.ids[a:b], first, unit))
    return out


def _contrast(model: GgufLanguageModel, asked: str, windows: list[_Window]) -> list[Floats]:
    """Per window [len(ids) - first] log-odds of its tokens."""
    start = model.vocabulary.start
    plain = [ScoredSequence(start, w.ids, w.first) for w in windows]
    if not asked:
        return [np.float32(SURPRISE) * nats for nats in model.token_nll(plain)]
    most = model.window // ASKED - len(start)
    prefix = np.concatenate([start, model.vocabulary.tokens(f"{asked}\n").ids[-most:]])
    nats = model.token_nll([*plain, *(ScoredSequence(prefix, w.ids, w.first) for w in windows)])
    pairs = zip(nats, nats[len(windows) :], strict=False)
    return [np.float32(CONTRAST) * (alone - told) for alone, told in pairs]


def _room(model: GgufLanguageModel) -> int:
    """Tokens of a window's text; the rest is the question's, asked or not, so that texts keep their windows."""
    return model.window - model.window // ASKED


def _cut(owner: Ints, room: int) -> list[tuple[int, int, int]]:
    """Windows as `windows.cut` makes them, and how many tokens of each were in the one before."""
    found = split_windows(owner, room)
    return [(a, b, max(0, before - a)) for (a, b), (_, before) in zip(found, [(0, 0), *found], strict=False)]


def _spans(tokens: GgufTokens) -> Ints:
    """[n, 2] the characters of each token; of several that share one, all but the last are empty."""
    return np.stack([np.concatenate([[0], tokens.ends[:-1]]), tokens.ends], 1).astype(np.int64)
