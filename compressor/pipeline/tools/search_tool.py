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
MATCHES = 3  # tools in one answer
TOKENS = 2_000  # and their tokens together; of a larger tool its largest form that fits is given
SOME = 0.5  # relevance of a match: without a word in common it stays below
LEAST = 0.35  # and of further matches, as a share of the best one's
NAMED = 40  # names in the answer where nothing fits
_CHARACTERS = 2_000  # of a question that are read


def schema(dialect: str) -> dict[str, Any]:
    """The tool's schema for "openai_chat", "openai_responses" or "anthropic". CompressorError for another."""
    return function_schema(dialect, NAME, DESCRIPTION, PARAMETERS)


def question_of(arguments: Mapping[str, Any] | str | None) -> str:
    """The question in a call's arguments, "" if there is none."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return ""
    query = given.get("query") if isinstance(given, Mapping) else None
    return query.strip()[:_CHARACTERS] if isinstance(query, str) else ""


def found(pool: ToolCatalog, question: str) -> list[int]:
    """The tools that answer a question, the best first: those it names, else those its words fit."""
    named = [i for name, i in pool.names.items() if name in question.replace(",", " ").split() or name == question]
    if named:
        return named[:MATCHES]
    scores = pool.scores(Query(((question, 1.0),)))
    order = sorted(pool.ours, key=lambda i: -scores[i])[:MATCHES]
    best = scores[order[0]] if order else 0.0
    return [i for i in order if best >= SOME and scores[i] >= LEAST * best]


def answer(pool: ToolCatalog, arguments: Mapping[str, Any] | str | None) -> str:
    """What the model is told. Never raises: a model can only read an error."""
    question = question_of(arguments)
    if not question:
        return 'Nothing was looked for: say what you need to do, {"query": "send an e-mail"}.'
    try:
        places = found(pool, question)
        if not places:
            names = list(pool.names)
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            return f"No tool fits {question[:80]!r}. There are: {', '.join(names[:NAMED])}{more}."
        room, lines = TOKENS, []
        for i in places:
            forms = pool.shrink_variants(i, Query(((question, 1.0),)))
            form, cost = next((f for f in reversed(forms) if f[1] <= room), forms[0])
            if cost <= room:
                lines.append(dump_tool(form))
                room -= cost
        if not lines:
            names = [pool.named(i) for i in places]
            return f"These fit, and are too large to show: {', '.join(names)}. Call one to have it listed."
        return "You can call these from your next step on:\n" + "\n".join(lines)
    except CompressorError as error:
        return f"Nothing was found: {error}"
