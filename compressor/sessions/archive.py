"""What has left a session's view: its index, its place in the store, and who may read it again.

A round that leaves is stored twice under refs: as a text for the agent to read, and as the exact messages. A page in
the store lists the rounds of one compaction. Refs are granted to a scope (tenant and session): a ref alone opens
nothing. Selects nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from compressor.context.formats import serialization
from compressor.context.model import Turn
from compressor.context.refs import compute_ref, find_refs, format_placeholder
from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.sessions.runtime import SessionRuntime
from compressor.sessions.summaries.passage import Passage, PassageKind
from compressor.storage.base import BlobStore, StoreStats, get_many
from compressor.storage.text_values import get_text, put_texts

HEADING = "[index of earlier rounds that were cut from this conversation, oldest first; expand a ref to read one]"
INDEX_FRACTION = 0.15  # of the low-water mark; older lines become one
MAX_LABEL_CHARS = 90  # characters
_OLDER = re.compile(r"\d+ rounds before these \[")
PASSAGE_KINDS = get_args(PassageKind)
DISPLAY_NAMES = {"tool_call": "call", "tool_result": "result"}  # kinds that the agent knows by a shorter name


def scope_id(tenant: str, session: str) -> str:
    """The scope of a tenant's session: names of any length and kind in a short key."""
    name = json.dumps([tenant, session]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=12).hexdigest()


def grant_access(scope: str, ref: str) -> str:
    """The key whose being there lets a scope read a ref."""
    return f"grant:{scope}:{ref}"


class ScopedStore:
    """A store that grants what is put into it to a scope."""

    def __init__(self, store: BlobStore, scope: str) -> None:
        self._store, self._scope = store, scope

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._store.put({**items, **{grant_access(self._scope, key): b"" for key in items}})

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        return self._store.get(key)

    def stats(self) -> StoreStats:
        """See `BlobStore.stats`."""
        return self._store.stats()

    def close(self) -> None:
        """Closes nothing: the store is not this session's."""


def read_original(store: BlobStore, scopes: Sequence[str], ref: str) -> str:
    """The text behind a ref that one of the scopes was granted. UnknownRefError for any other; ExpiredRefError if it is gone."""
    if get_many(store, [grant_access(scope, ref) for scope in scopes]):
        return get_text(store, ref)
    raise (
        ExpiredRefError(ref)
        if any(_is_expired(store, grant_access(scope, ref)) for scope in scopes)
        else UnknownRefError(ref)
    )


def _is_expired(store: BlobStore, key: str) -> bool:
    try:
        store.get(key)
    except UnknownRefError:
        return False
    except ExpiredRefError:
        return True
    return True


@dataclass(frozen=True)
class EvictedRound:
    """A round that has left the view. `text` is what the agent reads, `messages` are the exact ones as JSON, `spoken`
    kind, name and text of each stretch, for a summary; `numbers` are the messages' in the whole history."""

    label: str
    text: str
    messages_json: str
    spans: tuple[tuple[PassageKind, str | None, str], ...] = ()
    message_indices: tuple[int, ...] = ()

    @property
    def ref(self) -> str:
        return compute_ref(self.text)

    @property
    def passages(self) -> list[Passage]:
        """What a summariser reads."""
        return [Passage(text, kind, name, self.ref) for kind, name, text in self.spans]

    @classmethod
    def from_turns(cls, turns: Iterable[Turn], messages: Sequence[Any], numbers: Sequence[int] = ()) -> EvictedRound:
        """Of a round's original turns and messages, and their numbers."""
        parts, calls, said = [], [], ""
        spoken: list[tuple[PassageKind, str | None, str]] = []
        for turn in turns:
            for slot in turn.slots:
                name = f" {slot.name}" if slot.name else ""
                kind = DISPLAY_NAMES.get(slot.kind, slot.kind)
                parts.append(f"[{kind}{name}]\n{slot.text or '(an image)'}")
                if slot.kind in PASSAGE_KINDS and slot.text:
                    spoken.append((cast(PassageKind, slot.kind), slot.name, slot.text))
                if slot.kind == "tool_call":
                    calls.append(f"{slot.name} {slot.text}")
                elif not said and slot.kind in ("user", "assistant"):
                    said = f"{slot.kind}: {slot.text}"
            calls += [
                name for name in turn.extras if turn.call_ids and not any(s.kind == "tool_call" for s in turn.slots)
            ]
        label = " ".join((" + ".join(calls) or said or "a message").split())
        label = label if len(label) <= MAX_LABEL_CHARS else label[: MAX_LABEL_CHARS - 1] + "…"
        exact = json.dumps([serialization.serialize_message(m) for m in messages], ensure_ascii=False)
        return cls(label, "\n\n".join(parts), exact, tuple(spoken), tuple(numbers))


def reasoning_text(text: str) -> EvictedRound:
    """Reasoning that was left out of a message which stays."""
    return EvictedRound("reasoning", text, json.dumps(text, ensure_ascii=False))


