"""Replays recorded runs call by call with one method, and computes their cost.

Every assistant message of a recording is a model call, and the method has to send the messages before it. The cost
comes from a simulated prompt cache (`compressor.tokens.billing.PromptCacheSimulator`), in cl100k tokens of text. The
replay also counts which strings that the agent needed at its next step were in view or one expand away, and how much
of each request repeats the beginning of the one before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.runs_chains import Recorded
from benchmarks.runs_methods import Method, Run
from benchmarks.survival import MIN_TOOL_TOKENS
from benchmarks.tokens import Message, count, message_text
from compressor.tokens.billing import CallUsage, PromptCacheSimulator
from compressor.tokens.pricing import Price

#: Dollars per million tokens. Only the ratios matter: output costs 5 times as much as input, as with Claude.
PRICES = {
    "cached": Price.custom(3, 15, cache_read=0.3, name="cached reads at 0.1×", max_input_tokens=200_000),
    "writes": Price.custom(
        3, 15, cache_read=0.3, cache_write=3.75, name="cached reads at 0.1×, writes at 1.25×", max_input_tokens=200_000
    ),
    "none": Price.custom(3, 15, name="no cache", max_input_tokens=200_000),
}
EXPAND_CALL_TOKENS = 40  # tokens of an agent's call of the expand tool
#: Is given the index of the assistant message, the run, and the request, at every call.
Watch = Callable[[int, Run, list[Message]], None]


@dataclass
class Outcome:
    """The result of one run with one method.

    Attributes:
        bills: Usage and cost by price.
        tools: The same with the schema of the method's own tools in every request.
        expanded: Dollars by price that extra calls would cost to fetch the needed strings that were not in view.
        answers: Dollars by price of the recorded answers alone.
        needed: Number of strings that the agent needed.
        in_view: Those of them that were in view.
        reachable: Those that were in view, losslessly encoded in it, or one expand away.
        reuse: For each step from the second, the fraction of the last request that this request begins with.
        reuse_between_compactions: The same without the steps that compacted.
        longest: Tokens of the longest request.
        missed: The strings that were not reachable, with the index of their message.
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
    longest: int = 0
    missed: list[tuple[int, str]] = field(default_factory=list)


class _RunBill:
    """Bills one run at one price, with and without the schema of the tools."""

    def __init__(self, price: Price, schema: int) -> None:
        self.price, self.schema = price, schema
        self.meter, self.other = PromptCacheSimulator(price), PromptCacheSimulator(price)
        self.bill, self.tools, self.expanded, self.answers = CallUsage(), CallUsage(), 0.0, 0.0

    def call(self, parts: list[tuple[bytes, int]], output: int) -> None:
        bill = self.meter.call(parts, output)
        self.bill += bill
        self.tools += self.other.call([(b"tools", self.schema), *parts], output)
        self.answers += self.price.cost(output=output, prompt_tokens=bill.prompt)

    def own(self, prompt: int, output: int) -> None:
        """Bills a model call of the method itself, whose prompt is not in the cache."""
        bill = CallUsage(1, prompt, 0, 0, output).priced(self.price)
        self.bill += bill
        self.tools += bill

    def fetch(self, prompt: int, tokens: int) -> None:
        """Bills one more call that asks for a text, and the text."""
        self.expanded += self.price.cost(
            cache_written=tokens + EXPAND_CALL_TOKENS, cached=prompt, output=EXPAND_CALL_TOKENS
        )


def replay(
    recordings: Iterable[Recorded],
    method: Method,
    price: Price,
    also: Mapping[str, Price] | None = None,
    watch: Watch | None = None,
) -> list[Outcome]:
    """Replays every recording with one method.

    The method plans with `price`. The bills are at `price`, keyed by its name, and at the prices of `also`. `watch`
    looks at every request.
    """
    return [_one(recording, method, price, {price.name: price, **(also or {})}, watch) for recording in recordings]


