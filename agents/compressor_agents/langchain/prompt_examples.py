"""Worked examples in an agent's prompt, cut to a budget of their own once a thread. Finds and chooses none itself: the
engine does, for the request that a thread begins with; what it chose then stays, byte for byte.
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
from compressor.sessions.archive import ScopedStore
from compressor.text.few_shot_turns import find_few_shot_turns
from compressor.text.segmenters.few_shot import find_examples
from compressor.tokens import get_counter

_NOTHING: dict[str, Any] = {"prompt": None, "gone": []}


class PromptExampleTrimmer:
    """budget: tokens of all worked examples in the system prompt and the messages that a conversation begins with, or a
    share of them."""

    def __init__(self, compressor: Compressor, budget: int | float) -> None:
        resolve_budget(budget, 1_000)  # an BudgetError now, not at the first call
        self._compressor, self._budget = compressor, budget

    def cut(
        self, request: ModelRequest[Any], model: str | None, scope: str, state: Mapping[str, Any]
    ) -> tuple[ModelRequest[Any], dict[str, Any]]:
        """The request with the examples chosen, and the state to keep. What is cut is granted to `scope`."""
        prompt, messages = request.system_message, list(request.messages)
        lead = [prompt] if prompt is not None else []
        # A conversation that goes on may look like more examples: what was found once is looked for where it was.
        at = state.get("at", [])
        shown = [messages[i] for i in at if i < len(messages)]
        if not state or state["of"] != _digest(prompt, shown):
            context = detect_format([*lead, *messages]).parse([*lead, *messages])
            at = [i - len(lead) for i in sorted(find_few_shot_turns(context.turns, len(lead)))]
            shown = [messages[i] for i in at]
            lists = [s.text for t in context.turns[: len(lead)] for s in t.slots if find_examples(s.text)]
            chosen = self._chosen(lead, shown, messages, model, scope) if shown or lists else _NOTHING
            state = {"of": _digest(prompt, shown), "at": at, **chosen}
        gone = {id(shown[i]) for i in state["gone"]}
        if prompt is not None and state["prompt"] is not None:
            prompt = prompt.model_copy(update={"content": state["prompt"]})
        left = [message for message in messages if id(message) not in gone]
        return request.override(system_message=prompt, messages=left), dict(state)

    def _chosen(
        self, lead: list[SystemMessage], shown: list[Any], messages: list[Any], model: str | None, scope: str
    ) -> dict[str, Any]:
        """prompt: the system prompt's new content, None where it stays; gone: which of the messages `shown` go."""
        asked = next((message for message in reversed(messages) if isinstance(message, HumanMessage)), None)
        if asked is None:
            return _NOTHING
        given: list[AnyMessage] = [*lead, *shown, asked]
        counter, dialect = get_counter(model), detect_format(given)
        context = dialect.parse(given)
        before = counter.count_context(context)
        size = sum(counter.count_turn(context.turns[i], context.format_name) for i in range(len(lead), len(given) - 1))
        for turn in context.turns[: len(lead)]:
            for slot in turn.slots:
                size += sum(counter.count(slot.text[one.start : one.end]) for one in find_examples(slot.text))
        limit = before - size + resolve_budget(self._budget, size)
        flow = MessageCompression(
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
        result = flow.run(before, limit)
        prompt = result.messages[0].content if lead and result.messages[0].content != lead[0].content else None
        return {"prompt": prompt, "gone": sorted(i - len(lead) for i in flow.removed)}


def _digest(prompt: SystemMessage | None, shown: list[Any]) -> str:
    return compute_ref(
        json.dumps([prompt.content if prompt is not None else "", [message.content for message in shown]])
    )
