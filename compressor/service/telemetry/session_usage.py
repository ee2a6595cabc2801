"""Describes what a conversation has used since its last event, for the event that reports it."""

from __future__ import annotations

from typing import Any

from compressor.sessions.cost_report import CostReport
from compressor.sessions.usage_notes import UsageNotes

MAX_NAME_CHARS = 80  # of a model's or tool's name that a client sends


def describe_usage(conversation: Any, report: CostReport) -> dict[str, Any]:
    """Returns fields of `CompressionEvent`: model, over_window, tools, billed_tokens and billed_cached.

    The tools and the bills are those since the last call of this function, in this process.

    Args:
        conversation: A session or a conversation.
        report: Its cost report.
    """
    notes = usage_notes(conversation)
    billed, cached = notes.take_bills()
    name = report.model if report.price_is_known else getattr(conversation, "model", None) or report.model
    fields = {"model": model_name(name), "over_window": report.is_over_window, "tools": notes.take_tool_uses()}
    return {**fields, "billed_tokens": billed, "billed_cached": cached}


def usage_notes(conversation: Any) -> UsageNotes:
    """Returns the notes of a session or conversation."""
    notes: UsageNotes = getattr(conversation, "_conversation", conversation).runtime.usage_notes
    return notes


def model_name(name: str | None) -> str:
    """Returns a model's name for a report; of a path only its last part."""
    return printable_name((name or "").lstrip(":").rpartition("/")[2])


def printable_name(name: str) -> str:
    """Returns a short, printable form of a name that a client may have chosen."""
    return "".join(char for char in name[: 4 * MAX_NAME_CHARS] if char.isprintable())[:MAX_NAME_CHARS].strip()
