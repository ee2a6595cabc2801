"""The tool `find_tool`, with which an agent searches the tools that were left out of its list.

An answer depends only on the tools and the question. So the same question always has the same answer, and what an agent
has found can be reconstructed from the questions in its history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.context.model import Context
from compressor.errors import CompressorError
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.tool import dump_tool
from compressor.scoring.base import Query

NAME = "find_tool"
DESCRIPTION = (
    "Some of your tools are not listed, or only in short, to save room; one without parameters may have some. Say what "
    "you need to do, or a tool's name, and get the full description of the tools that fit. You can call them from your "
    "next step on."
)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What you need to do, or the name of a tool."}},
    "required": ["query"],
    "additionalProperties": False,
}
MAX_MATCHES = 3  # tools in one answer
MAX_ANSWER_TOKENS = 2_000  # of these tools together; a larger tool is shown in its longest variant that fits
MIN_RELEVANCE = 0.5  # of the best match; tools without a common term stay below it
MIN_RELATIVE_RELEVANCE = 0.35  # of further matches, as a fraction of the best one
MAX_LISTED_NAMES = 40  # in the answer if no tool matches
_MAX_QUESTION_CHARS = 2_000  # the rest of a question is ignored


def schema(message_format: str) -> dict[str, Any]:
    """Returns the schema of the tool.

    Args:
        message_format: "openai_chat", "openai_responses" or "anthropic".

    Raises:
        CompressorError: For another format.
    """
    return function_schema(message_format, NAME, DESCRIPTION, PARAMETERS)


def parse_question(arguments: Mapping[str, Any] | str | None) -> str:
    """Returns the question in the arguments of a call, or ""."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return ""
    query = given.get("query") if isinstance(given, Mapping) else None
    return query.strip()[:_MAX_QUESTION_CHARS] if isinstance(query, str) else ""


def find_tools(pool: ToolCatalog, question: str) -> list[int]:
    """Returns the positions of the tools that match a question, the best first: by name, else by terms."""
    named = [
        i for name, i in pool.index_by_name.items() if name in question.replace(",", " ").split() or name == question
    ]
    if named:
        return named[:MAX_MATCHES]
    scores = pool.scores(Query(((question, 1.0),)))
    order = sorted(pool.function_indices, key=lambda i: -scores[i])[:MAX_MATCHES]
    best = scores[order[0]] if order else 0.0
    return [i for i in order if best >= MIN_RELEVANCE and scores[i] >= MIN_RELATIVE_RELEVANCE * best]


def found_names(pool: ToolCatalog, context: Context) -> list[str]:
    """Returns the names of the tools that were found by answered calls of the tool."""
    answered = {call for turn in context.turns for call in turn.result_call_ids}
    out: list[str] = []
    for turn in context.turns:
        for slot in turn.slots:
            if slot.kind == "tool_call" and slot.name == NAME and slot.call_id in answered:
                question = parse_question(slot.text)
                out += [pool.function_name(i) for i in find_tools(pool, question)] if question else []
    return out


def answer_search(pool: ToolCatalog, arguments: Mapping[str, Any] | str | None) -> str:
    """Answers a call of the tool. It never raises, because the model should read what is wrong."""
    question = parse_question(arguments)
    if not question:
        return 'The query is missing. Say what you need to do, e.g. {"query": "send an e-mail"}.'
    try:
        places = find_tools(pool, question)
        if not places:
            names = list(pool.index_by_name)
            more = f" and {len(names) - MAX_LISTED_NAMES} more" if len(names) > MAX_LISTED_NAMES else ""
            return f"No tool matches {question[:80]!r}. Available tools: {', '.join(names[:MAX_LISTED_NAMES])}{more}."
        remaining, lines = MAX_ANSWER_TOKENS, []
        for i in places:
            variants = pool.shrink_variants(i, Query(((question, 1.0),)))
            variant, cost = next((v for v in reversed(variants) if v[1] <= remaining), variants[0])
            if cost <= remaining:
                lines.append(dump_tool(variant))
                remaining -= cost
        if not lines:
            names = [pool.function_name(i) for i in places]
            return f"These tools match, but are too large to show: {', '.join(names)}. Call one to have it listed."
        return "You can call these from your next step on:\n" + "\n".join(lines)
    except CompressorError as error:
        return f"The search failed: {error}"
