"""A summary without a model, for LangChain's own SummarizationMiddleware. Calls nobody; knows no agent.

    SummarizationMiddleware(model, trigger=("tokens", 20_000), summarizer=compressor_summarizer(budget=1_500),
                            trim_tokens_to_summarize=None)

The summary is an extract: the user's words, and of answers, calls and results what the task asks for, in order. What
is left out is one `expand` away.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from compressor import BudgetTooSmallError, Compressor, CompressorError, ContextError
from compressor.context.budget import is_fraction, resolve_budget
from compressor.tokens import TokenCounter, get_counter

logger = logging.getLogger(__name__)

_TRIES = 4
_NAMES = {"human": "User", "ai": "Assistant", "system": "System"}


def compressor_summarizer(
    budget: int = 1_500, *, compressor: Compressor | None = None, model: str | None = None
) -> Callable[[list[AnyMessage]], str]:
    """A function from messages to their extract of at most `budget` tokens, counted for `model` (None: gpt-4o).

    It may be given as `summarizer=` for sync and async agents (LangChain runs it in a thread there). It never raises:
    what cannot be read as a conversation is cut as plain text, and what cannot be cut is returned whole, with a logged
    warning. BudgetError here for a budget that is no number of tokens; CompressorError for less than 50, which hold
    no summary.
    """
    if is_fraction(budget):
        raise CompressorError(f"a summary's budget is a number of tokens, not a share: {budget!r}")
    limit = resolve_budget(budget, 0)
    if limit < 50:
        raise CompressorError(f"a summary needs a budget of at least 50 tokens, not {limit}")
    engine = compressor or Compressor()

    def summarize(messages: list[AnyMessage]) -> str:
        """The extract of these messages."""
        try:
            return _summary(messages, limit, engine, model)
        except Exception as error:
            logger.warning("a summary goes uncompressed: %s: %s", type(error).__name__, error)
            return transcript(messages)

    return summarize


def _summary(messages: Sequence[BaseMessage], limit: int, engine: Compressor, model: str | None) -> str:
    counter = get_counter(model)
    readable = [_demoted(message) for message in messages]
    whole = transcript(readable)
    if counter.count(whole) <= limit:
        return whole
    try:
        return _extract(readable, limit, engine, counter)
    except (BudgetTooSmallError, ContextError) as error:
        logger.info("summary from plain text: %s", error)
    return engine.compress_text(whole, limit, query=_task(messages), model=model).text


def _extract(messages: list[BaseMessage], limit: int, engine: Compressor, counter: TokenCounter) -> str:
    """The transcript of the compressed messages. The frame that a transcript needs is not a message's, hence tries."""
    budget = limit
    for _ in range(_TRIES):
        result = engine.compress(messages, budget, model=counter.model, mode="compact")
        text = transcript(result.messages)
        over = counter.count(text) - limit
        if over <= 0:
            return text
        budget -= over + 8
    raise BudgetTooSmallError(limit, limit + over, "a transcript of what must stay")


def _demoted(message: BaseMessage) -> BaseMessage:
    """An earlier summary is material like any other: as a user message it would be pinned, and grow with each one."""
    if isinstance(message, HumanMessage) and message.additional_kwargs.get("lc_source") == "summarization":
        return AIMessage(message.content, id=message.id)
    return message


def _task(messages: Sequence[BaseMessage]) -> str | None:
    asked = [m.text for m in messages if isinstance(m, HumanMessage) and _demoted(m) is m]
    return asked[-1] if asked else None


def transcript(messages: Sequence[BaseMessage]) -> str:
    """Messages as text: who said what, which tool was called with what and what came back."""
    names: dict[str | None, str] = {}
    parts: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            label = f"Result of {message.name or names.get(message.tool_call_id, 'a tool')}"
        else:
            label = _NAMES.get(message.type, message.type)
        if message.text:
            parts.append(f"{label}: {message.text}")
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            names[call["id"]] = call["name"]
            parts.append(f"Call: {call['name']}({_arguments(call['args'])})")
    return "\n".join(parts)


def _arguments(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
