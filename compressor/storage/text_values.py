"""Writes and reads texts in a store of bytes, lone surrogates included."""

from __future__ import annotations

from collections.abc import Mapping

from compressor.storage.base import BlobStore


def put_texts(store: BlobStore, texts: Mapping[str, str]) -> None:
    """Stores all texts in one transaction."""
    store.put({key: text.encode("utf-8", "surrogatepass") for key, text in texts.items()})


def get_text(store: BlobStore, key: str) -> str:
    """Returns the exact text.

    Raises:
        RefError: As `BlobStore.get`: UnknownRefError or ExpiredRefError.
    """
    return store.get(key).decode("utf-8", "surrogatepass")
