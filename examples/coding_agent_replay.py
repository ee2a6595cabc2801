"""A recorded coding session, replayed step by step: what each call would have been sent, and what all would have cost.

    python examples/coding_agent_replay.py
    python examples/coding_agent_replay.py --file my_session.json --model claude-sonnet-4-5 --budget 20000

The recording is a list of OpenAI chat messages as JSON, an object with such a list under "messages", or JSONL: a
message a line, or a request a line (each with its "messages"; the longest is replayed). Without --file it is the run of
a real agent that fixes a bug in a library (`data/README.md`).

Shows `Compressor().session(...)`: every step's tokens untouched and as sent, where the history was compacted, and the
balance against the untouched session under two prices: the model's own, with cheap reads from the provider's cache,
and one without a cache. Nothing is sent anywhere.

Exit code: 0; 1 if compressing cost more than it saved; 2 if the file cannot be replayed.
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
    """The messages of a recording. ContextError for a file that holds none, OSError for one that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ContextError("this is no text in UTF-8; give OpenAI chat messages as JSON or JSONL") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0]):
            raise ContextError(f"this is no JSON ({error}); give OpenAI chat messages as JSON or JSONL") from None
        found = _rows(lines)
    if isinstance(found, dict):
        found = found.get("messages", [found])
    if not isinstance(found, list):
        raise ContextError(f"this holds no list of messages but {type(found).__name__}")
    for number, message in enumerate(found):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ContextError('this is no chat message: it needs a "role"', number)
    if not any(message["role"] == "assistant" for message in found[1:]):
        raise ContextError(f"nothing to replay: none of the {len(found)} messages is an answer of the assistant")
    return found


def _rows(lines: list[str]) -> list[Any]:
    """What a JSONL file holds: messages, or requests, the longest of which has the whole session."""
    rows = []
    for number, line in enumerate(lines, 1):
        if not _is_json(line):
            raise ContextError(f"line {number} of the JSONL is no JSON: {line[:60]!r}")
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
    """One session that follows the recording."""

    def __init__(self, compressor: Compressor, name: str, model: str, budget: int | None, price: Price) -> None:
        self.name = name
        self.session = compressor.session(name, model, budget, Policy(pricing=price))
        self.balance = self.session.cost_report()
        self.last: list[Any] = []

    def call(self) -> tuple[int, str]:
        """What the recorded agent's next call would be sent: its tokens untouched, and as sent, marked if compacted."""
        before, self.last = self.balance, self.session.view()
        self.balance = self.session.cost_report()
        mark = "*" if self.balance.compactions > before.compactions else " "
        return self.balance.baseline_tokens - before.baseline_tokens, f"{self.balance.view_tokens:,}{mark}"

    def report(self) -> None:
        """Prints the balance, and whether the last view's marks open."""
        balance, refs = self.balance, dict.fromkeys(find_refs(json.dumps(self.last, ensure_ascii=False)))
        texts = list(filter(None, map(self._opened, refs)))
        behind = f"{sum(map(len, texts)):,} characters"
        print(f"\nWith {self.name}:")
        print(f"  {balance.calls} calls, {balance.compactions} compactions")
        print(f"  tokens {balance.baseline_tokens:,} raw, {balance.actual_tokens:,} sent")
        print(
            f"  money ${balance.baseline_cost:.4f} raw, ${balance.actual_cost:.4f} sent: {balance.saved_fraction:.0%} saved"
        )
        print(f"  marks in the last view: {len(refs)}, of which open: {len(texts)}, to {behind}")

    def _opened(self, ref: str) -> str | None:
        try:
            return self.session.expand(ref)
        except UnknownRefError:  # of a mark that the recording came with
            return None


def replay(runs: list[Run], messages: list[Message]) -> None:
    """Has all runs follow the recording. Prints a line for each call of its agent's."""
    calls = 0
    for number, message in enumerate(messages):
        try:
            called = [run.call() for run in runs] if message["role"] == "assistant" and number else []
            for run in runs:
                run.session.append(message)
        except ContextError as error:
            raise ContextError(error.text, number) from None
        if called:
            calls += 1
            print(f"{calls:5} {called[0][0]:9,} {''.join(f'{sent:>11}' for _, sent in called)}  {_does(message)}")


def _does(message: Message) -> str:
    """What the agent answered, in a few characters."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    text = ", ".join(f"{call.get('name')} {call.get('arguments')}" for call in calls) or str(message.get("content"))
    return " ".join(text.replace("\\n", " ").split())[:60]


def prices(model: str) -> dict[str, Price]:
    """The model's own price, and the same without a prompt cache."""
    own = find_price(model)
    tiers = tuple(replace(tier, cache_read=tier.input, cache_write=tier.input) for tier in own.tiers)
    uncached = replace(own, cache_read=own.input, cache_write=own.input, tiers=tiers)
    return {f"cached tokens at {own.cache_read / own.input:.2g} of the price": own, "no cache": uncached}


def main() -> int:
    """Runs the replay."""
    parser = argparse.ArgumentParser(description="Replays a recorded agent session and bills it.")
    parser.add_argument("--file", type=Path, default=RECORDING, help="OpenAI chat messages, JSON or JSONL")
    parser.add_argument("--model", default="gpt-5", help="whose tokens, prices and window (default: gpt-5)")
    parser.add_argument("--budget", type=int, help="tokens of a call at most (default: 0.8 of the window)")
    options = parser.parse_args()
    try:
        messages, compressor = load(options.file), Compressor(store="memory")
        print(f"{options.file.name}: {len(messages)} messages, replayed for {options.model}; * marks a compaction\n")
        known = prices(options.model)
        runs = [Run(compressor, name, options.model, options.budget, price) for name, price in known.items()]
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
    return int(any(run.balance.saved_cost < 0 for run in runs))


if __name__ == "__main__":
    sys.exit(main())
