"""Remembers which histories were sent as they are, so that compression can begin in the middle of a conversation.

The provider's prompt cache holds such a history. When its conversation is compressed for the first time, because a
rollout has grown or an audit has ended, it stays as it was sent, and only what is new is cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from compressor.caches import LruCache
from compressor.context.formats.serialization import chain_digest
from compressor.errors import CompressorError
from compressor.providers.context_overflow import in_memory
from compressor.sessions.message_history import is_system

MAX_HISTORIES = 16_384  # about 3 MB


class RawHistories:
    """The histories of one tenant that were sent as they are. Safe to share between threads.

    It holds digests, no content, in the memory of this process: where it does not know a history, its conversation
    begins with everything cut, as after a restart.

    Args:
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._sent: LruCache[str, tuple[int, str, float]] = LruCache(MAX_HISTORIES)
        self._clock = clock

    def __len__(self) -> int:
        return len(self._sent)

    def note(self, key: str, messages: Sequence[Any]) -> None:
        """Notes that a history was sent as it is."""
        turns = [message for message in messages if not is_system(message)]
        self._sent.put(key, (len(turns), _digest(turns), self._clock()))

    def resume(self, key: str, conversation: Any, messages: Sequence[Any]) -> bool:
        """Lets a conversation that is about to begin continue what was sent.

        Args:
            key: The conversation's key.
            conversation: The `Conversation` or `Session`.
            messages: The history that will be sent now.

        Returns:
            Whether it was sent before, and the conversation continues it.
        """
        known = self._sent.get(key)
        if known is None or in_memory(conversation).messages:
            return False
        count, digest, sent_at = known
        lead = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
        turns = messages[lead : lead + count]
        if len(turns) < count or any(map(is_system, turns)) or _digest(turns) != digest:
            return False
        try:
            conversation.sync_sent(list(messages[: lead + count]), sent_at)
        except CompressorError:  # the request will say what is wrong
            return False
        return True


def _digest(turns: Sequence[Any]) -> str:
    digest = ""
    for message in turns:
        digest = chain_digest(message, digest)
    return digest
