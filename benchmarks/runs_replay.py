"""Recorded runs sent again, call by call, with one method, and billed.

Every assistant message of a recording is a model call; what stood before it is what the method had to send. The bill
comes from a simulated prompt cache (`compressor.tokens.billing.PromptCacheSimulator`), in cl100k tokens of text. Beside it: what of the
strings that the agent needed at its next step was in view, or one expand away, and how much of each request the
provider had seen before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.runs_chains import Recorded
from benchmarks.runs_methods import Method, Run
from benchmarks.survival import MIN_TOOL_TOKENS
from benchmarks.tokens import Message, count, message_text
from compressor.tokens.billing import CallUsage, PromptCacheSimulator
from compressor.tokens.pricing import Price

#: Dollars per million tokens. Ratios are what matters: output 5 times input, as with Claude.
PRICES = {
    "cached": Price.custom(3, 15, cache_read=0.3, name="cached reads at 0.1×", max_input_tokens=200_000),
    "writes": Price.custom(
        3, 15, cache_read=0.3, cache_write=3.75, name="cached reads at 0.1×, writes at 1.25×", max_input_tokens=200_000
    ),
    "none": Price.custom(3, 15, name="no cache", max_input_tokens=200_000),
}
EXPAND_CALL_TOKENS = 40  # tokens of an agent's call of the expand tool


@dataclass
class Outcome:
    """One run with one method. bills: by price. tools: the same with the schema of the method's own tools in front of
    every request. expanded: dollars, had the agent fetched by an extra call what it needed and did not see. answers:
    dollars of the recorded answers alone. asked, seen, near: strings needed; those in view; those in view, folded in it
    or one expand away. reuse: by step from the second on, the share of the last request that the next one begins with;
    calm: the same of steps without a compaction.
    """

    run: str
    bills: dict[str, CallUsage]
    tools: dict[str, CallUsage]
    expanded: dict[str, float]
    answers: dict[str, float]
    steps: int = 0
    needed: int = 0
    in_view: int = 0
    reachable: int = 0
    rewrites: int = 0
    reuse: list[float] = field(default_factory=list)
    reuse_between_compactions: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    longest: int = 0  # tokens of the longest request
    missed: list[tuple[int, str]] = field(default_factory=list)  # (message index, string) neither in view nor near


class _Till:
    """The meters of one run under one price: as billed, and with the tools' schema in front."""

    def __init__(self, price: Price, schema: int) -> None:
        self.price, self.schema = price, schema
        self.meter, self.other = PromptCacheSimulator(price), PromptCacheSimulator(price)
        self.bill, self.tools, self.expanded, self.answers = CallUsage(), CallUsage(), 0.0, 0.0

    def call(self, parts: list[tuple[bytes, int]], output: int) -> None:
        self.bill += self.meter.call(parts, output)
        self.tools += self.other.call([(b"tools", self.schema), *parts], output)
        self.answers += self.price.cost(output=output)

    def own(self, prompt: int, output: int) -> None:
        """A model call of the method's own: its prompt is new to the cache."""
        bill = CallUsage(1, prompt, 0, 0, output).priced(self.price)
        self.bill += bill
        self.tools += bill

    def fetch(self, prompt: int, tokens: int) -> None:
        """One more call, that asks for a text, and the text."""
        self.expanded += self.price.cost(
            cache_written=tokens + EXPAND_CALL_TOKENS, cached=prompt, output=EXPAND_CALL_TOKENS
        )


def replay(
    recordings: Iterable[Recorded], method: Method, price: Price, also: Mapping[str, Price] | None = None
) -> list[Outcome]:
    """Sends every recording with one method and bills it under `price` (key: its name) and under the prices of `also`
    (by their keys; the method plans with `price`)."""
    return [_one(recording, method, price, {price.name: price, **(also or {})}) for recording in recordings]


