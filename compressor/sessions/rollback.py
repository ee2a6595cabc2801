"""Undoes a change to a conversation that failed half way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace

from compressor.sessions.message_history import MessageHistory


@contextmanager
def rollback_on_error(history: MessageHistory) -> Iterator[None]:
    """Restores the history, its state and its tool schemas if the block raises an exception."""
    state, tools = history.state, history.runtime.tools
    saved = {f.name: getattr(state, f.name) for f in fields(state)}
    # Records that are not ingested yet are changed in place, so they are copied; the others are only replaced.
    saved["records"] = [record if record.ingested else replace(record) for record in state.records]
    saved["counters"] = replace(state.counters)
    system, head, messages = history.system, list(history.head), list(history.messages)
    try:
        yield
    except BaseException:
        for name, value in saved.items():
            setattr(state, name, value)
        history.system, history.head, history.messages = system, head, messages
        history.runtime.tools = tools
        history.invalidate_cache()
        raise
