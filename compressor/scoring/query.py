"""What the agent is after, read from its context when the caller does not say. Knows turns; scores nothing."""

from __future__ import annotations

from compressor.context.model import Context
from compressor.scoring.base import Query

#: later parts of the agent's state say more about what it needs next
LAST_USER, LAST_ACTION, TASK = 1.0, 0.7, 0.4
RECENT_CHARS = 4_000  # of one part: a query is an intention, not a document


def build_query(
    context: Context,
    explicit: str | None,
    known: tuple[str, ...],
    task_only: bool = False,
    hints: tuple[tuple[str, float], ...] = (),
) -> Query:
    """The query of a context: the caller's own, or the last user turn, the agent's last words and calls, and the task
    (first user turn), weighted in that order; the task alone if `task_only`. `hints` (text, weight) are added, `known`
    is passed on."""
    if explicit is not None and explicit.strip():
        return Query(((explicit, 1.0), *hints), known)
    users = [t for t in context.turns if t.role == "user"]
    agents = [t for t in context.turns if t.role == "assistant"]
    parts: list[tuple[str, float]] = []
    wanted = [(users[-1:], LAST_USER), (agents[-1:], LAST_ACTION), (users[:1], TASK)]
    for turns, weight in wanted[2 * task_only :]:
        for turn in turns:
            for slot in turn.slots:
                if slot.text and slot.kind not in ("tool_result", "image"):
                    parts.append((slot.text[:RECENT_CHARS], weight))
    return Query((*parts, *hints), known)
