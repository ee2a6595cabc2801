"""A pydantic-ai agent with 60 tools, whose schemas take 1,500 tokens of each request instead of 3,289.

    python examples/pydantic_ai_tools_budget.py

Needs the package pydantic-ai-slim. A scripted model plays the agent, so no key is needed; with the name of a model in
its place the same agent runs for real. All tools are listed: those that the request likely needs with their
parameters, the others as names. `find_tool` tells the agent the parameters of a tool that it has only the name of.

Exit code: 0 on success; 1 if a request exceeds the budget or the agent's calls failed.
"""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from compressor import Compressor
from compressor.tokens import get_counter
from compressor_agents.pydantic_ai import CompressHistory

BUDGET = 1_500  # tokens of the schemas of a request
THINGS = "invoice order customer parcel contract meeting flight hotel ticket refund vehicle recipe".split()
VERBS = {
    "get": "Looks up one {0} by its number and gives all its fields.",
    "list": "Lists each {0} of a day, the newest first, also those of old systems.",
    "update": "Changes one field of one {0}, and says what it was before.",
    "share": "Sends a link to one {0} to somebody else. The link works for a week.",
    "archive": "Puts one {0} away, so that it no longer shows up in lists.",
}
STEPS: list[ToolCallPart | TextPart] = [
    ToolCallPart("get_invoice", {"number": "I-17"}),
    ToolCallPart("find_tool", {"query": "put a ticket away"}),
    ToolCallPart("archive_ticket", {"number": "T-17", "note": "paid"}),
    TextPart("Invoice I-17 is paid, and what was asked about it is archived."),
]


def make_tool(verb: str, thing: str, done: list[str]) -> Tool[Any]:
    """Returns one tool of a company's back office, which notes its calls in `done`."""
    about = {
        "number": f"The number of the {thing}, such as {thing[0].upper()}-17.",
        "note": "A note for the audit log.",
    }
    properties = {name: {"type": "string", "description": text} for name, text in about.items()}
    schema = {"type": "object", "properties": properties, "required": ["number"]}

    def run(number: str, note: str = "") -> str:
        done.append(f"{verb}_{thing} {number}")
        return "done"

    tool: Tool[Any] = Tool.from_schema(run, f"{verb}_{thing}", VERBS[verb].format(thing), schema)
    return tool


def main() -> int:
    """Runs the agent and prints what each request listed."""
    count, done, sizes = get_counter("gpt-4o").count_tools, list[str](), list[int]()

    def play(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        listed = [(t.name, t.description or "", t.parameters_json_schema) for t in info.function_tools]
        sizes.append(count([{"name": n, "description": d, "input_schema": s} for n, d, s in listed]))
        whole = sum(bool(schema.get("properties")) for _, _, schema in listed)
        print(f"request {len(sizes)}: {sizes[-1]:,} tokens, {len(listed)} tools, {whole} of them with parameters")
        step = STEPS[len(sizes) - 1]
        print(f"  calls {step.tool_name}" if isinstance(step, ToolCallPart) else f"  says: {step.content}")
        return ModelResponse([step])

    compress = CompressHistory(Compressor(store="memory"), model="gpt-4o", tools_budget=BUDGET, expand=False)
    tools = [make_tool(verb, thing, done) for thing in THINGS for verb in VERBS]
    agent = Agent(FunctionModel(play), tools=tools, capabilities=[compress])
    agent.run_sync("Is invoice I-17 paid? If so, nobody needs to see any more what was asked about it.")
    return 0 if max(sizes) <= BUDGET and done == ["get_invoice I-17", "archive_ticket T-17"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
