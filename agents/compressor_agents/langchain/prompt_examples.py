"""Cuts the worked examples in an agent's prompt to a budget of their own, once per thread.

The compressor chooses them for the first request of a thread. The choice then stays the same, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware.types import ModelRequest
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

from compressor import Compressor
from compressor.context.budget import resolve_budget
from compressor.context.formats import detect_format
from compressor.context.refs import compute_ref
from compressor.pipeline.messages import MessageCompression
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.text.few_shot_turns import answers_to_pin, find_few_shot_turns
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import get_counter

_NO_CHANGE: dict[str, Any] = {"prompt": None, "dropped": [], "warnings": []}


class PromptExampleTrimmer:
    """Cuts worked examples to a budget.

    Args:
        compressor: Scores and stores.
        budget: Tokens of all worked examples in the system prompt and the first messages, or a fraction of them.
    """

    def __init__(self, compressor: Compressor, budget: int | float) -> None:
        self._compressor, self._budget = compressor, budget

    def cut(
        self, request: ModelRequest[Any], model: str | None, scope: str, state: Mapping[str, Any]
    ) -> tuple[ModelRequest[Any], dict[str, Any]]:
        """Returns the request with the chosen examples, and the state to keep, with `warnings` of what was left out.

        Args:
            request: The model request.
            model: The model whose tokens count.
            scope: The scope that may expand the cut examples.
            state: The state of the last call, or {}.
        """
        prompt, messages = request.system_message, list(request.messages)
        system = [prompt] if prompt is not None else []
        # A longer conversation may look like more examples, so known examples are only looked for at their old places.
        indexes = state.get("indexes", [])
        examples = [messages[i] for i in indexes if i < len(messages)]
        if state.get("digest") != _digest(prompt, examples):
            context = detect_format([*system, *messages]).parse([*system, *messages])
            found = find_few_shot_turns(context.turns, len(system))
            indexes = [i - len(system) for i in sorted(found)]
            examples = [messages[i] for i in indexes]
            # The first pair holds the first user message, so it stays; without it the others are no list.
            first = [messages[i - 1 - len(system) : i + 1 - len(system)] for i in answers_to_pin(context.turns, found)]
            lists = [s.text for t in context.turns[: len(system)] for s in t.slots if find_examples(s.text)]
            kept = first[0] if first else []
            choice = self._choose(system, kept, examples, messages, model, scope) if examples or lists else _NO_CHANGE
            state = {"digest": _digest(prompt, examples), "indexes": indexes, **choice}
        dropped = {id(examples[i]) for i in state["dropped"]}
        if prompt is not None and state["prompt"] is not None:
            prompt = prompt.model_copy(update={"content": state["prompt"]})
        remaining = [message for message in messages if id(message) not in dropped]
        return request.override(system_message=prompt, messages=remaining), dict(state)

    def _choose(
        self,
        system: list[SystemMessage],
        first: list[Any],
        examples: list[Any],
        messages: list[Any],
        model: str | None,
        scope: str,
    ) -> dict[str, Any]:
        """Returns the new content of the system prompt (None: unchanged), and the indexes of the dropped examples."""
        question = next((message for message in reversed(messages) if isinstance(message, HumanMessage)), None)
        if question is None:
            return _NO_CHANGE
        sample: list[AnyMessage] = [*system, *first, *examples, question]
        lead = len(system) + len(first)
        counter, dialect = get_counter(model), detect_format(sample)
        context = dialect.parse(sample)
        before = counter.count_context(context)
        size = sum(counter.count_turn(context.turns[i], context.format_name) for i in range(lead, len(sample) - 1))
        for turn in context.turns[: len(system)]:
            for slot in turn.slots:
                size += sum(counter.count(slot.text[one.start : one.end]) for one in find_examples(slot.text))
        limit = before - size + resolve_budget(self._budget, size)
        compression = MessageCompression(
            context,
            dialect,
            counter,
            self._compressor.engine,
            "compact",
            None,
            lambda: ScopedStore(self._compressor.store, scope),
            False,
            examples=True,
        )
        result = compression.run(before, limit)
        prompt = result.messages[0].content if system and result.messages[0].content != system[0].content else None
        said = [text.split(";", 1)[0] for text in result.warnings if "example" in text]
        return {"prompt": prompt, "dropped": sorted(i - lead for i in compression.removed), "warnings": said}


def _digest(prompt: SystemMessage | None, examples: list[Any]) -> str:
    return compute_ref(
        json.dumps([prompt.content if prompt is not None else "", [message.content for message in examples]])
    )
