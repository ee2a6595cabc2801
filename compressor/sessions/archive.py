"""Stores what has left a session's view, and says who may read it again.

An evicted round is stored twice under refs: as a text for the agent to read, and as the exact messages. A page in the
store lists the rounds of one compaction. Refs are granted to a scope (a tenant's session): a ref alone opens nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from compressor.context.refs import compute_ref, find_refs
from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.sessions.evicted_rounds import EvictedRound, EvictionIndex
from compressor.storage.base import BlobStore, get_many
from compressor.storage.text_values import get_text, put_texts
from compressor.storage.wrappers.scoped import grant_key

_OLDER = re.compile(r"\d+ (?:more rounds|rounds before these) \[")


def scope_id(tenant: str, session: str) -> str:
    """Returns a short key for a tenant's session. Names may be of any length and have any characters."""
    name = json.dumps([tenant, session]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=12).hexdigest()


def read_original(store: BlobStore, scopes: Sequence[str], ref: str) -> str:
    """Returns the text behind a ref.

    Args:
        store: The store.
        scopes: The scopes that may have been granted the ref.
        ref: The ref.

    Raises:
        UnknownRefError: None of the scopes was granted the ref.
        ExpiredRefError: One of them was, but its time is over.
    """
    if get_many(store, [grant_key(scope, ref) for scope in scopes]):
        return get_text(store, ref)
    raise (
        ExpiredRefError(ref)
        if any(_has_existed(store, grant_key(scope, ref)) for scope in scopes)
        else UnknownRefError(ref)
    )


def _has_existed(store: BlobStore, key: str) -> bool:
    try:
        store.get(key)
    except UnknownRefError:
        return False
    except ExpiredRefError:
        return True
    return True


def is_index_page(text: str) -> bool:
    """Returns whether a text has the form of index lines. The output of a tool may imitate them."""
    return all(find_refs(line) for line in text.splitlines())


def load_documents(store: BlobStore, scopes: Sequence[str], page: str) -> list[dict[str, str]]:
    """Returns the rounds that index lines stand for as documents, oldest first.

    Args:
        store: The store.
        scopes: The scopes that may read. Rounds that none of them was granted are left out.
        page: Lines of an index. Rounds behind its older lines are included.
    """
    out: list[dict[str, str]] = []
    while page and is_index_page(page):
        lines = [(line, find_refs(line)[-1]) for line in page.splitlines()]
        found = readable_texts(store, scopes, [ref for _, ref in lines])
        page = ""
        here = []
        for line, ref in lines:
            if _OLDER.match(line):
                page = found.get(ref, "")
            elif ref in found:
                here.append({"title": line, "text": found[ref]})
        out = here + out
    return out


def archive_rounds(
    store: BlobStore, evicted: Sequence[EvictedRound], index: EvictionIndex, originals: Mapping[str, str]
) -> str | None:
    """Stores evicted rounds, the index's older lines, and further originals by ref.

    Returns:
        The ref of the page that lists the rounds, or None if there are no rounds.
    """
    items = {**index.pending, **originals}
    for r in evicted:
        items[r.ref] = r.text
        items[compute_ref(r.messages_json)] = r.messages_json
        items.update(r.images)
    page = None
    if evicted:
        rows = [[r.ref, r.label, compute_ref(r.messages_json), *r.message_indices] for r in evicted]
        listed = json.dumps(rows, ensure_ascii=False)
        items[page := compute_ref(listed)] = listed
    if items:
        put_texts(store, items)
    return page


def list_pages(store: BlobStore, refs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Returns ref, label and ref of the exact messages of every stored round on these pages, oldest first."""
    return [(ref, label, exact) for ref, label, exact, _ in list_rounds(store, refs)]


def list_rounds(store: BlobStore, refs: Sequence[str]) -> list[tuple[str, str, str, list[int]]]:
    """Returns the same as `list_pages`, with the numbers of the messages."""
    found = get_many(store, list(refs))
    out: list[tuple[str, str, str, list[int]]] = []
    for ref in refs:
        if ref in found:
            out += [(r, label, exact, indices) for r, label, exact, *indices in json.loads(found[ref])]
    return out


def readable_texts(store: BlobStore, scopes: Sequence[str], refs: Sequence[str]) -> dict[str, str]:
    """Returns the stored texts of those refs that one of the scopes was granted.

    Use this for refs parsed from text, because tools can forge placeholders.
    """
    granted = get_many(store, [grant_key(scope, ref) for scope in scopes for ref in refs])
    return stored_texts(store, [ref for ref in refs if any(grant_key(scope, ref) in granted for scope in scopes)])


def stored_texts(store: BlobStore, refs: Sequence[str]) -> dict[str, str]:
    """Returns the texts of those refs that are still stored."""
    return {ref: value.decode("utf-8", "surrogatepass") for ref, value in get_many(store, list(refs)).items()}


def record_expansion(store: BlobStore, scope: str, count: int, ref: str, query: str | None) -> None:
    """Stores an expansion as training data. A store that fails is ignored: the expansion itself matters more.

    Args:
        store: The store.
        scope: The session's scope.
        count: The number of the expansion in its session, from 1.
        ref: What was expanded.
        query: What it was searched for, or None.
    """
    packed = json.dumps({"ref": ref, "query": query}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with suppress(StoreError):
        store.put({_expansion_key(scope, count): packed})


def list_expansions(store: BlobStore, scope: str, count: int) -> list[dict[str, Any]]:
    """Returns the first `count` expansions of a session that are still stored, as dicts with `ref` and `query`."""
    keys = [_expansion_key(scope, number) for number in range(1, count + 1)]
    found = get_many(store, keys)
    return [json.loads(found[key]) for key in keys if key in found]


def _expansion_key(scope: str, number: int) -> str:
    return f"expansion:{scope}:{number}"


def share_refs(store: BlobStore, scope: str, refs: Sequence[str]) -> int:
    """Grants a scope those of the refs that are stored, and returns how many these are."""
    stored = get_many(store, refs)
    if stored:
        store.put({grant_key(scope, ref): b"" for ref in stored})
    return len(stored)
