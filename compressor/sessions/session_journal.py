"""Keeps one session in the store's journal: reads what other workers wrote, and writes what has changed.

A record of the journal holds the state's header and the messages that changed since the record before it. A record is
written only if nobody else has written since (compare-and-set).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, cast

from compressor.context.formats import serialization
from compressor.errors import RefError, StoreError
from compressor.sessions.conversation import Conversation
from compressor.sessions.runtime import CompressorLike
from compressor.sessions.state import SessionState, read_columns
from compressor.storage.base import AppendLog, require_log

_INDEX = itemgetter("index")


class CatchUp(NamedTuple):
    """What reading the journal found.

    Attributes:
        has_news: Other workers' records were taken over.
        is_lost: The store has lost the journal, so it has to be written again as a whole.
    """

    has_news: bool
    is_lost: bool


class SessionJournal:
    """The journal of one session, and the state that its records add up to. Not safe to share between threads.

    Attributes:
        header: The state without its message records, as JSON data.
        records: The message records, as JSON data.
        messages_json: The messages that belong to the records, as JSON data.
        messages: The same messages as the caller gave them, or made from the JSON data.
        front_json: The system messages in front, as JSON data.
    """

    def __init__(self, compressor: CompressorLike, session_id: str, scope: str) -> None:
        self._compressor, self._session_id, self._scope = compressor, session_id, scope
        self.reset()
        self._front: list[Any] = (
            self.front_json
        )  # the list object that holds the system messages as the caller has them

    @property
    def is_empty(self) -> bool:
        """Returns whether no record has been read or written."""
        return not self._number

    @property
    def _name(self) -> str:
        return f"session:{self._scope}"

    @property
    def _log(self) -> AppendLog:
        return require_log(self._compressor.store)

    def reset(self) -> None:
        """Forgets everything, as before the first record."""
        self._number = 0  # of the last record that was read or written
        self._last_hash = b""  # of that record
        self.header: dict[str, Any] = SessionState(scopes=[self._scope]).to_header_json()
        self.records: list[Any] = []
        self.messages_json: list[Any] = []
        self.messages: list[Any] = []
        self.front_json: list[Any] = []
        self._written: list[list[Any]] = []  # the columns of the records, if this object wrote them last

    def delete(self) -> None:
        """Deletes the journal from the store, and forgets everything."""
        self._log.drop_log(self._name)
        self.reset()

    def restore(self, conversation: Conversation) -> None:
        """Gives a conversation that was made from `header` and `records` its messages."""
        front = [serialization.deserialize_message(m) for m in self.front_json]
        conversation.restore(front, list(self.messages))
        self._front = conversation.head

    def catch_up(self) -> CatchUp:
        """Reads the records that other workers have written."""
        try:
            # Reads the last known record again, because another journal may have begun in place of one that expired.
            records = self._log.read_log(self._name, after=max(0, self._number - 1))
            is_ours = records and (records[0][0] > self._number or _hash(records[0][1]) == self._last_hash)
            if self._number and not is_ours:
                self.reset()
                records = self._log.read_log(self._name)
        except RefError:
            self._number = 0
            return CatchUp(False, bool(self.records or self.front_json))
        if records and records[0][0] == self._number:
            del records[0]
        for number, packed in records:
            self._apply(json.loads(packed))
            self._number, self._last_hash = number, _hash(packed)
        return CatchUp(bool(records), False)

    def has_new_front(self, conversation: Conversation) -> bool:
        """Returns whether the conversation's system messages in front differ from those in the journal."""
        if conversation.head is self._front:
            return False
        return [serialization.serialize_message(m) for m in conversation.head] != self.front_json

    def write(self, conversation: Conversation, rewrite: bool) -> bool:
        """Writes what has changed in a conversation.

        Args:
            conversation: The conversation, made from this journal and changed since.
            rewrite: Write everything, not only what has changed.

        Returns:
            False if another worker has written first, so that nothing was written.
        """
        columns = read_columns(conversation.records)
        record, truncate = self._make_record(conversation, columns, rewrite)
        packed = _pack(record)
        if not self._log.append_log(self._name, self._number, [packed], truncate_before=truncate):
            return False
        self._number, self._last_hash = self._number + 1, _hash(packed)
        self._apply(record, own=True)
        self._written = columns
        self.messages, self._front = list(conversation.messages), conversation.head
        return True

    def create(self, state: SessionState, front: Sequence[Any], messages: Sequence[Any]) -> bool:
        """Writes an imported session as the first record. `front` and `messages` are JSON data.

        Returns:
            False if the session exists already.
        """
        data = state.to_json()
        changes = [[i, r, m] for i, (r, m) in enumerate(zip(data["records"], messages, strict=True))]
        record = {"state": state.to_header_json(), "front": front, "count": len(messages), "changes": changes}
        return self._log.append_log(self._name, 0, [_pack(record)], truncate_before=True)

    def _make_record(
        self, conversation: Conversation, columns: list[list[Any]], rewrite: bool
    ) -> tuple[dict[str, Any], bool]:
        """Returns what has changed since the last record, and whether the records before it are no longer needed."""
        live = conversation.records
        moved = columns[0][: len(self.records)] != list(map(_INDEX, self.records))
        rewrite = rewrite or not self._number or moved
        known = {record["index"]: i for i, record in enumerate(self.records)} if rewrite else None
        changes = []
        for i in range(len(live)) if rewrite else self._find_changed(columns):
            record = live[i].to_json()
            before = (i if i < len(self.records) else None) if known is None else known.get(record["index"])
            same = before is not None and self.records[before]["digest"] == record["digest"]
            if rewrite or not same or self.records[cast(int, before)] != record:
                message = conversation.messages[i]
                data = self.messages_json[cast(int, before)] if same else serialization.serialize_message(message)
                changes.append([i, record, data])
        out = {"state": conversation.state_header, "count": len(live), "changes": changes}
        front = [serialization.serialize_message(m) for m in conversation.head]
        if rewrite or front != self.front_json:  # else long system prompts would be most of the journal
            out["front"] = front
        return out, rewrite

    def _find_changed(self, columns: list[list[Any]]) -> list[int]:
        """Returns the indices of the records that may have changed since this object wrote them, and of new ones."""
        known, count = len(self._written[0]) if self._written else 0, len(columns[0])
        changed: set[int] = set()
        for new, old in zip(columns, self._written, strict=False):
            if new[:known] != old:
                changed.update(i for i, (one, other) in enumerate(zip(new, old, strict=False)) if one != other)
        return [*sorted(changed), *range(known, count)]

    def _apply(self, record: Mapping[str, Any], own: bool = False) -> None:
        """Takes over a record. `own`: this object wrote it, so the caller still has the messages."""
        count = record["count"]
        self._written = []
        self.header, self.front_json = record["state"], record.get("front", self.front_json)
        for items in (self.records, self.messages_json, self.messages):
            del items[count:]
        for i, message_record, data in record["changes"]:
            message = None if own else serialization.deserialize_message(data)
            if i < len(self.records):
                self.records[i], self.messages_json[i], self.messages[i] = message_record, data, message
            elif i > len(self.records):
                raise StoreError(
                    f"the journal of session {self._session_id!r} is damaged: a record is missing. "
                    "Start the session again under another id"
                )
            else:
                self.records.append(message_record)
                self.messages_json.append(data)
                self.messages.append(message)


def _pack(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _hash(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()
