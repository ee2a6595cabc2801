"""A LangChain agent with 72 tools lists the dozen that its task needs, and finds another when it needs one more.

    python examples/many_tools_agent.py                            # offline: a scripted model plays the agent
    python examples/many_tools_agent.py --model openai:gpt-5-mini  # a real one: any name init_chat_model knows

Needs the extra "langchain". With OPENAI_API_KEY or ANTHROPIC_API_KEY set, and langchain-openai or langchain-anthropic
installed, a real model plays the agent without being named (less than a cent); `--offline` forbids it.

It shows `ContextCompressorMiddleware(tools_budget=...)`: the schemas of every request take at most 1,200 tokens instead
of 8,900, the listed tools keep their bytes for the provider's cache, and `find_tool` adds a tool that was not listed.
All 72 tools can be called at any time.

Exit code: 0 on success; 1 if, offline, an answer is wrong or a budget is exceeded; 2 if the model cannot be loaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field, create_model

from compressor import Compressor
from compressor.testing import ScriptedChatModel, call
from compressor.tokens import get_counter
from compressor_agents.langchain import ContextCompressorMiddleware

PROVIDERS = {  # by the variable that holds the key
    "OPENAI_API_KEY": ("langchain_openai", "openai:gpt-5-mini"),
    "ANTHROPIC_API_KEY": ("langchain_anthropic", "anthropic:claude-haiku-4-5"),
}
THINGS = (
    "invoice order customer supplier parcel warehouse contract meeting flight hotel ticket refund employee payslip "
    "vehicle machine sensor recipe"
).split()
VERBS = {
    "get": "Looks up one {0} by its number and gives all its fields",
    "list": "Lists each {0} of a day, the newest first",
    "update": "Changes one field of one {0}, and says what it was before",
    "cancel": "Cancels one {0} for good, and tells everyone who is waiting for it",
}
QUESTIONS = ("What does invoice I-17 come to?", "Then cancel the parcel that goes with it, P-17.")
BUDGET = 1_200  # tokens of all tool schemas of a request


def make_tool(verb: str, thing: str) -> BaseTool:
    """Returns one tool of a company's back office."""
    arguments = create_model(
        "Arguments",
        number=(str, Field(description=f"The number of the {thing}, such as {thing[0].upper()}-17, or a day.")),
        region=(str | None, Field(None, description=f"Where the {thing} is kept: a country code. Usually left out.")),
        verbose=(bool, Field(False, description="Whether to give notes and history, too. They are long.")),
    )

    def run(number: str, region: str | None = None, verbose: bool = False) -> str:
        return f"{thing} {number}: 240 EUR, open" if verb in ("get", "list") else f"{thing} {number}: {verb} done"

    description = (
        VERBS[verb].format(thing) + f". Works for every {thing} since 2012. Numbers of old systems are found, too."
    )
    return StructuredTool.from_function(run, name=f"{verb}_{thing}", description=description, args_schema=arguments)


class RequestRecorder(AgentMiddleware[Any, Any, Any]):
    """Records the tools of each request; it comes after the compressor, so it sees what the model sees."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[Any]] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        """Records the tools and passes the request on."""
        self.requests.append([t if isinstance(t, dict) else convert_to_openai_tool(t) for t in request.tools])
        return handler(request)


def find_model(name: str | None, offline: bool) -> BaseChatModel:
    """Returns the named model, the model of the first API key that is set, or a scripted model."""
    if not offline and name is None:
        for key, (package, known) in PROVIDERS.items():
            if os.environ.get(key) and importlib.util.find_spec(package):
                name = known
                break
    if offline or name is None:
        return ScriptedChatModel(
            script=[
                call("get_invoice", number="I-17"),
                "Invoice I-17 comes to 240 EUR.",
                call("find_tool", query="cancel a parcel"),
                call("cancel_parcel", number="P-17"),
                "Parcel P-17 is cancelled.",
            ]
        )
    try:
        model: BaseChatModel = init_chat_model(name)
    except Exception as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return model


def main() -> int:
    """Asks both questions and prints the tools that each request listed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help='such as "openai:gpt-5-mini"; see init_chat_model')
    parser.add_argument("--offline", action="store_true", help="never call a real model")
    options = parser.parse_args()
    model = find_model(options.model, options.offline)
    tools = [make_tool(verb, thing) for thing in THINGS for verb in VERBS]
    recorder, count = RequestRecorder(), get_counter(None).count_tools
    middleware = ContextCompressorMiddleware(tools_budget=BUDGET, compressor=Compressor(store="memory"))
    agent: Any = create_agent(model, tools, middleware=[middleware, recorder], checkpointer=InMemorySaver())
    messages: list[Any] = []
    for question in QUESTIONS:
        messages = agent.invoke({"messages": question}, {"configurable": {"thread_id": "1"}})["messages"]
    before = count([convert_to_openai_tool(tool) for tool in tools])
    print(f"{len(tools)} tools, {before:,} tokens of schemas")
    for number, listed in enumerate(recorder.requests, 1):
        kept = "as before" if number > 1 and listed == recorder.requests[number - 2] else "new"
        print(f"request {number}: {len(listed)} listed, {count(listed):,} tokens, {kept}")
    for message in messages:
        for tool_call in message.tool_calls if isinstance(message, AIMessage) else ():
            print(f"  calls {tool_call['name']}({', '.join(map(str, tool_call['args'].values()))})")
        if isinstance(message, AIMessage) and message.text:
            print(f"  says: {message.text}")
    for text in middleware.warnings:
        print(f"warning: {text}")
    if not isinstance(model, ScriptedChatModel):
        return 0
    done = any(isinstance(m, ToolMessage) and m.text == "parcel P-17: cancel done" for m in messages)
    return 0 if done and all(count(listed) <= BUDGET for listed in recorder.requests) else 1


if __name__ == "__main__":
    raise SystemExit(main())