@dataclass(frozen=True)
class EvictionIndex:
    """The lines that stand for what has gone, oldest first. `older` is the ref of lines that had to make room, `rounds`
    how many rounds those were; `pending` is what has to be stored for that."""

    lines: tuple[str, ...] = ()
    older_ref: str = ""
    older_rounds: int = 0
    summary: str = ""
    pending: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What stands in the view."""
        return "\n".join([HEADING, *self._first, *self.lines, *([self.summary] if self.summary else [])])

    @property
    def _first(self) -> list[str]:
        """The line that stands for older ones, if there are any. `_OLDER` knows it again."""
        return [f"{self.older_rounds} rounds before these {format_placeholder(self.older_ref)}"] if self.older_ref else []

    def with_rounds(self, evicted: Sequence[EvictedRound], runtime: SessionRuntime) -> EvictionIndex:
        """With the lines of more rounds, the oldest lines moved behind one ref where there are too many."""
        lines = [*self.lines, *(f"{g.label} {format_placeholder(g.ref)}" for g in evicted)]
        room = int(INDEX_FRACTION * runtime.policy.compaction_target_tokens)
        sizes = [runtime.counter.count(line) + 1 for line in lines]
        if sum(sizes) <= room:
            return replace(self, lines=tuple(lines))
        # Half of the room is left free, so that the first lines do not change with every round that goes.
        out, left = 0, sum(sizes)
        while left > room // 2:
            left -= sizes[out]
            out += 1
        moved = lines[:out]
        page = "\n".join([*self._first, *moved])
        return replace(
            self,
            lines=tuple(lines[out:]),
            older=compute_ref(page),
            rounds=self.older_rounds + len(moved),
            pending={**self.pending, compute_ref(page): page},
        )


def is_index_page(text: str) -> bool:
    """Whether a text is lines of an index, or looks like it: what a tool gives may imitate one."""
    return all(find_refs(line) for line in text.splitlines())


def load_documents(store: BlobStore, scopes: Sequence[str], page: str) -> list[dict[str, str]]:
    """The rounds that the lines of an index stand for, those behind older lines included, as documents, oldest first;
    those that are no longer stored, or that none of the scopes was granted, are left out."""
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
    """Stores rounds that have left, the index's older lines, and `originals` by ref; the ref of the page that lists the
    rounds."""
    items = {**index.pending, **originals}
    for g in evicted:
        items[g.ref] = g.text
        items[compute_ref(g.messages_json)] = g.messages_json
    page = None
    if evicted:
        listed = json.dumps([[g.ref, g.label, compute_ref(g.messages_json), *g.message_indices] for g in evicted], ensure_ascii=False)
        items[page := compute_ref(listed)] = listed
    if items:
        put_texts(store, items)
    return page


def list_pages(store: BlobStore, refs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Ref, label and ref of the exact messages of every round on these pages that is still stored, oldest first."""
    return [(ref, label, exact) for ref, label, exact, _ in list_rounds(store, refs)]


def list_rounds(store: BlobStore, refs: Sequence[str]) -> list[tuple[str, str, str, list[int]]]:
    """The same, with the numbers of the messages."""
    found = get_many(store, list(refs))
    out: list[tuple[str, str, str, list[int]]] = []
    for ref in refs:
        if ref in found:
            out += [(r, label, exact, numbers) for r, label, exact, *numbers in json.loads(found[ref])]
    return out


def readable_texts(store: BlobStore, scopes: Sequence[str], refs: Sequence[str]) -> dict[str, str]:
    """The texts of those refs that one of the scopes was granted and that are still stored. For refs found in texts:
    any tool can write a mark."""
    open_to = get_many(store, [grant_access(scope, ref) for scope in scopes for ref in refs])
    return stored_texts(store, [ref for ref in refs if any(grant_access(scope, ref) in open_to for scope in scopes)])


def record_expansion(store: BlobStore, scope: str, count: int, ref: str, query: str | None) -> None:
    """Keeps expansion `number` of a session for whoever trains a scorer. Not worth an error."""
    packed = json.dumps({"ref": ref, "query": query}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with suppress(StoreError):
        store.put({f"regret:{scope}:{count}": packed})


def list_expansions(store: BlobStore, scope: str, count: int) -> list[dict[str, Any]]:
    """The first `count` expansions of a session that are still stored, oldest first: `ref`, and `query` or None."""
    keys = [f"regret:{scope}:{number}" for number in range(1, count + 1)]
    found = get_many(store, keys)
    return [json.loads(found[key]) for key in keys if key in found]


def share_refs(store: BlobStore, scope: str, refs: Sequence[str]) -> int:
    """Grants a scope refs that are stored; how many."""
    there = get_many(store, refs)
    if there:
        store.put({grant_access(scope, ref): b"" for ref in there})
    return len(there)


def stored_texts(store: BlobStore, refs: Sequence[str]) -> dict[str, str]:
    """The texts of those refs that are still stored."""
    return {ref: value.decode("utf-8", "surrogatepass") for ref, value in get_many(store, list(refs)).items()}
