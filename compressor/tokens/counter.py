"""Counts the tokens of texts, messages and requests: `get_counter(model)` is the only way the package counts.

What one message costs (OpenAI cookbook, "How to count tokens with tiktoken"; the numbers are in `model_families.py`):

    per_message + role + every text + every image + every file + name (+1 for each participant's name)
    + encrypted payloads + per_call + name + arguments for each tool call; each further call or result in a message
      counts as a message

A request costs its messages, the tokens that prime the reply, and its tool schemas (`tool_tokens.py`). The formulas for
images are in `image_tokens.py`, those for files in `file_tokens.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from compressor.context.image_edits import parse_picture_edit
from compressor.context.model import Context, Image, TextSlot, Turn
from compressor.context.running_totals import totals_of
from compressor.tokens.base import Offsets, Spans, Tokenizer
from compressor.tokens.file_tokens import file_formula
from compressor.tokens.image_tokens import image_formula
from compressor.tokens.model_families import DEFAULT_MODEL, OPEN, ModelFamily, find_family
from compressor.tokens.openai_bpe import get_byte_pair_tokenizer
from compressor.tokens.tokenizer_files import find_tokenizer_file, load_tokenizer_file
from compressor.tokens.tool_tokens import count_tool_tokens


class TokenCounter:
    """Counts the tokens of one model. Made by `get_counter`, and safe to share between threads.

    Attributes:
        model: The model's name as given.
        name: Where counts come from: "o200k_base", "cl100k_base", "hf:<file>", "gguf:<file>" or "estimate:<family>".
        is_estimate: Whether the counts are estimates.
        scale: Tokens of the model per token of the underlying encoding; 1.0 unless the counts are estimates.
        file: The user's tokenizer file, if there is one.
        encoder: The package that encodes texts, with its version; for an OpenAI vocabulary, why it is not the fastest.
        counts_refs_alike: Whether all refs, which are twelve digits, take the same tokens.
        count: Returns the number of tokens in a text. Counting it again costs a dict lookup.
    """

    count: Callable[[str], int]

    def __init__(self, model: str, family: ModelFamily, tokenizer: Tokenizer, file: Path | None = None) -> None:
        self.model, self.file = model, file
        self.name = f"estimate:{family.name}" if family.is_estimate else tokenizer.name
        self.is_estimate = family.is_estimate
        self.scale = family.scale
        self._family = family
        self._tokenizer = tokenizer
        self.encoder, self.counts_refs_alike = tokenizer.encoder, tokenizer.counts_refs_alike
        self.count = tokenizer.count if self.scale == 1.0 else self._estimate
        self._image = image_formula(model, family.name)
        self._file = file_formula(model, self._image, self.scale)

    def __repr__(self) -> str:
        return f"<TokenCounter {self.model!r}: {self.name}>"

    def _estimate(self, text: str) -> int:
        return math.ceil(self._tokenizer.count(text) * self.scale)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each text."""
        return list(map(self.count, texts))

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each of many texts. They are not remembered."""
        counts = self._tokenizer.count_batch(texts)
        return counts if self.scale == 1.0 else [math.ceil(count * self.scale) for count in counts]

    def offsets(self, text: str) -> Offsets:
        """Returns where the tokens of the underlying encoding start.

        A span costs the number of offsets in it, times `scale`. The text's count is cached, too.

        Returns:
            [n + 1] int32: the character that each token starts in, then len(text). The offsets never fall; tokens that
            start inside the same character have the same offset.
        """
        return self._tokenizer.offsets(text)

    def encode_ahead(self, texts: Sequence[str]) -> None:
        """Encodes texts that are to be counted and cut, so that `count` and `span_costs` need not do it again each."""
        self._tokenizer.encode_ahead(texts)

    def span_costs(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[npt.NDArray[np.float32]]:
        """Returns the tokens that start in each span, for many texts at once; see `Tokenizer.count_spans`."""
        counts = self._tokenizer.count_spans(texts, spans)
        if self.scale == 1.0:
            return counts
        return [(found.astype(np.float64) * self.scale).astype(np.float32) for found in counts]

    def count_turn(self, turn: Turn, format_name: str) -> int:
        """Returns the tokens of one whole message.

        Args:
            turn: The message.
            format_name: The name of its message format. At present all formats are billed alike.
        """
        family = self._family
        count = self.count
        total = family.per_message + count(turn.role) + turn.opaque_tokens
        if turn.files:
            total += sum(map(self._file, turn.files))
        calls = 0
        for slot in turn.slots:
            if slot.kind == "image":
                total += self._image(slot.image or Image())
            else:
                total += count(slot.text)
                calls += slot.kind == "tool_call"
        if turn.extras or turn.call_ids:
            total += sum(map(count, turn.extras))
            # A call without arguments has no slot, and a call in OpenAI's legacy form has no id.
            calls = max(calls, len(turn.call_ids))
            total += max(0, len(turn.extras) - calls)
        total += calls * family.per_call
        further = max(calls, len(turn.result_call_ids)) - 1
        return total + further * (family.per_message + 1) if further > 0 else total

    def count_known_turn(self, context: Context, index: int) -> int:
        """Returns what `count_turn` returns for a message of a context, from the running totals where they have it."""
        tokens = totals_of(context).turn_tokens(self, index)
        return self.count_turn(context.turns[index], context.format_name) if tokens is None else tokens

    @property
    def reply_overhead(self) -> int:
        """Returns the tokens that prime the answer."""
        return self._family.reply

    def count_context(self, context: Context) -> int:
        """Returns the tokens of a request: messages, tool schemas and what primes the reply; 0 if it is empty."""
        if not context.turns and not context.tools:
            return 0
        turns = totals_of(context).sum_tokens(self, lambda turn: self.count_turn(turn, context.format_name))
        return turns + self._family.reply + self.count_tools(context.tools)

    def count_image(self, image: Image) -> int:
        """Returns the tokens of one image by the provider's formula; for an unknown size the most it can cost."""
        return self._image(image)

    def count_slot(self, slot: TextSlot) -> int:
        """Returns the tokens of one text or image."""
        return self.count(slot.text) if slot.image is None else self.count_image(slot.image)

    def count_edit(self, slot: TextSlot, text: str) -> int:
        """Returns the tokens of one slot with an edit; see `compressor.context.image_edits` for those of images."""
        edit = parse_picture_edit(text) if slot.image is not None else None
        if edit is None:
            return self.count(text)
        picture = replace(cast(Image, slot.image), width=edit.width, height=edit.height)
        return self.count_image(picture) + (self.count(edit.note) if edit.note else 0)

    def count_tools(self, tools: Sequence[Any] | None) -> int:
        """Returns the tokens of the tool schemas, in any provider's form; 0 for none."""
        return count_tool_tokens(tools, self._family, self.count)


@lru_cache(maxsize=256)
def get_counter(model: str | None) -> TokenCounter:
    """Returns the shared counter for a model. Unknown names get an estimate.

    Args:
        model: A name, with or without its provider, or the path of a tokenizer file: a `tokenizer.json`, a folder that
            holds one, or a `.gguf` file. None means gpt-4o.

    Raises:
        TokenizerError: The file is missing or corrupt.
        MissingDependencyError: A GGUF file needs llama-cpp-python.

    Example:
        >>> get_counter("gpt-4o").count("Hello, world!")
        4
    """
    model = model or DEFAULT_MODEL
    if file := find_tokenizer_file(model):
        return TokenCounter(model, OPEN, load_tokenizer_file(file), file)
    family = find_family(model)
    return TokenCounter(model, family, get_byte_pair_tokenizer(family.encoding))
