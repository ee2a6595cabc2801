"""Defines what a session knows, as data: its live messages, what was done to them, and its counters.

A state holds no message, only digests and edits, so that whoever keeps the messages (a checkpointer, a client) need not
keep them twice. `to_json` and `from_json` are exact inverses. Fields that this program does not know are kept and
written back, so that workers of an older and a newer version can serve one session during an upgrade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from operator import attrgetter
from typing import Any

from compressor.context.model import Path
from compressor.errors import CompressorError

VERSION = 2


@dataclass(slots=True)
class MessageRecord:
    """What was done to one live message.

    Attributes:
        index: Number of the message in the whole history, from 0. System messages in front do not count.
        digest: Digest of the history up to and including the message.
        raw_tokens: Tokens of the original.
        tokens: Tokens of the message as the view shows it.
        edits: New texts by path. Empty if the view shows the original.
        ingested: Whether its tool results have been through ingest, or it has none.
        pinned: Whether it stays in the view unchanged.
        reasoning_stripped: Whether a compaction removed its signed reasoning.
        holds_index: Whether it holds the index of the evicted rounds.
        images: Images of the whole session up to the end of this message, which are numbered from 1.
        unknown: Fields of a newer program, by name.
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
    images: int = 0
    unknown: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data, without fields that have their default."""
        out: dict[str, Any] = {
            **(deepcopy(self.unknown) if self.unknown else {}),
            "index": self.index,
            "digest": self.digest,
            "raw_tokens": self.raw_tokens,
            "tokens": self.tokens,
        }
        if self.edits:
            out["edits"] = [[list(path), text] for path, text in self.edits.items()]
        for name in ("ingested", "pinned", "reasoning_stripped", "holds_index"):
            if getattr(self, name):
                out[name] = True
        if self.images:
            out["images"] = self.images
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MessageRecord:
        """Returns the record that `to_json` wrote."""
        known, unknown = _split_fields(cls, data)
        edits = {tuple(path): text for path, text in known.pop("edits", ())}
        return cls(**known, edits=edits, unknown=unknown)


_READ_FIELDS = [attrgetter(f.name) for f in fields(MessageRecord)]


def read_columns(records: Sequence[MessageRecord]) -> list[list[Any]]:
    """Returns the values of each field of records, the indices first. Records with equal values are written alike.

    These are few objects, where one tuple a record would be many.
    """
    return [list(map(read, records)) for read in _READ_FIELDS]


@dataclass(slots=True)
class SessionCounters:
    """Counts what was sent, and what would have been sent without compression.

    Costs are US dollars for prompts; see `compaction_trigger` for how they are worked out.

    Attributes:
        calls: Views that were taken for a call.
        baseline_tokens: Prompt tokens of all calls without compression.
        actual_tokens: Prompt tokens of all calls as sent.
        cached_tokens: Those of `actual_tokens` that the provider's prompt cache holds, by our reckoning.
        baseline_cost: Dollars that the prompts would have cost without compression.
        actual_cost: Dollars that the prompts cost as sent.
        baseline_last: Prompt tokens of the last call without compression.
        calls_over_window: Calls whose prompt would have been larger than the model's window without compression, and
            was not as sent.
        saved_total: Dollars saved up to and including the last call.
        actual_last: Prompt tokens of the last call as sent.
        unchanged_tokens: Tokens at the start of the last prompt that the next prompt repeats; -1 for all of them.
        reference_baseline: `baseline_cost` at the prices that decide when to compact.
        reference_actual: `actual_cost` at these prices.
        missed_savings: Dollars, at these prices, that an earlier compaction would have saved since the last one.
        last_compaction_tokens: Tokens of the view after the last compaction.
        message_count: Messages that the session had at the last call; -1 before the first.
        last_call_time: Time of the last call, in seconds since the epoch.
        compactions: Number of compactions.
        expansions: Number of expansions.
        billed_tokens: Prompt tokens that the provider reported.
        billed_cached: Cached prompt tokens that the provider reported.
        unknown: Fields of a newer program, by name.
    """

    calls: int = 0
    baseline_tokens: int = 0
    actual_tokens: int = 0
    cached_tokens: int = 0
    baseline_cost: float = 0.0
    actual_cost: float = 0.0
    baseline_last: int = 0
    calls_over_window: int = 0
    saved_total: float = 0.0
    actual_last: int = 0
    unchanged_tokens: int = -1
    reference_baseline: float = 0.0
    reference_actual: float = 0.0
    missed_savings: float = 0.0
    last_compaction_tokens: int = 0
    message_count: int = -1
    last_call_time: float = 0.0
    compactions: int = 0
    expansions: int = 0
    billed_tokens: int = 0
    billed_cached: int = 0
    unknown: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        out = asdict(self)
        return {**out.pop("unknown"), **out}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionCounters:
        """Returns the counters that `to_json` wrote."""
        known, unknown = _split_fields(cls, data)
        counters = cls(**known, unknown=unknown)
        if "saved_total" not in data:  # written before it was counted
            counters.saved_total = counters.baseline_cost - counters.actual_cost
        return counters


@dataclass(slots=True)
class SessionState:
    """The whole state of a session, without its messages.

    Attributes:
        scopes: Scopes whose refs the session may expand; the first is its own.
        count: Messages that the session has been given.
        records: One record for each message in the view, in order.
        evicted_tokens: Tokens of the originals of messages that have left the view.
        last_evicted: Index of the newest of these messages; -1 if there is none.
        page_refs: Refs of the pages that list the evicted rounds.
        index_lines: Lines of the index that the view shows.
        index_numbers: Number of the first message of each of these rounds.
        older_ref: Ref of the index lines that the view no longer shows, or "".
        older_rounds: Number of rounds behind `older_ref`.
        expansions: What was expanded lately: the queries, or the first characters of the texts.
        summary: The summary of the evicted rounds as JSON data, or None.
        open_items: What is not resolved, as JSON data.
        scanned: Messages that have been searched for such items.
        images: Images that the session has been given.
        receipt_refs: Refs of the receipts of all compactions, oldest first.
        receipt: The last of them as JSON data, or None.
        compact_requested: Whether the agent has asked for a compaction, which the next view makes.
        counters: Tokens, costs and calls.
        unknown: Fields of a newer program, by name.
    """

    scopes: list[str] = field(default_factory=list)
    count: int = 0
    records: list[MessageRecord] = field(default_factory=list)
    evicted_tokens: int = 0
    last_evicted: int = -1
    page_refs: list[str] = field(default_factory=list)
    index_lines: list[str] = field(default_factory=list)
    index_numbers: list[int] = field(default_factory=list)
    older_ref: str = ""
    older_rounds: int = 0
    expansions: list[str] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    open_items: list[list[Any]] = field(default_factory=list)
    scanned: int = 0
    images: int = 0
    receipt_refs: list[str] = field(default_factory=list)
    receipt: dict[str, Any] | None = None
    compact_requested: bool = False
    counters: SessionCounters = field(default_factory=SessionCounters)
    unknown: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the state as JSON data."""
        return self.to_header_json() | {"records": [record.to_json() for record in self.records]}

    def to_header_json(self) -> dict[str, Any]:
        """Returns the state without its records as JSON data. It is a copy: later changes do not reach it."""
        special = ("records", "counters", "unknown")
        out = {f.name: deepcopy(getattr(self, f.name)) for f in fields(self) if f.name not in special}
        return {**deepcopy(self.unknown), "version": VERSION, **out, "counters": self.counters.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionState:
        """Returns the state that `to_json` wrote.

        Raises:
            CompressorError: The data is not a state, is damaged, or has another version.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("version"), int):
            raise CompressorError("this is not the state of a session: pass what `export` or `.state` returned")
        if (version := data["version"]) != VERSION:
            advice = (
                "upgrade this program"
                if version > VERSION
                else "it was written by an older program and cannot be read, so start a new session"
            )
            raise CompressorError(
                f"this session state has version {version}, but this program reads version {VERSION}: {advice}"
            )
        try:
            given, unknown = _split_fields(cls, data)
            del unknown["version"]
            records = [MessageRecord.from_json(record) for record in given.pop("records", ())]
            counters = SessionCounters.from_json(given.pop("counters", {}))
            state = cls(**given, records=records, counters=counters, unknown=unknown)
            _check_types(state, counters, *records)
            return state
        except (TypeError, AttributeError, ValueError) as error:
            raise CompressorError(f"this session state is damaged: {error}") from None


def _split_fields(kind: type[Any], data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns copies of the fields of `data` that a dataclass has, and of all others, by name.

    Raises:
        TypeError: A field has no name.
    """
    names = {f.name for f in fields(kind)} - {"unknown"}  # a newer program may have a field of this name, too
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for name, value in data.items():
        if not isinstance(name, str):
            raise TypeError(f"{name!r:.40} is not the name of a field")
        (known if name in names else unknown)[name] = deepcopy(value)
    return known, unknown


def _check_types(*parts: Any) -> None:
    """Raises TypeError for a field whose value is not of the annotated type."""
    for part in parts:
        for f in fields(part):
            value, kind = getattr(part, f.name), str(f.type).split("[")[0]
            expected = None if value is None and str(f.type).endswith("None") else _TYPES.get(kind)
            if expected is not None and (
                not isinstance(value, expected) or (kind != "bool" and isinstance(value, bool))
            ):
                raise TypeError(f"{f.name} must be of type {kind}, not {value!r:.40}")
        for name in ("scopes", "page_refs", "index_lines", "expansions", "receipt_refs"):
            value = getattr(part, name, ())
            if isinstance(value, list) and not all(isinstance(item, str) for item in value):
                raise TypeError(f"{name} must hold strings only")


_TYPES: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
