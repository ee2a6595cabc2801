"""The tool `find_tool`: an agent looks for what was left out of its tools. Knows the list; sends and remembers nothing.

An answer depends on the list and the question alone, so the same question gives the same answer whatever has happened
in between, and what an agent has found can be read again from the questions in its history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.errors import CompressorError
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.tool import dump_tool
from compressor.scoring.base import Query

NAME = "find_tool"
DESCRIPTION = (
    "Some of your tools are not listed, or only in short, to save room. Say what you need to do, or a tool's name, and "
    "get the full description of the tools that fit. You can call them from your next step on."
)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What you need to do, or the name of a tool."}},
    "required": ["query"],
    "additionalProperties": False,
}
MAX_MATCHES = 3  # tools in one answer
MAX_ANSWER_TOKENS = 2_000  # and their tokens together; of a larger tool its largest form that fits is given
MIN_RELEVANCE = 0.5  # relevance of a match: without a word in common it stays below
MIN_RELATIVE_RELEVANCE = 0.35  # and of further matches, as a share of the best one's
MAX_LISTED_NAMES = 40  # names in the answer where nothing fits
_MAX_QUESTION_CHARS = 2_000  # of a question that are read


def schema(message_format: str) -> dict[str, Any]:
    """The tool's schema for "openai_chat", "openai_responses" or "anthropic". CompressorError for another."""
    return function_schema(message_format, NAME, DESCRIPTION, PARAMETERS)


def parse_question(arguments: Mapping[str, Any] | str | None) -> str:
    """The question in a call's arguments, "" if there is none."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return ""
    query = given.get("query") if isinstance(given, Mapping) else None
    return query.strip()[:_MAX_QUESTION_CHARS] if isinstance(query, str) else ""


def find_tools(pool: ToolCatalog, question: str) -> list[int]:
    """The tools that answer a question, the best first: those it names, else those its words fit."""
    named = [
        i for name, i in pool.index_by_name.items() if name in question.replace(",", " ").split() or name == question
    ]
    if named:
        return named[:MAX_MATCHES]
    scores = pool.scores(Query(((question, 1.0),)))
    order = sorted(pool.function_indices, key=lambda i: -scores[i])[:MAX_MATCHES]
    best = scores[order[0]] if order else 0.0
    return [i for i in order if best >= MIN_RELEVANCE and scores[i] >= MIN_RELATIVE_RELEVANCE * best]


def answer_search(pool: ToolCatalog, arguments: Mapping[str, Any] | str | None) -> str:
    """What the model is told. Never raises: a model can only read an error."""
    question = parse_question(arguments)
    if not question:
        return 'Nothing was looked for: say what you need to do, {"query": "send an e-mail"}.'
    try:
        places = find_tools(pool, question)
        if not places:
            names = list(pool.index_by_name)
            more = f" and {len(names) - MAX_LISTED_NAMES} more" if len(names) > MAX_LISTED_NAMES else ""
            return f"No tool fits {question[:80]!r}. There are: {', '.join(names[:MAX_LISTED_NAMES])}{more}."
        room, lines = MAX_ANSWER_TOKENS, []
        for i in places:
            forms = pool.shrink_variants(i, Query(((question, 1.0),)))
            form, cost = next((f for f in reversed(forms) if f[1] <= room), forms[0])
            if cost <= room:
                lines.append(dump_tool(form))
                room -= cost
        if not lines:
            names = [pool.function_name(i) for i in places]
            return f"These fit, and are too large to show: {', '.join(names)}. Call one to have it listed."
        return "You can call these from your next step on:\n" + "\n".join(lines)
    except CompressorError as error:
        return f"Nothing was found: {error}"
