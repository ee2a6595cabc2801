"""Implements the methods of the ruler of kept facts, each with a view of a given size.

Ours runs with the presets of its policy and with explicit budgets; the others are masking, a window, LangChain's
middlewares, and the way of deepagents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.methods import MODEL
from benchmarks.runs_methods import Masking, Method, Ours, Run
from benchmarks.runs_peers import Editing, Summarization
from benchmarks.tokens import Message, count, message_text, total
from compressor.context.refs import find_refs
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.tokens.pricing import Price

if TYPE_CHECKING:
    from compressor.sessions import Policy

VIEWS = (6_000, 12_000, 24_000)  # tokens
PRESETS = ("faithful", "balanced", "frugal")
DEFAULT_PRESET = "balanced"
KEPT_FRACTION = 0.3  # of the view that a summary leaves as it is
RECALL_TOKENS = 1_000
HISTORY_FILE = "/conversation_history/run.md"


class OursKept(Ours):
    """Runs a conversation of ours, and reads what it removed without being noticed by it.

    Attributes:
        failed: Requests for which it had no view that fits, so that the whole history went out.
    """

    def __init__(self, price: Price, policy: Policy, budget: int | None) -> None:
        from compressor import Compressor
        from compressor.sessions import Conversation

        Run.__init__(self)
        self._compressor = Compressor(store="memory")
        self.session: Any = Conversation(self._compressor, MODEL, budget, replace(policy, pricing=price))
        self.schema = count(json.dumps(self.session.expand_tool.schema("openai_chat")))
        self.failed = 0
        self._originals: dict[str, str] = {}
        self._copy: Any = None

    def step(self, new: list[Message]) -> list[Any]:
        self._copy = None
        self.messages += new
        self.session.append(*new)
        try:
            view: list[Any] = self.session.view(best_effort=True)
        except BudgetTooSmallError:
            self.failed += 1
            return list(self.messages)
        return view

    def expandable_texts(self, text: str) -> dict[str, str]:
        refs = dict.fromkeys(find_refs(text))
        for ref in refs:
            if ref not in self._originals:
                try:
                    self._originals[ref] = self._reader().expand(ref)
                except CompressorError:
                    self._originals[ref] = ""
        return {ref: self._originals[ref] for ref in refs if self._originals[ref]}

    def recall(self, query: str) -> str:
        return str(self._reader().recall(query, RECALL_TOKENS)) if query.strip() else ""

    def _reader(self) -> Any:
        """Returns a copy of the conversation, because expanding and searching would teach the conversation itself."""
        from compressor.sessions import Conversation

        if self._copy is None:
            policy = self.session.runtime.policy
            self._copy = Conversation(self._compressor, MODEL, policy=policy, state=self.session.state)
            self._copy.restore(list(self.session.head), list(self.session.messages))
        return self._copy


class MaskedWithin(Masking):
    """Masks observations: the newest results stay as far as the view allows, and each older one becomes a line."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._tokens = tokens
        self._masked_until = 0
        self._view: list[Message] = []

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        self._view += new
        size = total(self._view)
        if size > self._tokens:
            for i in range(self._masked_until, len(self._view) - 1):
                if size <= self._tokens:
                    break
                self._masked_until = i + 1
                if self._view[i]["role"] == "tool":
                    masked = self._masked(self._view[i])
                    size += total([masked]) - total([self._view[i]])
                    self._view[i] = masked
            self.rewrites += 1
        return list(self._view)


class LastWithin(Run):
    """Sends the system message and the newest messages that fit, from the beginning of a round or a user's words."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._tokens = tokens
        self._start = 0

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        head = [m for m in self.messages[:1] if m["role"] == "system"]
        start = max(self._start, len(head))
        while start < len(self.messages) - 1 and total(head + self.messages[start:]) > self._tokens:
            start += 1
            while start < len(self.messages) - 1 and self.messages[start]["role"] == "tool":
                start += 1
        self.rewrites += start > max(self._start, len(head))
        while self.messages[start]["role"] == "tool":  # the results of the last call are larger than the view
            start -= 1
        self._start = start
        return [*head, *self.messages[start:]]


class SummaryAndFile(Summarization):
    """Summarises as LangChain's middleware does, and appends what left to a file that the agent can read.

    This is deepagents' way. Reading the file gives all of it back, which counts as one expand.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens, int(KEPT_FRACTION * tokens))
        self._left: list[str] = []

    def step(self, new: list[Message]) -> list[Any]:
        before, rewrites = list(self.state), self.rewrites
        view = super().step(new)
        if self.rewrites > rewrites:
            kept = {m.id for m in self.state}
            given = self.as_openai([m for m in before if m.id not in kept])
            self._left += [f"{m['role']}: {message_text(m)}" for m in given]
        return view

    def as_openai(self, view: list[Any]) -> list[Message]:
        sent = super().as_openai(view)
        note = f"\n\nThe full conversation before this is in {HISTORY_FILE}."
        return [{**m, "content": m["content"] + note} if m["role"] == "user" and _is_summary(m) else m for m in sent]

    def expandable_texts(self, text: str) -> dict[str, str]:
        return {HISTORY_FILE: "\n".join(self._left)} if HISTORY_FILE in text else {}


def _is_summary(message: Mapping[str, Any]) -> bool:
    return str(message["content"]).startswith("Here is a summary of the conversation to date")


def ours_kept(name: str, given: Mapping[str, Any], budget: int | None = None) -> Method:
    """Returns a method of ours whose policy has the given fields, unavailable if the policy lacks one of them."""
    from compressor.sessions import Policy

    missing = [key for key in given if key not in {f.name for f in fields(Policy)}]
    if missing == ["preset"] and given["preset"] == DEFAULT_PRESET:
        missing, given = [], {}
    lacks = f"Policy has no field {', '.join(missing)}" if missing else ""
    return Method(name, lambda price: OursKept(price, Policy(**given), budget), priced=True, unavailable=lacks)


def methods() -> Sequence[Method]:
    """Returns all methods."""
    lacks = "" if find_spec("langchain") else "not installed"
    found = [ours_kept(f"ours ({preset})", {"preset": preset}) for preset in PRESETS]
    found += [ours_kept(f"ours {_size(n)}", {}, n) for n in VIEWS]
    for n in VIEWS:
        found += [
            Method(f"masking {_size(n)}", lambda price, n=n: MaskedWithin(n)),  # type: ignore[misc]
            Method(f"keep last {_size(n)}", lambda price, n=n: LastWithin(n)),  # type: ignore[misc]
            Method(
                f"LangChain summarization {_size(n)}",
                lambda price, n=n: Summarization(n, int(KEPT_FRACTION * n)),  # type: ignore[misc]
                unavailable=lacks,
            ),
            Method(f"LangChain editing {_size(n)}", lambda price, n=n: Editing(n), unavailable=lacks),  # type: ignore[misc]
            Method(f"summary and file {_size(n)}", lambda price, n=n: SummaryAndFile(n), unavailable=lacks),  # type: ignore[misc]
        ]
    return found


def _size(tokens: int) -> str:
    return f"{tokens // 1000}k"
