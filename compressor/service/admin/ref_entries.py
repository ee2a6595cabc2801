"""Describes and deletes the originals behind refs, without reading them."""

from __future__ import annotations

import re
import time
from typing import Any

from compressor.context.refs import REF_DIGITS
from compressor.errors import ExpiredRefError, UnknownRefError
from compressor.service.auth import format_time
from compressor.storage.base import BlobStore, require_erasable
from compressor.storage.wrappers.redacting import REDACTED_PREFIX

_REF = re.compile(rf"[0-9]{{{REF_DIGITS}}}")


def describe_ref(store: BlobStore, ref: str) -> dict[str, Any]:
    """Returns what the store knows about a ref, as JSON data.

    Args:
        store: The tenant's store.
        ref: The ref.

    Raises:
        UnknownRefError: It was never stored, or is forgotten.
        ExpiredRefError: It has expired.
    """
    is_expired = False
    for key in _keys(ref):
        entry = require_erasable(store).describe(key)
        if entry is not None and entry.size:
            expires = format_time(time.time() + entry.expires_in)
            more = {"expires": expires, "expires_in": round(entry.expires_in)}
            return {"ref": ref, "stored_bytes": entry.size, "redacted": key != ref, **more}
        is_expired = is_expired or entry is not None
    raise ExpiredRefError(ref) if is_expired else UnknownRefError(ref)


def delete_ref(store: BlobStore, ref: str) -> list[str]:
    """Deletes the original of a ref and returns the keys that it may have had.

    Args:
        store: The tenant's store.
        ref: The ref.

    Raises:
        UnknownRefError: It was never stored, or is forgotten.
        ExpiredRefError: It has expired.
    """
    describe_ref(store, ref)
    keys = _keys(ref)
    require_erasable(store).remove(keys)
    return keys


def _keys(ref: str) -> list[str]:
    """Returns the keys that the text of a ref may have. A ref of another form is unknown."""
    if not _REF.fullmatch(ref):
        raise UnknownRefError(ref)
    return [ref, REDACTED_PREFIX + ref]
