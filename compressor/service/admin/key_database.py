"""The keys in the service's store: all workers see a change within a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from compressor.service.admin.control_log import ControlChange, ControlLog, ControlState, StoredKey
from compressor.service.auth import ApiKey
from compressor.service.http_errors import HttpError
from compressor.service.key_directory import combine_keys


class KeyDatabase:
    """The keys of the database together with those of the key file. Safe to share between threads.

    A key of the key file can be blocked, or made to end earlier, but not changed otherwise: that is done in the file.

    Args:
        control: The log with the keys.
        file_keys: Returns the keys of the key file.
        grants: Whether keys of the database are valid (`key_store`). Otherwise no key can be made here.
    """

    def __init__(
        self, control: ControlLog, file_keys: Callable[[], Sequence[ApiKey]] = tuple, grants: bool = True
    ) -> None:
        self._control, self._file_keys, self._grants = control, file_keys, grants

    def list_keys(self) -> list[ApiKey]:
        """Returns the entries of all keys."""
        return self._combined(self._control.state)

    def split(self, state: ControlState) -> tuple[list[ApiKey], list[ApiKey]]:
        """Returns the entries that make keys valid, and those that only refuse keys of the key file."""
        stored = state.keys.values()
        granting = [one.key for one in stored if one.grants and self._grants]
        return granting, [one.key for one in stored if not (one.grants and self._grants)]

    def edit(self, make: Callable[[list[ApiKey]], list[ApiKey]]) -> None:
        """Changes the keys.

        Args:
            make: Returns the new entries. May be called again with newer ones.

        Raises:
            HttpError: 409 for a change that only the key file, or the setting `key_store`, allows.
            StoreError: The store cannot be written.
        """

        def change(state: ControlState) -> ControlChange:
            before = {key.hash: key for key in self._combined(state)}
            after = {key.hash: key for key in make(list(before.values()))}
            in_file = {key.hash: key for key in self._file_keys()}
            changes: dict[str, StoredKey | None] = {}
            for hash in before.keys() | after.keys():
                old, new = before.get(hash), after.get(hash)
                if old == new:
                    continue
                if hash in in_file:
                    changes[hash] = _refusal(in_file[hash], new)
                elif new is not None and old is None and not self._grants:
                    raise HttpError(
                        409,
                        "keys_in_file",
                        "The keys of this service are in a key file: use `compressor admin key create --keys FILE`, or "
                        "start the service with key_store=database",
                    )
                else:
                    changes[hash] = None if new is None else StoredKey(new, True)
            return ControlChange(keys=changes)

        self._control.change(change)

    def _combined(self, state: ControlState) -> list[ApiKey]:
        return list(combine_keys(self._file_keys(), *self.split(state)))


def _refusal(file_key: ApiKey, new: ApiKey | None) -> StoredKey | None:
    """Returns the entry that makes a key of the key file what it should be; None if it needs none."""
    if new is None:
        raise HttpError(
            409, "key_in_file", f"Key {file_key.id} is in the key file: remove its line there, or block it here"
        )
    if (file_key.blocked and not new.blocked) or _ends_later(new, file_key):
        raise HttpError(
            409, "key_in_file", f"Key {file_key.id} is blocked or ends earlier in the key file: change its line there"
        )
    return None if new == file_key else StoredKey(new, False)


def _ends_later(key: ApiKey, other: ApiKey) -> bool:
    return other.expires is not None and (key.expires is None or key.expires > other.expires)


def describe_keys(keys: Iterable[ApiKey], in_file: Iterable[ApiKey]) -> list[dict[str, object]]:
    """Returns entries as JSON data, with the place where each is kept, in a stable order."""
    hashes = {key.hash for key in in_file}
    ordered = sorted(keys, key=lambda key: (key.tenant, key.created or 0.0, key.id))
    return [{**key.describe(), "source": "file" if key.hash in hashes else "database"} for key in ordered]
