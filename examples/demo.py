"""A recorded airline agent is about to book. Compress what it has read so far, and check that it could still do it.

Exit code: 0, or 1 if the budget was broken, nothing was cut, or a ref did not give the exact original back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from compressor import Compressor
from compressor.cli.html_report import render_html
from compressor.tokens import get_counter

SESSION = Path(__file__).parent / "data" / "airline_session.json"
MODEL = "gpt-4o"
RATIO = 4  # tool output is cut this many times
REPORT = Path("demo-report.html")


def plan_budget(c: Compressor, messages: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Tokens of the whole context, of its tool output, and a budget that leaves a quarter of the latter."""
    whole = c.compress(messages, budget=10**9, model=MODEL).tokens_before  # a budget nothing exceeds: only counts
    tool = sum(get_counter(MODEL).count(m["content"]) for m in messages if m["role"] == "tool")
    return whole, tool, whole - tool + tool // RATIO


def text_of(messages: list[dict[str, Any]]) -> str:
    """Everything the model would read."""
    said = [m.get("content") or "" for m in messages]
    asked = [call["function"]["arguments"] for m in messages for call in m.get("tool_calls") or ()]
    return "\n".join(said + asked).replace('\\"', '"')


def main() -> int:
    """Runs the demo."""
    session = json.loads(SESSION.read_text(encoding="utf-8"))
    messages: list[dict[str, Any]] = session["messages"]
    c = Compressor()
    whole, tool, budget = plan_budget(c, messages)
    print(f"A recorded session of {len(messages)} messages: {whole:,} tokens, {tool:,} of them tool output.")
    print(f"Budget: {whole - tool:,} + {tool:,} / {RATIO} = {budget:,} tokens.\n")

    result = c.compress(messages, budget=budget, model=MODEL)
    print(result.report())

    call = session["next"]["tool_calls"][0]["function"]["name"]
    text = text_of(result.messages)
    print(f"\nThe agent's next step was {call}. What it needed from earlier tool output:")
    kept = [fact["text"] in text for fact in session["needed"]]
    for fact, there in zip(session["needed"], kept, strict=True):
        print(f"  {'✓' if there else '✗'} {fact['text']} (read in message {fact['last_seen']})")
    print(f"  {sum(kept)} of {len(kept)} are still there.")

    gone = {d.ref: d.message for d in result.dropped}
    exact = [c.expand(ref) == messages[message]["content"] for ref, message in gone.items()]
    print(f"\nRefs that expand to the exact original: {sum(exact)} of {len(exact)}.")
    for ref in list(gone)[:1]:
        print(f"  compressor expand {ref}  ->  {c.expand(ref)[:70]}…")

    REPORT.write_text(render_html(result), encoding="utf-8")
    print(f"\nWhat was kept, folded and dropped, and why: {REPORT}")
    if result.tokens_after > budget:
        print(f"BUDGET BROKEN: {result.tokens_after:,} > {budget:,}")
    if not exact:
        print("NOTHING WAS CUT: this demo has shown nothing.")
    return int(result.tokens_after > budget or not exact or not all(exact))


if __name__ == "__main__":
    sys.exit(main())
