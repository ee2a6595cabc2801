"""Reads exported sessions, and collects the original texts that an export carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compressor.context.formats import serialization
from compressor.context.refs import compute_ref, find_refs
from compressor.errors import CompressorError
from compressor.sessions import archive
from compressor.sessions.state import SessionState
from compressor.storage.base import BlobStore


@dataclass(frozen=True)
class ExportedSession:
    """A session as `Session.export` wrote it, checked.

    Attributes:
        id: The id it had.
        model: The model it was for, or None.
        state: Its state.
        front: Its system messages in front, as JSON data.
        messages: Its live messages, as JSON data.
        originals: The texts behind its refs, by ref.
    """

    id: Any
    model: str | None
    state: SessionState
    front: list[Any]
    messages: list[Any]
    originals: dict[str, str]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExportedSession:
        """Checks the data of an export.

        Raises:
            CompressorError: The data is not an export, or is damaged.
        """
        try:
            state = SessionState.from_json(data["state"])
            front, messages, originals = list(data["front"]), list(data["messages"]), dict(data["originals"])
            exported = cls(data["id"], data["model"], state, front, messages, originals)
            for message in (*front, *messages):
                serialization.deserialize_message(message)
            for ref, text in originals.items():
                if not isinstance(text, str) or compute_ref(text) != ref:
                    raise ValueError(f"the original of ref {ref!r:.40} is a different text")
        except (KeyError, TypeError, ValueError) as error:
            raise CompressorError(
                f"this is not an exported session: pass what `Session.export` returned ({error!r})"
            ) from None
        if len(messages) != len(state.records):
            raise CompressorError("the session cannot be imported: its messages do not match its state")
        return exported


def collect_originals(store: BlobStore, state: SessionState) -> dict[str, str]:
    """Returns the texts behind all refs of a session, also behind refs in these texts, as far as they are stored."""
    refs = [ref for record in state.records for text in record.edits.values() for ref in find_refs(text)]
    refs += [*state.page_refs, *([state.older_ref] if state.older_ref else [])]
    for ref, _, exact in archive.list_pages(store, state.page_refs):
        refs += [ref, exact]
    found: dict[str, str] = {}
    while refs := [ref for ref in dict.fromkeys(refs) if ref not in found]:
        more = archive.readable_texts(store, state.scopes, refs)
        refs = [ref for text in more.values() for ref in find_refs(text)]
        found |= more
    # A store that redacts secrets returns another text than the ref was computed from, and no other store accepts it.
    return {ref: text for ref, text in found.items() if compute_ref(text) == ref}
