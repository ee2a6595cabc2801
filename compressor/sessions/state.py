"""What a session knows, as data: its live messages and what was done to them, and its tallies. Decides nothing.

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
class Entry:
    """One live message: number `at` of the whole history, from 0.

    digest: of the history up to and with it. raw, tokens: of the original, and as it stands in the view. edits: new
    texts of its slots. born: its tool results have been through their birth (or it has none). pinned: it stays in the
    view as it is. bare: signed reasoning has been left out. index: it carries the index of what has gone.
    """

    at: int
    digest: str
    raw: int = 0
    tokens: int = 0
    edits: dict[Path, str] = field(default_factory=dict)
    born: bool = False
    pinned: bool = False
    bare: bool = False
    index: bool = False

    def to_json(self) -> dict[str, Any]:
        """Without what has its default."""
        out: dict[str, Any] = {"at": self.at, "digest": self.digest, "raw": self.raw, "tokens": self.tokens}
        if self.edits:
            out["edits"] = [[list(path), text] for path, text in self.edits.items()]
        return out | {name: True for name in ("born", "pinned", "bare", "index") if getattr(self, name)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        edits = {tuple(path): text for path, text in data.get("edits", ())}
        return cls(**{**data, "edits": edits})


@dataclass(slots=True)
class Tallies:
    """What was sent, and what would have been without us. Tokens; money in dollars; see `economy`.

    rent: what carrying the excess has cost since the last compaction. low: what that compaction came down to. seen, at:
    messages there were at the last call, and its time.
    """

    calls: int = 0
    raw_tokens: int = 0
    sent_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    raw_money: float = 0.0
    money: float = 0.0
    raw_last: int = 0  # tokens of the last request, as it would have been
    last: int = 0  # and as it was
    kept: int = -1  # tokens at its start that the next request will begin with; -1: all of it
    rent: float = 0.0
    low: int = 0
    seen: int = -1
    at: float = 0.0
    compactions: int = 0
    expansions: int = 0
    billed_tokens: int = 0  # as the provider said
    billed_cached: int = 0
    billed_output: int = 0


@dataclass(slots=True)
class State:
    """A session's state. `count` messages have been seen, `entries` are those in the view, in order; `pages` are refs
    of the lists of what has left it; `lines`, `older` and `rounds` are its index; `regrets` what was expanded; `scopes`
    may expand its refs; `summary` is the summariser's."""

    scopes: list[str] = field(default_factory=list)
    count: int = 0
    entries: list[Entry] = field(default_factory=list)
    raw_gone: int = 0  # tokens of the originals of messages that have left the view
    gone_to: int = -1  # number of the newest of them
    pages: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    older: str = ""
    rounds: int = 0
    regrets: list[str] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    tallies: Tallies = field(default_factory=Tallies)

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return self.head() | {"entries": [entry.to_json() for entry in self.entries]}

    def head(self) -> dict[str, Any]:
        """All but the entries. A copy: what is kept does not change with the state."""
        out = {f.name: deepcopy(getattr(self, f.name)) for f in fields(self) if f.name not in ("entries", "tallies")}
        return {"version": VERSION, **out, "tallies": asdict(self.tallies)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> State:
        """The state again. CompressorError for data that is none, or of a newer version."""
        if not isinstance(data, Mapping) or not isinstance(data.get("version"), int):
            raise CompressorError("this is no session's state: give what `export` or `.state` gave")
        if data["version"] > VERSION:
            raise CompressorError(
                f"this session's state has version {data['version']}, and this program knows {VERSION}: upgrade it"
            )
        known = {f.name: deepcopy(data[f.name]) for f in fields(cls) if f.name in data}
        try:
            entries = [Entry.from_json(entry) for entry in known.pop("entries", ())]
            tallies = Tallies(**known.pop("tallies", {}))
            state = cls(**known, entries=entries, tallies=tallies)
            _check(state, tallies, *entries)
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
        for name in ("scopes", "pages", "lines", "regrets"):
            if not all(isinstance(item, str) for item in getattr(part, name, ())):
                raise TypeError(f"{name} holds more than texts")


_KINDS: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
