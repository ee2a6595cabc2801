"""The log that tells all workers which keys and settings hold now, and what they must forget.

A record says what has changed. Records are appended with compare-and-append, so two administrators never overwrite each
other's changes. Now and then a record is a snapshot of everything, and replaces the records before it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from compressor.errors import RefError, StoreError
from compressor.service.auth import ApiKey
from compressor.storage.base import BlobStore, require_log

LOG_NAME = "control:1"  # with the version of its records; it names stored data, so it does not change
SNAPSHOT_INTERVAL = 256  # records between two snapshots
MAX_ATTEMPTS = 50  # of one change, where other workers are first
log = logging.getLogger("compressor.service")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key in the database.

    Attributes:
        key: The entry.
        grants: Whether the entry makes the key valid. Otherwise it only blocks a key of the key file, or lets it
            expire.
    """

    key: ApiKey
    grants: bool


@dataclass(frozen=True)
class ControlState:
    """What holds now.

    Attributes:
        keys: The keys by hash.
        settings: The settings that each tenant has for itself, by the tenant's name.
    """

    keys: Mapping[str, StoredKey] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Forgetting:
    """What every worker has to drop from its memory.

    Attributes:
        tenant: The tenant; None for all tenants.
        keys: The keys of values; None for everything of the tenant.
        session: A session whose objects are dropped as well.
    """

    tenant: str | None
    keys: tuple[str, ...] | None = None
    session: str | None = None


@dataclass(frozen=True)
class ControlChange:
    """A change.

    Attributes:
        keys: New entries by hash; None removes an entry.
        settings: New settings by tenant; None removes them.
        forget: What every worker has to drop.
    """

    keys: Mapping[str, StoredKey | None] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    forget: Sequence[Forgetting] = ()


class ControlLog:
    """Reads and writes the log. Safe to share between threads.

    Args:
        store: A store in which nothing expires.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._state = ControlState()
        self._forget: list[Forgetting] = []
        self._last, self._id, self._since = 0, "", 0

    @property
    def state(self) -> ControlState:
        """What holds now, as far as this process has read."""
        return self._state

    def refresh(self) -> tuple[ControlState, list[Forgetting]]:
        """Reads what others have written.

        Returns:
            What holds now, and what is to be dropped and was not returned before.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._lock:
            self._catch_up()
            forget, self._forget = self._forget, []
            return self._state, forget

    def change(self, make: Callable[[ControlState], ControlChange]) -> None:
        """Makes a change; makes it again from the new state if another worker was first.

        Args:
            make: Returns the change. May raise to make none.

        Raises:
            StoreError: The store cannot be written, or too many others write at the same time.
        """
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                self._catch_up()
                change = make(self._state)
                if self._append(change):
                    return
        raise StoreError("too many administrators change keys and settings at the same time: try again")

    def renew(self) -> None:
        """Writes everything again, so that it is encrypted with the first of the encryption keys.

        Raises:
            StoreError: The store cannot be used.
        """
        with self._lock:
            self._catch_up()
            if self._last:
                self._since = SNAPSHOT_INTERVAL
                self._append(ControlChange())  # or another worker has just written

    def _append(self, change: ControlChange) -> bool:
        record = {"log": self._id or uuid4().hex[:12], **_change_json(change)}
        records = [record]
        is_snapshot = not self._last or self._since >= SNAPSHOT_INTERVAL
        if is_snapshot:
            # The small record comes last, because every poll reads the last record again.
            records.insert(0, {"log": record["log"], "snapshot": _change_json(_as_change(self._state))})
        packed = [json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass") for one in records]
        if not require_log(self._store).append_log(LOG_NAME, self._last, packed, truncate_before=is_snapshot):
            return False
        for one in records:
            self._take(self._last + 1, one)
        return True

    def _catch_up(self) -> None:
        journal = require_log(self._store)
        try:
            # Includes the last known record: another log may have begun in place of one that was lost.
            records = journal.read_log(LOG_NAME, after=max(0, self._last - 1))
            if self._last and not (records and json.loads(records[0][1]).get("log") == self._id):
                self._last = 0
                self._forget.append(Forgetting(None))
                records = journal.read_log(LOG_NAME)
        except RefError:
            if self._last:
                log.error("the keys and settings in the store are lost: they are written again from memory")
                self._last, self._since = 0, 0
                self._forget.append(Forgetting(None))
                if not self._append(ControlChange()):
                    self._catch_up()
            return
        if records and self._last and records[0][0] > self._last + 1:
            self._forget.append(Forgetting(None))  # a snapshot has replaced records that nobody has read here
        for number, packed in records:
            if number > self._last:
                self._take(number, json.loads(packed))

    def _take(self, number: int, record: Mapping[str, Any]) -> None:
        try:
            if "snapshot" in record:
                self._state, self._since = _apply(ControlState(), _parse_change(record["snapshot"])), 0
            else:
                change = _parse_change(record)
                self._state, self._since = _apply(self._state, change), self._since + 1
                self._forget += change.forget
            self._id, self._last = record["log"], number
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StoreError(f"the log {LOG_NAME!r} of keys and settings is damaged (record {number})") from None


def _apply(state: ControlState, change: ControlChange) -> ControlState:
    keys: dict[str, StoredKey | None] = {**state.keys, **change.keys}
    settings: dict[str, Mapping[str, Any] | None] = {**state.settings, **change.settings}
    return ControlState(
        {hash: key for hash, key in keys.items() if key is not None},
        {tenant: fields for tenant, fields in settings.items() if fields is not None},
    )


def _as_change(state: ControlState) -> ControlChange:
    return ControlChange(state.keys, state.settings)


def _change_json(change: ControlChange) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if change.keys:
        out["keys"] = {hash: None if key is None else _key_json(key) for hash, key in change.keys.items()}
    if change.settings:
        out["settings"] = dict(change.settings)
    if change.forget:
        out["forget"] = [
            {"tenant": one.tenant, "keys": None if one.keys is None else list(one.keys), "session": one.session}
            for one in change.forget
        ]
    return out


def _key_json(stored: StoredKey) -> dict[str, Any]:
    key = stored.key
    fields = {"tenant": key.tenant, "admin": key.admin, "created": key.created, "expires": key.expires}
    return {**fields, "blocked": key.blocked, "grants": stored.grants}


def _parse_change(data: Mapping[str, Any]) -> ControlChange:
    keys = {hash: None if one is None else _parse_key(hash, one) for hash, one in data.get("keys", {}).items()}
    forget = [
        Forgetting(one["tenant"], None if one["keys"] is None else tuple(one["keys"]), one["session"])
        for one in data.get("forget", ())
    ]
    return ControlChange(keys, data.get("settings", {}), forget)


def _parse_key(hash: str, data: Mapping[str, Any]) -> StoredKey:
    fields = {name: data[name] for name in ("tenant", "admin", "created", "expires", "blocked")}
    return StoredKey(ApiKey(hash=hash, **fields), bool(data["grants"]))
