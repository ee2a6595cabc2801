"""Computes the digests that identify a history, and reads again only the messages that have changed."""

from __future__ import annotations

from typing import Any

from compressor.context.formats import serialization
from compressor.context.message_copies import common_length, copy_message
from compressor.sessions.message_history import common_prefix_length


class HistoryDigests:
    """The digests of the history that was given last.

    Args:
        frozen: Nobody writes to a message after it was given, so one that is the same object is not read again.
            Otherwise messages are compared with copies.
    """

    def __init__(self, frozen: bool) -> None:
        self._frozen = frozen
        self._messages: list[Any] = []
        self._digests: list[str] = []
        self._copies: list[Any] = []  # None where a message could not be copied

    def compute(self, messages: list[Any]) -> list[str]:
        """Returns the digest of the history up to and including each message.

        Raises:
            ContextError: A message cannot be written as JSON.
        """
        before, digests = self._messages, self._digests
        same = common_prefix_length(before, messages) if self._frozen else self._count_unchanged(messages)
        out = digests[:same]
        for i in range(same, len(messages)):
            if self._frozen and i < len(before) and messages[i] is before[i] and out[i - 1] == digests[i - 1]:
                out.append(digests[i])
            else:
                out.append(serialization.chain_digest(messages[i], out[-1] if out else ""))
        if not self._frozen:
            copies = (copy_message(message) for message in messages[same:])
            self._copies = [*self._copies[:same], *(copied and copied[0] for copied in copies)]
        self._messages, self._digests = messages, out
        return out

    def _count_unchanged(self, messages: list[Any]) -> int:
        """Returns how many messages at the start are as they were.

        Of what could not be copied, a message of LangChain counts if it is the same object: few write to these.
        """
        before, same, checked = self._messages, 0, -1
        while checked < same < len(messages):
            checked = same
            same += common_length(messages[same:], self._copies[same:])
            if same < min(len(before), len(messages)) and messages[same] is before[same] and not self._copies[same]:
                same += not isinstance(messages[same], dict)
        return same
