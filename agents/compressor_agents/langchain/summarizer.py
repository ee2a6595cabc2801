"""Makes summaries without a model, for LangChain's own SummarizationMiddleware.

A summary is an extract in the original order: the user's words, and the parts of answers, calls and results that matter
for the task. Every omitted text can be expanded.
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

_MAX_TRIES = 4
_NAMES = {"human": "User", "ai": "Assistant", "system": "System"}


def compressor_summarizer(
    budget: int = 1_500, *, compressor: Compressor | None = None, model: str | None = None
) -> Callable[[list[AnyMessage]], str]:
    """Returns a function that makes an extract of messages, for `summarizer=` of sync and async agents.

    The function never raises: messages that cannot be read as a conversation are cut as plain text, and if that fails,
    it returns the whole transcript and logs a warning.

    Args:
        budget: The most tokens of a summary, at least 50.
        compressor: Scores and stores; None makes one with the embedded defaults.
        model: The model whose tokens count; None means gpt-4o.

    Raises:
        BudgetError: If `budget` is not a number of tokens.
        CompressorError: If `budget` is a fraction, or below 50.

    Example:
        >>> summarizer = compressor_summarizer(budget=1_500)
        >>> SummarizationMiddleware(
        ...     model, trigger=("tokens", 20_000), summarizer=summarizer, trim_tokens_to_summarize=None
        ... )
    """
    if is_fraction(budget):
        raise CompressorError(
            f"the budget of a summary must be a number of tokens, such as 1_500, not the fraction {budget!r}"
        )
    limit = resolve_budget(budget, 0)
    if limit < 50:
        raise CompressorError(f"the budget of a summary must be at least 50 tokens, not {limit}")
    active_compressor = compressor or Compressor()

    def summarize(messages: list[AnyMessage]) -> str:
        """Returns the extract of these messages."""
        try:
            return _summarize(messages, limit, active_compressor, model)
        except Exception as error:
            logger.warning("a summary was not compressed: %s: %s", type(error).__name__, error)
            return format_transcript(messages)

    return summarize


def _summarize(messages: Sequence[BaseMessage], limit: int, compressor: Compressor, model: str | None) -> str:
    counter = get_counter(model)
    readable = [_as_material(message) for message in messages]
    whole = format_transcript(readable)
    if counter.count(whole) <= limit:
        return whole
    try:
        return _make_extract(readable, limit, compressor, counter)
    except (BudgetTooSmallError, ContextError) as error:
        logger.info("the summary is cut from plain text: %s", error)
    return compressor.compress_text(whole, limit, query=_find_task(messages), model=model).text


def _make_extract(messages: list[BaseMessage], limit: int, compressor: Compressor, counter: TokenCounter) -> str:
    """Returns the transcript of the compressed messages.

    A transcript has other tokens than its messages, so it takes several tries to meet the limit.
    """
    budget = limit
    for _ in range(_MAX_TRIES):
        result = compressor.compress(messages, budget, model=counter.model, mode="compact")
        text = format_transcript(result.messages)
        excess = counter.count(text) - limit
        if excess <= 0:
            return text
        budget -= excess + 8
    raise BudgetTooSmallError(limit, limit + excess, "a transcript of what must stay")


def _as_material(message: BaseMessage) -> BaseMessage:
    """Returns an earlier summary as an assistant message: a user message would be pinned, and would grow each time."""
    if isinstance(message, HumanMessage) and message.additional_kwargs.get("lc_source") == "summarization":
        return AIMessage(message.content, id=message.id)
    return message


def _find_task(messages: Sequence[BaseMessage]) -> str | None:
    questions = [m.text for m in messages if isinstance(m, HumanMessage) and _as_material(m) is m]
    return questions[-1] if questions else None


def format_transcript(messages: Sequence[BaseMessage]) -> str:
    """Returns messages as text, with each speaker, tool call and result."""
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
            parts.append(f"Call: {call['name']}({_format_arguments(call['args'])})")
    return "\n".join(parts)


def _format_arguments(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
