"""Implements the methods that can process a run: sending everything, our session, and simple baselines.

A `Run` is one conversation that one method processes, with one view per step. Methods from other packages are in
`runs_peers.py`.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.baselines import SPECIFIC, WORD, best_units, lines
from benchmarks.methods import MODEL
from benchmarks.tokens import Message, budget_for, count, message_text
from compressor.context.refs import find_refs
from compressor.text.lossless.common_prefix import CommonPrefixCodec
from compressor.tokens.pricing import Price

if TYPE_CHECKING:
    from compressor.sessions import Policy

KEPT_RESULTS = 10  # newest tool results that masking keeps: the best number in JetBrains' study
WINDOW = 32_000  # tokens; these runs fill such a window, so methods that wait for a full window act
SUMMARY_TOKENS = 1_000  # tokens of a summary
SUMMARY_PROMPT_TOKENS = 200  # tokens of the prompt that asks for a summary


class Run:
    """One conversation. A method overrides `step`.

    Attributes:
        calls: The method's own model calls since this list was last cleared, as (prompt tokens, answer tokens).
        rewrites: Number of compactions so far.
        schema: Tokens of the tool schemas that the method adds to every request.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.calls: list[tuple[int, int]] = []
        self.rewrites = 0
        self.schema = 0

    def step(self, new: list[Message]) -> list[Any]:
        """Returns the view to send after adding `new` messages."""
        self.messages += new
        return list(self.messages)

    def as_openai(self, view: list[Any]) -> list[Message]:
        """Converts a view to OpenAI messages."""
        return view

    def expandable_texts(self, text: str) -> dict[str, str]:
        """Returns, by ref, the original that one expand returns for each ref in a view's text."""
        return {}

    def decode_lossless(self, text: str) -> str:
        """Decodes the lossless encodings in a view's text, as its reader can do."""
        return text

    def recall(self, query: str) -> str:
        """Returns what the agent finds by a search of what left the view; "" for a method without a search."""
        return ""


@dataclass(frozen=True)
class Method:
    """A method under test.

    Attributes:
        start: Begins a conversation at a price.
        priced: Whether the views depend on the price.
        slow: Whether it takes minutes for a long run.
        unavailable: Why it cannot run.
    """

    name: str
    start: Callable[[Price], Run] = field(repr=False)
    priced: bool = False
    slow: bool = False
    unavailable: str = ""


class Masking(Run):
    """Masks observations: the newest tool results stay, and each older one becomes a line."""

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        tools = [i for i, m in enumerate(self.messages) if m["role"] == "tool"]
        old = set(tools[:-KEPT_RESULTS])
        return [self._masked(m) if i in old else m for i, m in enumerate(self.messages)]

    def _masked(self, message: Message) -> Message:
        note = f"Previous {message_text(message).count(chr(10)) + 1} lines omitted for brevity."
        return {**message, "content": note} if count(note) < count(message_text(message)) else message


