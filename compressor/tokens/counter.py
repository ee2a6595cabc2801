"""The one way the package counts tokens: `get_counter(model)`. Loads vocabularies lazily; renders nothing.

What one message costs (OpenAI cookbook, "How to count tokens with tiktoken"; the numbers are in models.py):

    per_message + role + every text + every image + name (+1 for each participant's name)
    + per_call + name + arguments for each tool call; a further call or result in the same message is a message again

and a request costs its messages, what primes the reply, and its tool schemas (tools.py). Images: images.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from compressor.context.model import Context, Image, Turn
from compressor.tokens.base import Offsets, Tokenizer
from compressor.tokens.image_tokens import image_formula
from compressor.tokens.model_families import DEFAULT_MODEL, OPEN, ModelFamily, find_family
from compressor.tokens.openai_bpe import get_byte_pair_tokenizer
from compressor.tokens.tokenizer_files import find_tokenizer_file, load_tokenizer_file
from compressor.tokens.tool_tokens import count_tool_tokens


class TokenCounter:
    """Counts for one model. Made by `get_counter`; safe to share between threads.

    model: the model's name as given. name: where counts come from: "o200k_base", "cl100k_base", "hf:<file>",
    "gguf:<file>" or "estimate:<family>". estimate: whether they are one. scale: tokens of the model per token of the
    encoding underneath; 1.0 unless an estimate. file: that of the tokenizer, where it is one of the user's.
    """

    def __init__(self, model: str, family: ModelFamily, tokenizer: Tokenizer, file: Path | None = None) -> None:
        self.model, self.file = model, file
        self.name = f"estimate:{family.name}" if family.is_estimate else tokenizer.name
        self.is_estimate = family.is_estimate
        self.scale = family.scale
        self._family = family
        self._tokenizer = tokenizer
        self._known = tokenizer.cached_count
        self._image = image_formula(model, family.name)

    def __repr__(self) -> str:
        return f"<Counter {self.model!r}: {self.name}>"

    def count(self, text: str) -> int:
        """Tokens in a text. Remembered: the second time costs a dict lookup."""
        count = self._known(text)
        if count is None:
            count = self._tokenizer.count(text)
        return count if self.scale == 1.0 else math.ceil(count * self.scale)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens in each text."""
        return [self.count(text) for text in texts]

    def offsets(self, text: str) -> Offsets:
        """[n + 1] int32: the character at which each token of the underlying encoding starts, then len(text).

        Rises, not strictly: a token that starts inside a character has that character's offset. What a span costs is
        the number of entries in it, times `scale`. The text's count is remembered, too.
        """
        return self._tokenizer.offsets(text)

    def count_turn(self, turn: Turn, format_name: str) -> int:
        """Tokens of one whole message. All dialects are billed alike by now; `dialect` names the one it came in."""
        family = self._family
        count = self.count
        total = family.per_message + count(turn.role)
        calls = 0
        for slot in turn.slots:
            if slot.kind == "image":
                total += self._image(slot.image or Image())
            else:
                total += count(slot.text)
                calls += slot.kind == "tool_call"
        for text in turn.extras:
            total += count(text)
        calls = max(calls, len(turn.call_ids))  # a call without arguments has no slot, one of the old form no id
        total += max(0, len(turn.extras) - calls) + calls * family.per_call
        further = max(calls, len(turn.result_call_ids)) - 1
        return total + further * (family.per_message + 1) if further > 0 else total

    @property
    def reply_overhead(self) -> int:
        """Tokens of what primes the answer."""
        return self._family.reply

    def count_context(self, context: Context) -> int:
        """Tokens of the whole request: all messages, what primes the reply, and the tool schemas. Nothing costs 0."""
        if not context.turns and not context.tools:
            return 0
        turns = sum(self.count_turn(turn, context.format_name) for turn in context.turns)
        return turns + self._family.reply + self.count_tools(context.tools)

    def count_image(self, image: Image) -> int:
        """Tokens of one image by the provider's formula; of unknown size: the most it can be."""
        return self._image(image)

    def count_tools(self, tools: Sequence[Any] | None) -> int:
        """Tokens of the tool schemas (in any provider's form); 0 for none."""
        return count_tool_tokens(tools, self._family, self.count)


@lru_cache(maxsize=256)
def get_counter(model: str | None) -> TokenCounter:
    """The counter for a model: a name, with or without its provider, or the path of a tokenizer file
    (`tokenizer.json`, a folder that holds one, a `.gguf`). None is gpt-4o.

    An unknown name is never an error but an estimate. Raises `TokenizerError` for a file that is missing or corrupt,
    `MissingDependencyError` for a GGUF file without llama-cpp-python.
    """
    model = model or DEFAULT_MODEL
    if file := find_tokenizer_file(model):
        return TokenCounter(model, OPEN, load_tokenizer_file(file), file)
    family = find_family(model)
    return TokenCounter(model, family, get_byte_pair_tokenizer(family.encoding))
