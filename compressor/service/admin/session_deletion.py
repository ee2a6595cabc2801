"""Deletes a session of a tenant: its messages, its options, and the originals that only it may read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from compressor.errors import RefError, StoreError
from compressor.service.http_errors import HttpError
from compressor.sessions.archive import scope_id
from compressor.sessions.state import SessionState
from compressor.storage.base import BlobStore, require_erasable, require_log
from compressor.storage.wrappers.redacting import REDACTED_PREFIX
from compressor.storage.wrappers.scoped import grant_key

_UNNAMED = re.compile(r"auto-([0-9a-f]{16})")
MAX_ATTEMPTS = 50  # of one deletion, while others write to the session
_ANY_GRANT = "grant:"
_DIALECTS = ("openai_chat", "openai_responses", "anthropic")


@dataclass(frozen=True)
class DeletedSession:
    """What was deleted.

    Attributes:
        id: The session's id.
        originals: The number of originals.
        kept: The number of originals that other sessions may read too, and that stay.
        keys: The keys of all values that are gone.
    """

    id: str
    originals: int
    kept: int
    keys: tuple[str, ...]


def delete_session(store: BlobStore, id: str) -> DeletedSession:
    """Deletes a session from the store.

    The log of its messages is emptied, not dropped: an object of the session in another worker then takes over that the
    session is empty, and does not write back what it knows.

    Args:
        store: The tenant's store.
        id: The session's id.

    Raises:
        HttpError: 404 if there is no such session.
        StoreError: The store cannot be read or written.
    """
    journal, scope = require_log(store), scope_id("", id)
    logs = [f"options:{scope}"]
    if not any([_empty(store, scope), *(_exists(store, name) for name in logs)]):
        raise HttpError(404, "unknown_session", f"There is no stored session {id!r}")
    logs += [f"tools:{scope}", f"examples:{scope}", *(f"tracked:{dialect}:{scope}" for dialect in _DIALECTS)]
    for name in logs:
        journal.drop_log(name)
    values = require_erasable(store)
    granted = {key.rpartition(":")[2] for key in values.list_keys(grant_key(scope, ""))}
    others = set()
    if granted:
        own_grants = grant_key(scope, "")
        grants = (key for key in values.list_keys(_ANY_GRANT) if not key.startswith(own_grants))
        others = {key.rpartition(":")[2] for key in grants} & granted
    gone = sorted(granted - others)
    keys = [*gone, *(REDACTED_PREFIX + ref for ref in gone)]
    keys += [grant_key(scope, ref) for ref in granted]
    keys += values.list_keys(f"expansion:{scope}:")
    values.remove(keys)
    return DeletedSession(id, len(gone), len(others), tuple(keys))


def delete_unnamed(store: BlobStore, id: str, is_in_memory: bool) -> DeletedSession:
    """Deletes what the store has of a conversation that its client has not named.

    Its originals stay until their TTL ends: they belong to whoever sends the same texts.

    Args:
        store: The tenant's store.
        id: The id that the service has given it.
        is_in_memory: Whether this process knows the conversation.

    Raises:
        HttpError: 404 if there is no such conversation.
        StoreError: The store cannot be written.
    """
    found = _UNNAMED.fullmatch(id)
    logs = require_erasable(store).erase(f"conversation:{found[1]}").logs if found else 0
    if not logs and not is_in_memory:
        raise HttpError(404, "unknown_session", f"There is no stored session {id!r}")
    return DeletedSession(id, 0, 0, ())


def _exists(store: BlobStore, name: str) -> bool:
    try:
        return bool(require_log(store).read_log(name))
    except RefError:
        return False


def _empty(store: BlobStore, scope: str) -> bool:
    """Replaces the log of a session's messages by the record of an empty session; returns whether there was one."""
    journal, name = require_log(store), f"session:{scope}"
    state = SessionState(scopes=[scope]).to_header_json()
    record = json.dumps({"state": state, "front": [], "count": 0, "changes": []}).encode()
    for _ in range(MAX_ATTEMPTS):
        try:
            number, last = journal.read_log(name)[-1]
        except (RefError, IndexError):
            return False
        if json.loads(last) == json.loads(record):
            return False  # it was deleted before
        if journal.append_log(name, number, [record], truncate_before=True):
            return True
    raise StoreError("the session is too busy to be deleted: try again")
