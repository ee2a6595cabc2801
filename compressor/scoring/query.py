"""Builds the query of a context from its turns, if the caller gives none."""

from __future__ import annotations

import re

from compressor.context.model import Context
from compressor.context.running_totals import totals_of
from compressor.scoring.base import Query

#: Weights of the last user turn, the agent's last turn and the task: newer parts say more about what it needs next.
LAST_USER, LAST_ACTION, TASK = 1.0, 0.7, 0.4
#: Agent turns after which a user's message is a task that is being worked on, no longer a question that waits.
OPEN_ROUNDS = 2
#: Turns with tool calls, beyond the first, after which a question counts half.
TOOL_CALLS = 4
#: The weight of a request that asks for nothing to be found or told, such as "Go on, please".
REQUEST = 0.3
_ASKS = re.compile(
    r"[?？؟]|(?:^|[.!:,]\s+)(?:please\s+)?(?:wh(?:at|ich|o|ose|om|en|ere|y)|how|list|find|show|tell|name|count|explain"
    r"|summari[sz]e|describe|compare|check|identify|look|search|give|extract|get|quote|review|diagnose)\b",
    re.I | re.M,
)
#: Characters of one part of a query: it is an intention, not a document.
MAX_PART_CHARS = 4_000


def build_query(
    context: Context,
    explicit: str | None,
    retained_text: tuple[str, ...],
    task_only: bool = False,
    boosted_texts: tuple[tuple[str, float], ...] = (),
) -> Query:
    """Builds the query of a context.

    Args:
        context: The context.
        explicit: The caller's query; the turns are ignored if it is given.
        retained_text: Texts that stay in the context in any case.
        task_only: Use the first user turn only. Otherwise the last user turn, the agent's last words and calls, and
            the first user turn count, with falling weights.
        boosted_texts: More texts with weights.
    """
    if explicit is not None and explicit.strip():
        return Query(((explicit, 1.0), *boosted_texts), retained_text, explicit)
    turns, outline = context.turns, totals_of(context).outline()
    user, agent = outline.last_user, outline.last_agent
    rounds = outline.agents - outline.agents_before_user
    has_question = user >= 0 and rounds <= OPEN_ROUNDS
    question = "\n".join(s.text for s in turns[user].slots if s.kind == "user") if has_question else ""
    parts: list[tuple[str, float]] = []
    wanted = [(user, LAST_USER), (agent, LAST_ACTION), (outline.first_user, TASK)]
    for index, weight in wanted[2 * task_only :]:
        for slot in turns[index].slots if index >= 0 else ():
            if slot.text and slot.kind not in ("tool_result", "image"):
                parts.append((slot.text[:MAX_PART_CHARS], weight))
    weight = TOOL_CALLS / (TOOL_CALLS + max(0, outline.calls - 1)) * (1.0 if _ASKS.search(question) else REQUEST)
    return Query((*parts, *boosted_texts), retained_text, question[:MAX_PART_CHARS], weight)
