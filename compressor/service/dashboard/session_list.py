"""Selects, sorts and pages the sessions that `GET /v1/sessions` lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compressor.service.dashboard.time_series import SessionUsage

AUTO_PREFIX = "auto-"  # of the ids of conversations that the client has not named
LIVE_SECONDS = 15 * 60  # a session without a call for longer is not live
TASK_CHARS = 120  # of a user's first message
#: The field of a session's usage that each order sorts by.
SORT_FIELDS = {"last": "last", "tokens": "before", "saved": "saved", "calls": "calls", "view": "view"}


class SessionQuery(BaseModel):
    """Which sessions to list, as the parameters of a request. An unknown parameter is an error."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(default="", max_length=200, description="Words that the id, the model or the task must all contain.")
    model: str = Field(default="", max_length=200, description="Only sessions of this model.")
    live: bool | None = Field(
        default=None, description="Only sessions with, or without, a call in the last 15 minutes."
    )
    warnings: bool | None = Field(default=None, description="Only sessions with, or without, warnings.")
    named: bool | None = Field(default=None, description="Only sessions that the client named, or did not name.")
    sort: Literal["last", "tokens", "saved", "calls", "view", "id"] = Field(
        default="last",
        description="The last call, tokens without compression, dollars saved, calls, tokens of the view, id.",
    )
    order: Literal["asc", "desc"] | None = Field(default=None, description='By default "asc" for ids, else "desc".')
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)


@dataclass(frozen=True)
class SessionPage:
    """One page of the list.

    Attributes:
        sessions: The usage of each session of the page, by id, in order.
        total: The number of sessions that match the query.
        known: The number of all sessions.
        models: The models of all sessions, sorted.
    """

    sessions: dict[str, SessionUsage]
    total: int
    known: int
    models: list[str]


def select_sessions(
    sessions: Mapping[str, SessionUsage], tasks: Mapping[str, str], query: SessionQuery, now: float
) -> SessionPage:
    """Returns the page that a query asks for.

    Args:
        sessions: The usage of all sessions, by id.
        tasks: The first words of tasks, by session id, as far as they are known.
        query: What to list.
        now: The time in seconds since the epoch.
    """
    words = query.q.casefold().split()
    found = [
        (id, usage)
        for id, usage in sessions.items()
        if _fits(id, usage, query, now) and (not words or _mentions(id, usage, tasks.get(id, ""), words))
    ]
    ordered = _sort(found, query.sort, query.order or ("asc" if query.sort == "id" else "desc"))
    models = sorted({str(usage["model"]) for usage in sessions.values() if usage.get("model")})
    page = ordered[query.offset : query.offset + query.limit]
    return SessionPage(dict(page), len(found), len(sessions), models)


def is_live(usage: SessionUsage, now: float) -> bool:
    """Returns True for a session with a call in the last 15 minutes."""
    return bool(now - usage["last"] <= LIVE_SECONDS)


def first_words(messages: Sequence[Any]) -> str:
    """Returns the beginning of the first user message, on one line, or ""."""
    for message in messages:
        if isinstance(message, Mapping) and message.get("role") == "user":
            line = " ".join(_text(message.get("content"))[: 4 * TASK_CHARS].split())
            if line:
                return line if len(line) <= TASK_CHARS else line[: TASK_CHARS - 1] + "…"
    return ""


def _text(content: Any) -> str:
    """Returns the first text of a message's content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")


def _fits(id: str, usage: SessionUsage, query: SessionQuery, now: float) -> bool:
    return (
        (not query.model or usage.get("model") == query.model)
        and query.live in (None, is_live(usage, now))
        and query.warnings in (None, bool(usage.get("warnings")))
        and query.named in (None, not id.startswith(AUTO_PREFIX))
    )


def _mentions(id: str, usage: SessionUsage, task: str, words: Sequence[str]) -> bool:
    text = f"{id}\n{usage.get('model') or ''}\n{task}".casefold()
    return all(word in text for word in words)


def _sort(found: list[tuple[str, SessionUsage]], by: str, order: str) -> list[tuple[str, SessionUsage]]:
    """Sorts sessions. Those that compare equal are in the order of their ids, and those without the value are last."""
    found = sorted(found, key=lambda item: item[0], reverse=by == "id" and order == "desc")
    if by == "id":
        return found
    field = SORT_FIELDS[by]
    known = [item for item in found if item[1].get(field) is not None]
    unknown = [item for item in found if item[1].get(field) is None]
    sign = -1 if order == "desc" else 1
    return sorted(known, key=lambda item: sign * item[1][field]) + unknown
