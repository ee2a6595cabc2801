"""Compresses and expands the two most common message formats, which the compressor recognises by itself."""

from __future__ import annotations

import json
from typing import Any

from compressor import Compressor

orders = json.dumps(
    [{"id": f"ORD-{n:04}", "total": n * 7.5, "note": "no remarks", "open": n == 57} for n in range(200)]
)
question = "Which order is still open?"

openai_context: list[dict[str, Any]] = [
    {"role": "user", "content": question},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": orders},
]
anthropic_context: list[dict[str, Any]] = [
    {"role": "user", "content": question},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "list_orders", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": orders}]},
]

c = Compressor()
for messages, model in ((openai_context, "gpt-4o"), (anthropic_context, "claude-sonnet-4-5")):
    result = c.compress(messages, budget=1_000, model=model, query=question)
    print(f"{model}: {result.report()}")
    print("  the row that answers the question is there:", "ORD-0057" in json.dumps(result.messages))
    for ref in sorted({dropped.ref for dropped in result.dropped}):
        print("  expand returns the original:", c.expand(ref) == orders)
