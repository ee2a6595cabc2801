"""Models that read a query and a text together and say of every token of the text whether to keep it.

`PairTokenClassifier` is what the pruner's reader asks of one; `PairClassifier` is the one implementation: a tokenizer with its
special tokens, and a function that computes log-odds. Knows no units, windows or checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
#: ids, attention mask, types [b, t] -> log-odds of keeping each token [b, t], and of each text being relevant [b]
Forward = Callable[[Ints, Ints, Ints], tuple[Floats, Floats | None]]
#: what a unit is worth: the mean log-odds of its tokens; the log-odds of their mean probability; the same with every
#: word counted once, however many tokens it has
Pool = Literal["logit", "probability", "word"]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A query and a text as one sequence of tokens.

    ids, types: [t] int64, special tokens among them. first: where the text's own tokens begin. spans: [k, 2] int64, the
    characters that each of the text's k tokens stands for.
    """

    ids: Ints
    types: Ints
    first: int
    spans: Ints

    def part(self, start: int, stop: int) -> EncodedPair:
        """The same query with the tokens [start, stop) of the text."""
        a, b, end = self.first + start, self.first + stop, self.first + len(self.spans)
        ids, types = (np.concatenate([x[: self.first], x[a:b], x[end:]]) for x in (self.ids, self.types))
        return EncodedPair(ids, types, self.first, self.spans[start:stop])


class PairTokenClassifier(Protocol):
    """What the pruner reads with. window: tokens it reads at once. weight: of the document's log-odds in a unit's."""

    @property
    def name(self) -> str: ...
    @property
    def window(self) -> int: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def weight(self) -> float: ...

    def encode(self, query: str, title: str, text: str) -> EncodedPair:
        """The whole of the text, however long; query and title cut to what the model takes of them."""
        ...

    def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
        """For each, [k] float32 log-odds of keeping the text's tokens, and those of the text being relevant (None from
        a model that does not say). None may be longer than the window. ModelError for numbers that are none."""
        ...


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Special tokens of a sequence, ids and types: `before` the query, `between` query and text, `after` the text; and
    the type of the text's own tokens."""

    before: tuple[Ints, Ints]
    between: tuple[Ints, Ints]
    after: tuple[Ints, Ints]
    text: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, pair: bool) -> SpecialTokens:
        """Read off what the tokenizer makes of two words, as a pair or, for models that take no query, one word."""
        found = tokenizer.encode("a", "b") if pair else tokenizer.encode("a")
        ids, types = np.array(found.ids, np.int64), np.array(found.type_ids, np.int64)
        owner = np.array([-1 if s is None else s for s in found.sequence_ids])
        text = np.flatnonzero(owner == int(pair))
        query = np.flatnonzero(owner == 0) if pair else text[:0]
        if not len(text) or len(query) < pair or owner[0] != -1:
            raise ModelError("its tokenizer.json does not say which special tokens stand around a text")
        begin = query[0] if pair else 0
        middle = query[-1] + 1 if pair else 0
        end = text[-1] + 1
        return cls(
            before=(ids[:begin], types[:begin]),
            between=(ids[middle : text[0]], types[middle : text[0]]),
            after=(ids[end:], types[end:]),
            text=int(types[text[0]]),
        )


@dataclass(frozen=True, slots=True)
class PairClassifier:
    """`PairTokenClassifier` of a tokenizer and a function. asks: tokens of the query, at most; 0 for a model that takes neither
    query nor title. titles: tokens of the title, at most."""

    name: str
    window: int
    pool: Pool
    weight: float
    tokenizer: Tokenizer
    frame: SpecialTokens
    forward: Forward
    uses_query: int
    uses_titles: int
    pad: int = 0

    def encode(self, query: str, title: str, text: str) -> EncodedPair:
        """See `PairTokenClassifier.encode`."""
        body, spans = self._tokens(text)
        asked, named = body[:0], body[:0]
        if self.uses_query:
            asked = self._tokens(query)[0][: min(self.uses_query, self.window // 4)]
            # a line break after the title: a space to most tokenizers, and what others have learned to expect
            named = self._tokens(title + "\n")[0][: min(self.uses_titles, self.window // 8)] if title else named
        frame = self.frame
        ids = [frame.before[0], asked, frame.between[0], named, body, frame.after[0]]
        kinds = [frame.before[1], asked * 0, frame.between[1], named * 0 + frame.text, body * 0 + frame.text]
        first = sum(map(len, ids[:4]))
        return EncodedPair(np.concatenate(ids), np.concatenate([*kinds, frame.after[1]]), first, spans)

    def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
        """See `PairTokenClassifier.run`."""
        shape = len(batch), max(len(e.ids) for e in batch)
        if shape[1] > self.window:
            raise ModelError(f"{self.name} reads {self.window} tokens at once, not {shape[1]}")
        ids, mask, types = np.full(shape, self.pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for i, e in enumerate(batch):
            ids[i, : len(e.ids)], mask[i, : len(e.ids)], types[i, : len(e.ids)] = e.ids, 1, e.types
        keep, document = self.forward(ids, mask, types)
        out: list[tuple[Floats, float | None]] = []
        for i, e in enumerate(batch):
            odds = keep[i, e.first : e.first + len(e.spans)]
            whole = None if document is None else float(document[i])
            if not (np.isfinite(odds).all() and np.isfinite(whole or 0.0)):
                raise ModelError(f"{self.name} gave numbers that are none")
            out.append((odds.copy(), whole))
        return out

    def _tokens(self, text: str) -> tuple[Ints, Ints]:
        """Ids [k] and spans [k, 2] of a text without special tokens."""
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair: the tokenizer takes none
        found = self.tokenizer.encode(text, add_special_tokens=False)
        return np.array(found.ids, np.int64), np.array(found.offsets, np.int64).reshape(-1, 2)


def bare_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer without its own cutting and padding, and blind to special tokens written out in a text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def wrap_torch(module: Any, device: str) -> Forward:
    """A torch module [b, t] x 3 -> ([b, t], [b] or None) as a function of arrays."""
    torch = import_module("torch")

    def forward(*arrays: Ints) -> tuple[Floats, Floats | None]:
        with torch.inference_mode():
            keep, document = module(*(torch.from_numpy(x).to(device) for x in arrays))
        return keep.float().cpu().numpy(), None if document is None else document.float().cpu().numpy()

    return forward
