"""Compresses the context of a recorded airline agent that is about to book, and checks that it still could.

Exit code: 0 on success; 1 if the budget was exceeded, nothing was cut, or a ref did not return the exact original.
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
RATIO = 4  # tool output is cut to a quarter
REPORT = Path("demo-report.html")


def plan_budget(c: Compressor, messages: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Returns the tokens of the context and of its tool output, and a budget for a quarter of that output."""
    whole = c.compress(
        messages, budget=10**9, model=MODEL
    ).tokens_before  # nothing exceeds this budget, so it only counts
    tool = sum(get_counter(MODEL).count(m["content"]) for m in messages if m["role"] == "tool")
    return whole, tool, whole - tool + tool // RATIO


def visible_text(messages: list[dict[str, Any]]) -> str:
    """Returns everything that the model would read."""
    contents = [m.get("content") or "" for m in messages]
    arguments = [call["function"]["arguments"] for m in messages for call in m.get("tool_calls") or ()]
    return "\n".join(contents + arguments).replace('\\"', '"')


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
    text = visible_text(result.messages)
    print(f"\nThe agent's next step was {call}. What it needed from earlier tool output:")
    kept = [fact["text"] in text for fact in session["needed"]]
    for fact, there in zip(session["needed"], kept, strict=True):
        print(f"  {'✓' if there else '✗'} {fact['text']} (read in message {fact['last_seen']})")
    print(f"  {sum(kept)} of {len(kept)} are still there.")

    dropped = {d.ref: d.message for d in result.dropped}
    exact = [c.expand(ref) == messages[message]["content"] for ref, message in dropped.items()]
    print(f"\nRefs that expand to the exact original: {sum(exact)} of {len(exact)}.")
    for ref in list(dropped)[:1]:
        print(f"  compressor expand {ref}  ->  {c.expand(ref)[:70]}…")

    REPORT.write_text(render_html(result), encoding="utf-8")
    print(f"\nThe report {REPORT} shows what was kept, encoded losslessly and dropped, and why.")
    if result.tokens_after > budget:
        print(f"BUDGET EXCEEDED: {result.tokens_after:,} > {budget:,}")
    if not exact:
        print("NOTHING WAS CUT: the demo shows nothing.")
    return int(result.tokens_after > budget or not exact or not all(exact))


if __name__ == "__main__":
    sys.exit(main())
