"""Replays a recorded coding session and shows what each call would have sent, and what all of them would have cost.

    python examples/coding_agent_replay.py
    python examples/coding_agent_replay.py --file my_session.json --model claude-sonnet-4-5 --budget 20000

The recording is a JSON list of OpenAI chat messages, an object with such a list under "messages", or a JSONL file with
one message or one request per line (of requests, each with its "messages", the longest is replayed). Without --file the
script replays the run of a real agent that fixes a bug in a library (`data/README.md`).

It shows `Compressor().session(...)`: the tokens of every step, raw and as sent, the steps at which the history was
compacted, and the cost against the raw session under two prices: the model's own, with cheap reads from the provider's
cache, and one without a cache. Nothing is sent anywhere.

Exit code: 0 on success; 1 if compressing cost more than it saved; 2 if the file cannot be replayed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from compressor import Compressor, CompressorError, ContextError, UnknownRefError
from compressor.context.refs import find_refs
from compressor.sessions import Policy
from compressor.tokens.pricing import Price, find_price

RECORDING = Path(__file__).parent / "data" / "coding_session.json"

Message = dict[str, Any]


def load(path: Path) -> list[Message]:
    """Returns the messages of a recording.

    Raises ContextError if the file holds no replayable messages, and OSError if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ContextError("the file is not UTF-8 text; give OpenAI chat messages as JSON or JSONL") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0]):
            raise ContextError(f"the file is not JSON ({error}); give OpenAI chat messages as JSON or JSONL") from None
        found = _rows(lines)
    if isinstance(found, dict):
        found = found.get("messages", [found])
    if not isinstance(found, list):
        raise ContextError(f"the file must hold a list of messages, but it holds {type(found).__name__}")
    for number, message in enumerate(found):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ContextError('a chat message must be an object with a "role"', number)
    if not any(message["role"] == "assistant" for message in found[1:]):
        raise ContextError(f"nothing to replay: none of the {len(found)} messages is an answer of the assistant")
    return found


def _rows(lines: list[str]) -> list[Any]:
    """Returns the messages of a JSONL file. In a file of requests, the longest one has the whole session."""
    rows = []
    for number, line in enumerate(lines, 1):
        if not _is_json(line):
            raise ContextError(f"line {number} of the JSONL file is not JSON: {line[:60]!r}")
        rows.append(json.loads(line))
    requests = [row["messages"] for row in rows if isinstance(row, dict) and isinstance(row.get("messages"), list)]
    return max(requests, key=len) if requests else rows


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class Run:
    """A session that follows the recording under one price."""

    def __init__(self, compressor: Compressor, name: str, model: str, budget: int | None, price: Price) -> None:
        self.name = name
        self.session = compressor.session(name, model, budget, Policy(pricing=price, target=("tokens", 3_000)))
        self.costs = self.session.cost_report()
        self.last_view: list[Any] = []

    def call(self) -> tuple[int, str]:
        """Returns the tokens of the agent's next call: raw, and as sent (with a star if the history was compacted)."""
        before, self.last_view = self.costs, self.session.view()
        self.costs = self.session.cost_report()
        star = "*" if self.costs.compactions > before.compactions else " "
        return self.costs.baseline_tokens - before.baseline_tokens, f"{self.costs.view_tokens:,}{star}"

    def report(self) -> None:
        """Prints the costs, and how many placeholders of the last view can be expanded."""
        costs, refs = self.costs, dict.fromkeys(find_refs(json.dumps(self.last_view, ensure_ascii=False)))
        texts = list(filter(None, map(self._expand, refs)))
        size = f"{sum(map(len, texts)):,} characters"
        print(f"\nWith {self.name}:")
        print(f"  {costs.calls} calls, {costs.compactions} compactions")
        print(f"  tokens {costs.baseline_tokens:,} raw, {costs.actual_tokens:,} sent")
        print(f"  cost ${costs.baseline_cost:.4f} raw, ${costs.actual_cost:.4f} sent: {costs.saved_fraction:.0%} saved")
        print(f"  placeholders in the last view: {len(refs)}, of which expand: {len(texts)}, to {size}")

    def _expand(self, ref: str) -> str | None:
        try:
            return self.session.expand(ref)
        except UnknownRefError:  # the recording itself already contained this placeholder
            return None


def replay(runs: list[Run], messages: list[Message]) -> None:
    """Feeds the recording to all runs, and prints one line for each call of its agent."""
    calls = 0
    for number, message in enumerate(messages):
        try:
            sizes = [run.call() for run in runs] if message["role"] == "assistant" and number else []
            for run in runs:
                run.session.append(message)
        except ContextError as error:
            raise ContextError(error.text, number) from None
        if sizes:
            calls += 1
            print(f"{calls:5} {sizes[0][0]:9,} {''.join(f'{sent:>11}' for _, sent in sizes)}  {_summary(message)}")


def _summary(message: Message) -> str:
    """Returns the start of the agent's answer."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    text = ", ".join(f"{call.get('name')} {call.get('arguments')}" for call in calls) or str(message.get("content"))
    return " ".join(text.replace("\\n", " ").split())[:60]


def prices(model: str) -> dict[str, Price]:
    """Returns the model's own price, and the same price without a prompt cache."""
    own = find_price(model)
    tiers = tuple(replace(tier, cache_read=tier.input, cache_write=tier.input) for tier in own.tiers)
    uncached = replace(own, cache_read=own.input, cache_write=own.input, tiers=tiers)
    return {f"cached tokens at {own.cache_read / own.input:.2g} of the price": own, "no cache": uncached}


def main() -> int:
    """Runs the replay."""
    parser = argparse.ArgumentParser(description="Replays a recorded agent session and bills it.")
    parser.add_argument("--file", type=Path, default=RECORDING, help="OpenAI chat messages, JSON or JSONL")
    parser.add_argument(
        "--model", default="gpt-5", help="model whose tokens, prices and window are used (default: gpt-5)"
    )
    parser.add_argument("--budget", type=int, help="maximum tokens of a call (default: 0.8 of the window)")
    options = parser.parse_args()
    try:
        messages, compressor = load(options.file), Compressor(store="memory")
        print(f"{options.file.name}: {len(messages)} messages, replayed for {options.model}; * marks a compaction\n")
        by_price = prices(options.model)
        runs = [Run(compressor, name, options.model, options.budget, price) for name, price in by_price.items()]
        print(
            " call       raw " + "".join(f"{title:>11}" for title in ("sent ", "no cache ")) + "  answer that followed"
        )
        replay(runs, messages)
        for run in runs:
            run.report()
    except OSError as error:
        print(f"{options.file}: {error.strerror or error}", file=sys.stderr)
        return 2
    except CompressorError as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    return int(any(run.costs.saved_cost < 0 for run in runs))


if __name__ == "__main__":
    sys.exit(main())