def _one(
    recording: Recorded, method: Method, price: Price, prices: Mapping[str, Price], watch: Watch | None
) -> Outcome:
    run = method.start(price)
    run_bills = {name: _RunBill(p, run.schema) for name, p in prices.items()}
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
        parts = [pieces.describe(m) for m in sent]
        for run_bill in run_bills.values():
            run_bill.call(parts, count(message_text(message)))
            for prompt, output in run.calls:
                run_bill.own(prompt, output)
        run.calls.clear()
        if last:
            common = _reuse(last, parts)
            outcome.reuse.append(common)
            if run.rewrites == rewrites:
                outcome.reuse_between_compactions.append(common)
        last, rewrites = parts, run.rewrites
        outcome.steps += 1
        outcome.longest = max(outcome.longest, sum(size for _, size in parts))
        if watch:
            watch(at, run, sent)
        if at in recording.probes and tool >= MIN_TOOL_TOKENS:
            _probe(outcome, run, sent, at, recording.probes[at], parts, run_bills.values())
    outcome.rewrites = run.rewrites
    outcome.bills = {name: run_bill.bill for name, run_bill in run_bills.items()}
    outcome.tools = {name: run_bill.tools for name, run_bill in run_bills.items()}
    outcome.expanded = {name: run_bill.expanded for name, run_bill in run_bills.items()}
    outcome.answers = {name: run_bill.answers for name, run_bill in run_bills.items()}
    return outcome


def _probe(
    outcome: Outcome,
    run: Run,
    sent: list[Message],
    at: int,
    atoms: list[str],
    parts: list[tuple[bytes, int]],
    run_bills: Iterable[_RunBill],
) -> None:
    """Looks for each string in the view, then in its lossless encodings, then behind its refs, which costs a call."""
    view = "\n".join(map(message_text, sent))
    text, decoded = _both(view), ""
    originals: dict[str, str] | None = None
    fetched: set[str] = set()
    for atom in atoms:
        outcome.needed += 1
        if atom in text:
            outcome.in_view += 1
            outcome.reachable += 1
            continue
        decoded = decoded or _both(run.decode_lossless(view))
        if atom in decoded:
            outcome.reachable += 1
            continue
        if originals is None:
            originals = {ref: _both(original) for ref, original in run.expandable_texts(view).items()}
        holders = [ref for ref, original in originals.items() if atom in original]
        if not holders:
            outcome.missed.append((at, atom))
            continue
        outcome.reachable += 1
        if not fetched & set(holders):  # the shortest original, whole; an agent that asks for a part pays less
            best = min(holders, key=lambda ref: len(originals[ref]))
            fetched.add(best)
            for run_bill in run_bills:
                run_bill.fetch(sum(size for _, size in parts), count(run.expandable_texts(view)[best]))


def _both(text: str) -> str:
    """Returns a text followed by the same text without JSON's escapes of quotes."""
    return text + "\n" + text.replace('\\"', '"')


class _Pieces:
    """Computes a hash and the tokens of each message, once per object."""

    def __init__(self) -> None:
        self._cached: dict[int, tuple[Message, tuple[bytes, int]]] = {}

    def describe(self, message: Message) -> tuple[bytes, int]:
        """Returns (hash of the bytes, tokens of the text)."""
        cached = self._cached.get(id(message))
        if cached is None:
            text = json.dumps(message, sort_keys=True, ensure_ascii=False)
            key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
            cached = self._cached[id(message)] = (message, (key, count(message_text(message))))
        return cached[1]


def _reuse(last: list[tuple[bytes, int]], parts: list[tuple[bytes, int]]) -> float:
    """Returns the fraction of the last request's tokens that this one begins with, in whole messages."""
    common = 0
    for old, new in zip(last, parts, strict=False):
        if old != new:
            break
        common += old[1]
    return common / max(1, sum(size for _, size in last))


def replay_all_prices(recordings: list[Recorded], method: Method) -> dict[str, list[Outcome]]:
    """Returns outcomes by the key of the price table that the method planned with."""
    if method.priced:
        return {key: replay(recordings, method, price, {key: price}) for key, price in PRICES.items()}
    outcomes = replay(recordings, method, PRICES["cached"], PRICES)
    return dict.fromkeys(PRICES, outcomes)