class Summarising(Run):
    """Summarises, at 80 % of the window, everything except the task and the newest rounds (30 % of the window).

    The summary consists of the most specific lines; it stands in for a model's summary and is billed as one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live: list[Message] = []

    def step(self, new: list[Message]) -> list[Any]:
        self.live += new
        if sum(count(message_text(m)) for m in self.live) >= 0.8 * WINDOW:
            self._summarise()
        return list(self.live)

    def _summarise(self) -> None:
        head = next((i for i, m in enumerate(self.live) if m["role"] == "user"), 0) + 1
        cut, available = len(self.live), 0.3 * WINDOW
        while cut > head and (available := available - count(message_text(self.live[cut - 1]))) >= 0:
            cut -= 1
        while cut < len(self.live) and self.live[cut]["role"] == "tool":
            cut += 1
        old = self.live[head:cut]
        if not old:
            return
        text = extract("\n".join(map(message_text, old)), SUMMARY_TOKENS)
        self.calls.append((SUMMARY_PROMPT_TOKENS + sum(count(message_text(m)) for m in old), count(text)))
        summary = {"role": "user", "content": f"Summary of the conversation so far:\n{text}"}
        self.live = [*self.live[:head], summary, *self.live[cut:]]
        self.rewrites += 1


def extract(text: str, budget: int) -> str:
    """Returns the lines densest in ids, numbers and paths (newer ones first) within `budget` tokens, in their order."""
    units = list(dict.fromkeys(lines(text)))
    scores = [len(SPECIFIC.findall(u)) / (1 + count(u)) + 0.5 * k / len(units) for k, u in enumerate(units)]
    used, kept = 0, []
    for k in sorted(range(len(units)), key=lambda k: -scores[k]):
        size = count(units[k]) + 1
        if used + size <= budget:
            used += size
            kept.append(k)
    return "\n".join(units[k] for k in sorted(kept))


class Bm25(Run):
    """Cuts tool output to a quarter before every call: to the lines most similar to the last messages."""

    RATIO = 4.0

    def __init__(self) -> None:
        super().__init__()
        self._index = Bm25Index()
        self._parts: dict[str, list[str]] = {}

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        budget = budget_for(self.messages, self.RATIO)
        return best_units(self.messages, budget, count, self._index.score, self._split)

    def _split(self, text: str) -> list[str]:
        if text not in self._parts:
            self._parts[text] = lines(text)
        return self._parts[text]


class Bm25Index:
    """Computes `baselines.bm25` for a growing list of units, and tokenises each unit only once."""

    def __init__(self) -> None:
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lengths: list[int] = []

    def score(self, query: str, units: Sequence[str]) -> list[float]:
        """See `baselines.bm25`."""
        for k in range(len(self._lengths), len(units)):
            words = WORD.findall(units[k].lower())
            self._lengths.append(len(words))
            for word, times in Counter(words).items():
                self._postings[word].append((k, times))
        n = len(units)
        mean = sum(self._lengths) / n or 1.0
        scores = [0.0] * n
        for word in sorted(set(WORD.findall(query.lower()))):
            found = self._postings.get(word, ())
            idf = math.log(1 + (n - len(found) + 0.5) / (len(found) + 0.5))
            for k, times in found:
                scores[k] += idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * self._lengths[k] / mean))
        return scores


class Ours(Run):
    """Runs a session of ours. budget: the maximum of the view; None: the session's own."""

    def __init__(self, price: Price, policy: Policy | None = None, budget: int | None = None) -> None:
        from compressor import Compressor
        from compressor.sessions import Policy

        super().__init__()
        policy = replace(policy or Policy(), pricing=price)
        self.session: Any = Compressor(store="memory").session("run", model=MODEL, budget=budget, policy=policy)
        self.schema = count(json.dumps(self.session.expand_tool.schema("openai_chat")))
        self._originals: dict[str, str] = {}

    def step(self, new: list[Message]) -> list[Any]:
        for message in new:
            self.session.append(message)
        view: list[Any] = self.session.view(best_effort=True)
        return view

    def as_openai(self, view: list[Any]) -> list[Message]:
        self.rewrites = self.session.cost_report().compactions
        return view

    def expandable_texts(self, text: str) -> dict[str, str]:
        refs = dict.fromkeys(find_refs(text))
        for ref in refs:
            if ref not in self._originals:
                self._originals[ref] = self.session.expand(ref)
        return {ref: self._originals[ref] for ref in refs}

    def decode_lossless(self, text: str) -> str:
        return CommonPrefixCodec().decode(text)


def ours(policy: Policy | None = None, name: str = "ours") -> Method:
    """Returns the method that runs our session with a policy; the replay sets its price."""
    return Method(name, lambda price: Ours(price, policy), priced=True)


RAW = Method("raw", lambda price: Run())
SIMPLE = [
    RAW,
    Method("masking", lambda price: Masking()),
    Method("summary at 80 %", lambda price: Summarising()),
    Method("BM25 lines 4×", lambda price: Bm25()),
]