def _one(recording: Recorded, method: Method, price: Price, prices: Mapping[str, Price]) -> Outcome:
    run = method.start(price)
    tills = {name: _Till(p, run.schema) for name, p in prices.items()}
    outcome = Outcome(recording.name, {}, {}, {}, {})
    pieces = _Pieces()
    last: list[tuple[bytes, int]] = []
    done = tool = rewrites = 0
    for at, message in enumerate(recording.messages):
        if message["role"] != "assistant" or at == 0:
            continue
        new = recording.messages[done:at]
        tool += sum(count(message_text(m)) for m in new if m["role"] == "tool")
        done = at
        start = time.perf_counter()
        view = run.step(list(new))
        outcome.seconds.append(time.perf_counter() - start)
        sent = run.as_openai(view)
        parts = [pieces.of(m) for m in sent]
        for till in tills.values():
            till.call(parts, count(message_text(message)))
            for prompt, output in run.calls:
                till.own(prompt, output)
        run.calls.clear()
        if last:
            common = _reuse(last, parts)
            outcome.reuse.append(common)
            if run.rewrites == rewrites:
                outcome.reuse_between_compactions.append(common)
        last, rewrites = parts, run.rewrites
        outcome.steps += 1
        outcome.longest = max(outcome.longest, sum(size for _, size in parts))
        if at in recording.probes and tool >= MIN_TOOL_TOKENS:
            _probe(outcome, run, sent, at, recording.probes[at], parts, tills.values())
    outcome.rewrites = run.rewrites
    outcome.bills = {name: till.bill for name, till in tills.items()}
    outcome.tools = {name: till.tools for name, till in tills.items()}
    outcome.expanded = {name: till.expanded for name, till in tills.items()}
    outcome.answers = {name: till.answers for name, till in tills.items()}
    return outcome


def _probe(
    outcome: Outcome,
    run: Run,
    sent: list[Message],
    at: int,
    atoms: list[str],
    parts: list[tuple[bytes, int]],
    tills: Iterable[_Till],
) -> None:
    """Looks for each string in the view, then in its folds, then behind its refs: a string found there costs a call."""
    view = "\n".join(map(message_text, sent))
    text, folded = _both(view), ""
    behind: dict[str, str] | None = None
    fetched: set[str] = set()
    for atom in atoms:
        outcome.needed += 1
        if atom in text:
            outcome.in_view += 1
            outcome.reachable += 1
            continue
        folded = folded or _both(run.decode_lossless(view))
        if atom in folded:
            outcome.reachable += 1
            continue
        if behind is None:
            behind = {ref: _both(original) for ref, original in run.expandable_texts(view).items()}
        holders = [ref for ref, original in behind.items() if atom in original]
        if not holders:
            outcome.missed.append((at, atom))
            continue
        outcome.reachable += 1
        if not fetched & set(holders):  # the shortest original, whole: an agent that asks for a part pays less
            best = min(holders, key=lambda ref: len(behind[ref]))
            fetched.add(best)
            for till in tills:
                till.fetch(sum(size for _, size in parts), count(run.expandable_texts(view)[best]))


def _both(text: str) -> str:
    """A text as it is and without JSON's escapes of quotes."""
    return text + "\n" + text.replace('\\"', '"')


class _Pieces:
    """A message as the cache sees it: a hash of its bytes, and its tokens. Objects seen before are known again."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Message, tuple[bytes, int]]] = {}

    def of(self, message: Message) -> tuple[bytes, int]:
        """(key, tokens of text)."""
        known = self._known.get(id(message))
        if known is None:
            text = json.dumps(message, sort_keys=True, ensure_ascii=False)
            key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
            known = self._known[id(message)] = (message, (key, count(message_text(message))))
        return known[1]


def _reuse(last: list[tuple[bytes, int]], parts: list[tuple[bytes, int]]) -> float:
    """Share of the last request's tokens that this one begins with, in whole messages."""
    common = 0
    for old, new in zip(last, parts, strict=False):
        if old != new:
            break
        common += old[1]
    return common / max(1, sum(size for _, size in last))


def replay_all_prices(recordings: list[Recorded], method: Method) -> dict[str, list[Outcome]]:
    """Outcomes by the key of the price table that the method planned with."""
    if method.priced:
        return {key: replay(recordings, method, price, {key: price}) for key, price in PRICES.items()}
    outcomes = replay(recordings, method, PRICES["cached"], PRICES)
    return dict.fromkeys(PRICES, outcomes)
