"""Lets all processes that use one store know what the calls of a named session have hidden from its client.

The session itself is in the store anyway. This is a second log, of what is tracked beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compressor.errors import CompressorError, StoreError
from compressor.providers import tracked_state
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.providers.tracked_state import HIDDEN, MAX_HIDDEN_BYTES, Parts
from compressor.service.service_tracker import ServiceTracker
from compressor.service.sharing.shared_store import MAX_ATTEMPTS, SharedState, SharedStore
from compressor.sessions import archive


class SharedSessionTracker(ServiceTracker):
    """The tracker of one named session that several processes serve. Safe to share between threads.

    Args:
        shared: Where its state is shared.
        given: The arguments of `ServiceTracker`, with a session.
    """

    def __init__(self, shared: SharedStore, *given: Any) -> None:
        super().__init__(*given)
        self._shared = shared

    def _find(self, messages: Sequence[Any], model: str | None, kind: str) -> TrackedConversation:
        tracked = super()._find(messages, model, kind)
        try:
            with tracked.lock:
                self._catch_up(tracked, kind)
        except (CompressorError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._shared.warn(error)
        return tracked

    def save_answer(self, tracked: TrackedConversation, index: int | None = None) -> None:
        """See `ConversationTracker.save_answer`."""
        if tracked.shared is None:
            return
        log = tracked.shared.log
        try:
            for _ in range(MAX_ATTEMPTS):
                if self._shared.append(log, _session_parts(tracked, log.parts, index), "", {}) is not False:
                    return
                with self._shared.use():
                    log.catch_up()
        except StoreError as error:
            self._shared.warn(error)

    def _catch_up(self, tracked: TrackedConversation, kind: str) -> None:
        """Takes over what other processes have hidden."""
        if tracked.shared is None:
            session = tracked.conversation
            name = f"tracked:{kind}:{archive.scope_id(session.tenant, session.id)}"
            tracked.shared = SharedState(session.id, self._shared.open_log(name))
        log = tracked.shared.log
        with self._shared.use():
            log.catch_up()
        tracked.tool_offered = tracked.tool_offered or log.parts.get("tool_offered", False)
        tracked.rejected_by_provider = tracked.rejected_by_provider or log.parts.get("rejected", False)
        for name, part in log.parts.items():
            index = int(name.removeprefix(HIDDEN)) if name.startswith(HIDDEN) else 0
            if not index or tracked.chain[index - 1 : index] != [part["after"]]:
                continue  # it belongs to another history
            known = tracked.hidden_rounds.get(index)
            if known is None or {**tracked_state.hidden_to_json(known), "after": part["after"]} != part:
                tracked.hidden_rounds[index] = tracked_state.hidden_from_json(part)


def _session_parts(tracked: TrackedConversation, known: Parts, index: int | None) -> Parts:
    """Returns the parts of a named session: what is known already, with the new hidden rounds."""
    parts = {name: part for name, part in known.items() if name.startswith(HIDDEN)}
    if index is not None:
        hidden = tracked_state.hidden_to_json(tracked.hidden_rounds[index])
        parts[f"{HIDDEN}{index}"] = {**hidden, "after": tracked.chain[index - 1]}
    sizes = {name: len(json.dumps(part)) for name, part in parts.items()}
    for name in sorted(sizes, key=lambda name: int(name.removeprefix(HIDDEN))):
        if sum(sizes.values()) > MAX_HIDDEN_BYTES:
            del parts[name], sizes[name]
    return {**parts, "tool_offered": tracked.tool_offered, "rejected": tracked.rejected_by_provider}
