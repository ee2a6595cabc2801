"""Models that read a query and a text together and rate each token of the text.

`PairTokenClassifier` is the protocol that the pruner tier uses. `PairClassifier` implements it with a tokenizer, its
special tokens, and a function that computes log-odds.
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

    from compressor.scoring.runtime.device import Device

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
#: Token ids, mask and types [b, t] to log-odds of keeping each token [b, t], and of the text being relevant [b].
Forward = Callable[[Ints, Ints, Ints], tuple[Floats, Floats | None]]
#: How log-odds of tokens become those of a unit: "logit" takes their mean, "probability" the log-odds of the mean
#: probability, and "word" does the same but counts each word once, however many tokens it has.
Pool = Literal["logit", "probability", "word"]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A query and a text as one sequence of tokens.

    Attributes:
        ids: [t] int64 token ids, special tokens included.
        types: [t] int64 token types.
        first: The index of the text's first token.
        spans: [k, 2] int64, the characters of each of the text's k tokens.
    """

    ids: Ints
    types: Ints
    first: int
    spans: Ints

    def part(self, start: int, stop: int) -> EncodedPair:
        """Returns the same query with the tokens [start, stop) of the text."""
        a, b, end = self.first + start, self.first + stop, self.first + len(self.spans)
        ids, types = (np.concatenate([x[: self.first], x[a:b], x[end:]]) for x in (self.ids, self.types))
        return EncodedPair(ids, types, self.first, self.spans[start:stop])


class PairTokenClassifier(Protocol):
    """A model of the pruner tier."""

    @property
    def name(self) -> str:
        """The model's name, for messages."""
        ...

    @property
    def window(self) -> int:
        """Tokens that the model reads at once."""
        ...

    @property
    def pool(self) -> Pool:
        """How log-odds of tokens become those of a unit."""
        ...

    @property
    def weight(self) -> float:
        """The weight of the document's log-odds in a unit's."""
        ...

    def encode(self, query: str, title: str, text: str) -> EncodedPair:
        """Returns the whole text, however long, with query and title cut to the tokens that the model uses."""
        ...

    def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
        """Rates the tokens of each pair.

        Args:
            batch: The pairs; none may be longer than the window.

        Returns:
            For each pair, [k] float32 log-odds of keeping the text's tokens, and the log-odds of the text being
            relevant; None for a model without such a head.

        Raises:
            ModelError: The model returned NaN or infinity.
        """
        ...


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens of a sequence, as ids and types.

    Attributes:
        before: The tokens before the query.
        between: The tokens between query and text.
        after: The tokens after the text.
        text: The type of the text's own tokens.
    """

    before: tuple[Ints, Ints]
    between: tuple[Ints, Ints]
    after: tuple[Ints, Ints]
    text: int

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer, pair: bool) -> SpecialTokens:
        """Finds the special tokens by encoding two words as a pair, or one word for models without a query."""
        found = tokenizer.encode("a", "b") if pair else tokenizer.encode("a")
        ids, types = np.array(found.ids, np.int64), np.array(found.type_ids, np.int64)
        owner = np.array([-1 if s is None else s for s in found.sequence_ids])
        text = np.flatnonzero(owner == int(pair))
        query = np.flatnonzero(owner == 0) if pair else text[:0]
        if not len(text) or len(query) < pair or owner[0] != -1:
            raise ModelError("its tokenizer.json does not define which special tokens surround a text")
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
    """`PairTokenClassifier` of a tokenizer and a function.

    Attributes:
        name: The model's name.
        window: Tokens that the model reads at once.
        pool: How log-odds of tokens become those of a unit.
        weight: The weight of the document's log-odds in a unit's.
        tokenizer: The model's tokenizer.
        frame: Its special tokens.
        forward: Computes log-odds.
        max_query_tokens: Tokens of the query that are read; 0 for a model that reads neither query nor title.
        max_title_tokens: Tokens of the title that are read.
        pad: The padding token's id.
    """

    name: str
    window: int
    pool: Pool
    weight: float
    tokenizer: Tokenizer
    frame: SpecialTokens
    forward: Forward
    max_query_tokens: int
    max_title_tokens: int
    pad: int = 0

    def encode(self, query: str, title: str, text: str) -> EncodedPair:
        """See `PairTokenClassifier.encode`."""
        body, spans = self._tokens(text)
        query_ids, title_ids = body[:0], body[:0]
        if self.max_query_tokens:
            query_ids = self._tokens(query)[0][: min(self.max_query_tokens, self.window // 4)]
            # Most tokenizers read the line break after the title as a space; other models were trained with it.
            title_ids = (
                self._tokens(title + "\n")[0][: min(self.max_title_tokens, self.window // 8)] if title else title_ids
            )
        frame = self.frame
        ids = [frame.before[0], query_ids, frame.between[0], title_ids, body, frame.after[0]]
        kinds = [frame.before[1], query_ids * 0, frame.between[1], title_ids * 0 + frame.text, body * 0 + frame.text]
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
                raise ModelError(f"{self.name} returned NaN or infinity")
            out.append((odds.copy(), whole))
        return out

    def _tokens(self, text: str) -> tuple[Ints, Ints]:
        """Ids [k] and spans [k, 2] of a text, without special tokens."""
        text = text.encode("utf-8", "replace").decode()  # the tokenizer refuses lone surrogates
        found = self.tokenizer.encode(text, add_special_tokens=False)
        return np.array(found.ids, np.int64), np.array(found.offsets, np.int64).reshape(-1, 2)


def bare_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Returns the tokenizer without truncation and padding, and made to read special tokens in a text as plain text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def wrap_torch(module: Any, device: str) -> Forward:
    """Returns a torch module, which maps three tensors [b, t] to [b, t] and [b] or None, as a function of arrays."""
    torch = import_module("torch")

    def forward(*arrays: Ints) -> tuple[Floats, Floats | None]:
        with torch.inference_mode():
            keep, document = module(*(torch.from_numpy(x).to(device) for x in arrays))
        return keep.float().cpu().numpy(), None if document is None else document.float().cpu().numpy()

    return forward


def wrap_packed(module: Any, device: Device) -> Forward:
    """Returns a `bert.TokenClassifier` as a function of arrays, run in the fastest way that works on the device."""
    torch, packed = import_module("torch"), import_module("compressor.scoring.models.packed_bert")
    run = packed.fastest_forward(module, device)

    def forward(ids: Ints, mask: Ints, types: Ints) -> tuple[Floats, Floats | None]:
        real = mask > 0
        lengths = real.sum(1)
        with torch.inference_mode():
            hidden = run(ids[real], types[real], lengths.tolist())
            first = torch.from_numpy(np.cumsum(lengths) - lengths).to(device.name)
            keep = module.keep(hidden).squeeze(-1).float().cpu().numpy()
            document: Floats = module.document(hidden[first]).squeeze(-1).float().cpu().numpy()
        out = np.zeros(ids.shape, np.float32)
        out[real] = keep
        return out, document

    return forward
