"""What an administrator does with keys: the same for a key file and for the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from compressor.service.auth import ID_LENGTH, ApiKey, new_key
from compressor.service.http_errors import HttpError

#: Replaces the entries of all keys by others.
KeyEdit = Callable[[list[ApiKey]], list[ApiKey]]


class KeyStore(Protocol):
    """Where keys are kept."""

    def list_keys(self) -> list[ApiKey]:
        """Returns the entries of all keys."""
        ...

    def edit(self, make: KeyEdit) -> None:
        """Replaces all entries by those that `make` returns for them."""
        ...


def find_by_id(keys: Sequence[ApiKey], id: str) -> ApiKey:
    """Returns the entry of an id.

    Args:
        keys: All entries.
        id: The id, or more digits of the hash.

    Raises:
        HttpError: 404 without such a key.
    """
    given = id.lower()
    found = [key for key in keys if len(given) >= ID_LENGTH and key.hash.startswith(given)]
    if len(found) != 1:
        raise HttpError(404, "unknown_key", "There is no key with this id: list the keys to see theirs")
    return found[0]


def create_key(store: KeyStore, tenant: str, admin: bool = False, expires: float | None = None) -> tuple[str, ApiKey]:
    """Makes a key.

    Returns:
        The key itself, which is not kept anywhere, and its entry.

    Raises:
        CompressorError: The tenant's name is not valid.
    """
    plain, key = new_key(tenant, admin, _now(), expires)
    store.edit(lambda keys: [*keys, key])
    return plain, key


def change_key(store: KeyStore, id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
    """Changes the entry of a key: blocks it, lets it expire.

    Returns:
        The new entry.

    Raises:
        HttpError: 404 without such a key.
    """
    changed: list[ApiKey] = []

    def edit(keys: list[ApiKey]) -> list[ApiKey]:
        old = find_by_id(keys, id)
        changed[:] = [change(old)]
        return [changed[0] if key.hash == old.hash else key for key in keys]

    store.edit(edit)
    return changed[0]


def block_key(store: KeyStore, id: str, blocked: bool = True) -> ApiKey:
    """Blocks a key, or unblocks it."""
    return change_key(store, id, lambda key: replace(key, blocked=blocked))


def expire_key(store: KeyStore, id: str, expires: float | None) -> ApiKey:
    """Sets when a key ends; None: it does not."""
    return change_key(store, id, lambda key: replace(key, expires=expires))


def rotate_key(store: KeyStore, id: str, overlap: float) -> tuple[str, ApiKey, ApiKey]:
    """Makes a new key in place of an old one.

    Args:
        store: Where the keys are.
        id: The id of the old key.
        overlap: Seconds for which the old key stays valid beside the new one.

    Returns:
        The new key itself, its entry, and the entry of the old key.

    Raises:
        HttpError: 404 without such a key, 409 if it is blocked or has expired.
    """
    made: list[tuple[str, ApiKey, ApiKey]] = []

    def edit(keys: list[ApiKey]) -> list[ApiKey]:
        old, now = find_by_id(keys, id), _now()
        if (state := old.state()) != "valid":
            raise HttpError(409, "key_not_valid", f"Key {old.id} is {state}: create a new key instead")
        plain, key = new_key(old.tenant, old.admin, now)
        ends = now + overlap if old.expires is None else min(old.expires, now + overlap)
        ended = replace(old, expires=ends)
        made[:] = [(plain, key, ended)]
        return [*(ended if one.hash == old.hash else one for one in keys), key]

    store.edit(edit)
    return made[0]


def delete_key(store: KeyStore, id: str) -> ApiKey:
    """Deletes the entry of a key and returns it.

    Raises:
        HttpError: 404 without such a key.
    """
    deleted: list[ApiKey] = []

    def edit(keys: list[ApiKey]) -> list[ApiKey]:
        deleted[:] = [find_by_id(keys, id)]
        return [key for key in keys if key.hash != deleted[0].hash]

    store.edit(edit)
    return deleted[0]


def require_other_admin(keys: Sequence[ApiKey], id: str) -> None:
    """Checks that a valid admin key is left if this one ends.

    Raises:
        HttpError: 409 if this is the last valid admin key.
    """
    key = find_by_id(keys, id)
    others = [one for one in keys if one.admin and one.hash != key.hash and one.state() == "valid"]
    if key.admin and key.state() == "valid" and not others:
        raise HttpError(
            409, "last_admin_key", f"Key {key.id} is the last valid admin key: create or rotate one before it ends"
        )


def _now() -> float:
    return float(int(time.time()))
