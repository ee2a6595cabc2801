"""What a session knows, as data: its live messages and what was done to them, and its counters. Decides nothing.

A state holds no message, only digests and edits, so that whoever keeps the messages (a checkpointer, a client) need not
keep them twice. `to_json` and `from_json` are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from compressor.context.model import Path
from compressor.errors import CompressorError

VERSION = 1


@dataclass(slots=True)
class MessageRecord:
    """One live message: number `at` of the whole history, from 0.

    digest: of the history up to and with it. raw, tokens: of the original, and as it stands in the view. edits: new
    texts of its slots. born: its tool results have been through their birth (or it has none). pinned: it stays in the
    view as it is. bare: signed reasoning has been left out. index: it carries the index of what has gone.
    """

    index: int
    digest: str
    raw_tokens: int = 0
    tokens: int = 0
    edits: dict[Path, str] = field(default_factory=dict)
    ingested: bool = False
    pinned: bool = False
    reasoning_stripped: bool = False
    holds_index: bool = False

    def to_json(self) -> dict[str, Any]:
        """Without what has its default."""
        out: dict[str, Any] = {
            "index": self.index,
            "digest": self.digest,
            "raw_tokens": self.raw_tokens,
            "tokens": self.tokens,
        }
        if self.edits:
            out["edits"] = [[list(path), text] for path, text in self.edits.items()]
        return out | {
            name: True for name in ("ingested", "pinned", "reasoning_stripped", "holds_index") if getattr(self, name)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MessageRecord:
        edits = {tuple(path): text for path, text in data.get("edits", ())}
        return cls(**{**data, "edits": edits})


@dataclass(slots=True)
class SessionCounters:
    """What was sent, and what would have been without us. Tokens; money in dollars; see `economy`.

    rent: what carrying the excess has cost since the last compaction. low: what that compaction came down to. seen, at:
    messages there were at the last call, and its time.
    """

    calls: int = 0
    baseline_tokens: int = 0
    actual_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    baseline_cost: float = 0.0
    actual_cost: float = 0.0
    baseline_last: int = 0  # tokens of the last request, as it would have been
    actual_last: int = 0  # and as it was
    unchanged_tokens: int = -1  # tokens at its start that the next request will begin with; -1: all of it
    missed_savings: float = 0.0
    last_compaction_tokens: int = 0
    message_count: int = -1
    last_call_time: float = 0.0
    compactions: int = 0
    expansions: int = 0
    billed_tokens: int = 0  # as the provider said
    billed_cached: int = 0
    billed_output: int = 0


@dataclass(slots=True)
class SessionState:
    """A session's state. `count` messages have been seen, `entries` are those in the view, in order; `pages` are refs
    of the lists of what has left it; `lines`, `older` and `rounds` are its index; `regrets` what was expanded; `scopes`
    may expand its refs; `summary` is the summariser's."""

    scopes: list[str] = field(default_factory=list)
    count: int = 0
    records: list[MessageRecord] = field(default_factory=list)
    evicted_tokens: int = 0  # tokens of the originals of messages that have left the view
    last_evicted: int = -1  # number of the newest of them
    page_refs: list[str] = field(default_factory=list)
    index_lines: list[str] = field(default_factory=list)
    older_ref: str = ""
    older_rounds: int = 0
    expansions: list[str] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    counters: SessionCounters = field(default_factory=SessionCounters)

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return self.to_header_json() | {"records": [entry.to_json() for entry in self.records]}

    def to_header_json(self) -> dict[str, Any]:
        """All but the entries. A copy: what is kept does not change with the state."""
        out = {f.name: deepcopy(getattr(self, f.name)) for f in fields(self) if f.name not in ("records", "counters")}
        return {"version": VERSION, **out, "counters": asdict(self.counters)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionState:
        """The state again. CompressorError for data that is none, or of a newer version."""
        if not isinstance(data, Mapping) or not isinstance(data.get("version"), int):
            raise CompressorError("this is no session's state: give what `export` or `.state` gave")
        if data["version"] > VERSION:
            raise CompressorError(
                f"this session's state has version {data['version']}, and this program knows {VERSION}: upgrade it"
            )
        known = {f.name: deepcopy(data[f.name]) for f in fields(cls) if f.name in data}
        try:
            entries = [MessageRecord.from_json(entry) for entry in known.pop("records", ())]
            counters = SessionCounters(**known.pop("counters", {}))
            state = cls(**known, records=entries, counters=counters)
            _check(state, counters, *entries)
            return state
        except (TypeError, AttributeError, ValueError) as error:
            raise CompressorError(f"this session's state is damaged: {error}") from None


def _check(*parts: Any) -> None:
    """TypeError for a number, text, list or dict that is something else."""
    for part in parts:
        for f in fields(part):
            value, kind = getattr(part, f.name), str(f.type).split("[")[0]
            known = None if value is None and str(f.type).endswith("None") else _KINDS.get(kind)
            if known is not None and (not isinstance(value, known) or (kind != "bool" and isinstance(value, bool))):
                raise TypeError(f"{f.name} is {value!r:.40}")
        for name in ("scopes", "pages", "lines", "expansions"):
            value = getattr(part, name, ())
            if isinstance(value, list) and not all(isinstance(item, str) for item in value):
                raise TypeError(f"{name} holds more than texts")


_KINDS: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
