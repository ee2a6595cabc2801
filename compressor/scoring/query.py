"""Builds the query of a context from its turns, if the caller gives none."""

from __future__ import annotations

from compressor.context.model import Context
from compressor.scoring.base import Query

#: Weights of the last user turn, the agent's last turn and the task: newer parts say more about what it needs next.
LAST_USER, LAST_ACTION, TASK = 1.0, 0.7, 0.4
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
        return Query(((explicit, 1.0), *boosted_texts), retained_text)
    users = [t for t in context.turns if t.role == "user"]
    agents = [t for t in context.turns if t.role == "assistant"]
    parts: list[tuple[str, float]] = []
    wanted = [(users[-1:], LAST_USER), (agents[-1:], LAST_ACTION), (users[:1], TASK)]
    for turns, weight in wanted[2 * task_only :]:
        for turn in turns:
            for slot in turn.slots:
                if slot.text and slot.kind not in ("tool_result", "image"):
                    parts.append((slot.text[:MAX_PART_CHARS], weight))
    return Query((*parts, *boosted_texts), retained_text)
