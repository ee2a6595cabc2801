"""Cuts the worked examples of a prompt, in the system prompt and in the first messages, to a budget of their own.

They are chosen once, for the first request of a conversation. The choice then stays the same, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.context.budget import Budget, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.model import Turn
from compressor.context.refs import compute_ref
from compressor.pipeline.engine import Engine
from compressor.pipeline.messages import MessageCompression
from compressor.storage.base import BlobStore
from compressor.text.few_shot_turns import answers_to_pin, find_few_shot_turns
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import TokenCounter


@dataclass(frozen=True)
class PromptExamples:
    """Cuts the worked examples of prompts, whose messages may be dicts or LangChain's.

    Attributes:
        engine: Scores the examples.
        counter: Counts the tokens.
        budget: Tokens of all worked examples of a prompt, or a fraction of them.
        open_store: Returns the store for what is cut.
    """

    engine: Engine
    counter: TokenCounter
    budget: Budget
    open_store: Callable[[], BlobStore]

    def choose(self, system: Sequence[Any], messages: Sequence[Any], state: Mapping[str, Any]) -> dict[str, Any]:
        """Chooses the examples of a prompt.

        Args:
            system: The system messages in front.
            messages: The other messages.
            state: The state of the last request, or {}.

        Returns:
            The state to keep: as it was if the prompt has the same examples as before. "contents" has the new content
            of each system message (None: unchanged), "dropped" the indexes of the messages that are left out.

        Raises:
            BudgetTooSmallError: If what must stay does not fit.
            ContextError: If the messages cannot be read.
        """
        # A longer conversation may look like more examples, so known examples are only looked for at their old places.
        indexes = [i for i in state.get("indexes", ()) if i < len(messages)]
        if state.get("digest") == _digest(system, [messages[i] for i in indexes]):
            return dict(state)
        lead = len(system)
        context = detect_format([*system, *messages]).parse([*system, *messages])
        found = find_few_shot_turns(context.turns, lead)
        indexes = [i - lead for i in sorted(found)]
        # The first pair holds the first user message, so it stays; without it the others are no list.
        first = [
            message for i in answers_to_pin(context.turns, found) for message in messages[i - 1 - lead : i + 1 - lead]
        ]
        made: dict[str, Any] = {"digest": _digest(system, [messages[i] for i in indexes]), "indexes": indexes}
        made |= {"contents": [None] * lead, "dropped": [], "removed_tokens": 0, "warnings": []}
        has_lists = any(find_examples(slot.text) for turn in context.turns[:lead] for slot in turn.slots)
        asked = [turn.index - lead for turn in context.turns[lead:] if turn.index not in found and _is_question(turn)]
        if (has_lists or indexes) and asked:
            made |= self._choose(system, first, [messages[i] for i in indexes], indexes, messages[asked[-1]])
        return made

    def _choose(
        self,
        system: Sequence[Any],
        first: Sequence[Any],
        examples: Sequence[Any],
        indexes: Sequence[int],
        question: Any,
    ) -> dict[str, Any]:
        sample = [*system, *first, *examples, question]
        counter, message_format = self.counter, detect_format(sample)
        context = message_format.parse(sample)
        before, lead = counter.count_context(context), len(system) + len(first)
        size = sum(counter.count_turn(turn, context.format_name) for turn in context.turns[lead:-1])
        for turn in context.turns[: len(system)]:
            for slot in turn.slots:
                size += sum(counter.count(slot.text[one.start : one.end]) for one in find_examples(slot.text))
        limit = before - size + resolve_budget(self.budget, size)
        if limit >= before:
            return {}
        compression = MessageCompression(
            context, message_format, counter, self.engine, "compact", None, self.open_store, False, examples=True
        )
        result = compression.run(before, limit)
        dropped = sorted(i - lead for i in compression.removed if lead <= i < len(sample) - 1)
        made = result.messages[: len(system)]
        pairs = [(_content(new), _content(old)) for new, old in zip(made, system, strict=True)]
        contents = [new if new != old else None for new, old in pairs]
        removed = before - result.tokens_after
        said = [text.split(";", 1)[0] for text in result.warnings if "example" in text]  # the rest is about the result
        text = f"worked examples of the prompt were cut to their budget: {removed:,} of {size:,} tokens were left out"
        return {
            "contents": contents,
            "dropped": [indexes[i] for i in dropped],
            "removed_tokens": removed,
            "warnings": said or ([text] if removed > 0 else []),
        }


def _is_question(turn: Turn) -> bool:
    """Returns whether the user says or shows something in a message: it does not hold tool results alone."""
    return any(slot.kind == "user" for slot in turn.slots) or (turn.role == "user" and not turn.result_call_ids)


def _content(message: Any) -> Any:
    return message.get("content") if isinstance(message, Mapping) else message.content


def _digest(system: Sequence[Any], examples: Sequence[Any]) -> str:
    contents = [[_content(message) for message in some] for some in (system, examples)]
    return compute_ref(json.dumps(contents, ensure_ascii=False, default=str))
