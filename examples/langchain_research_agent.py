"""A LangChain agent reads sixteen reports, one after the other, and is later asked for a detail it has not noted.

    python examples/langchain_research_agent.py                            # offline: a scripted model plays the agent
    python examples/langchain_research_agent.py --model openai:gpt-5-mini  # a real one: any name init_chat_model knows

Needs the extra "langchain". With OPENAI_API_KEY or ANTHROPIC_API_KEY set, and langchain-openai or langchain-anthropic
installed, a real model plays the agent without being named (a few cents); `--offline` forbids it.

It shows `ContextCompressorMiddleware` over 40 model calls: old rounds leave the view, the prefix stays the same for the
provider's cache, and the agent gets back what it needs with `expand_context`. The second question goes to a new agent
and a new middleware, which know the thread from its checkpoints alone, as after a restart.

Exit code: 0 on success; 1 if, offline, an answer is wrong or nothing was expanded; 2 if the model cannot be loaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Generator
from typing import Any

from corpus import REGIONS, documents, leak_rate, valve
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.testing import ScriptedChatModel, call
from compressor_agents.langchain import ContextCompressorMiddleware

PROVIDERS = {  # by the variable that holds the key
    "OPENAI_API_KEY": ("langchain_openai", "openai:gpt-5-mini"),
    "ANTHROPIC_API_KEY": ("langchain_anthropic", "anthropic:claude-haiku-4-5"),
}
SYSTEM = (
    "You are a researcher. Search one region at a time, read every report yourself, one at a time, and note each "
    "station's name and loss before you read the next. Never give a figure that you have not read."
)
QUESTIONS = (
    f"Which station of the regions {', '.join(REGIONS)} loses the largest share of its water? Read all reports.",
    "And what is the serial number of that station's main valve?",
)
BUDGET = 6_000  # tokens of a request at most


def make_tools() -> list[Any]:
    """Returns the agent's tools, which share a new notebook."""
    reports, notes = documents(), list[str]()

    @tool
    def search(region: str) -> str:
        """Lists the reports of a region, by id."""
        found = [f"{name}: {text.splitlines()[0]}" for name, text in reports.items() if name.startswith(region)]
        return "\n".join(found) or f"Nothing found. There are reports of {', '.join(REGIONS)}."

    @tool
    def read_document(id: str) -> str:
        """Gives the whole text of a report."""
        return reports.get(id) or f"There is no report {id!r}."

    @tool
    def take_note(text: str) -> str:
        """Writes a line into the notebook."""
        notes.append(text)
        return f"Noted, line {len(notes)}."

    @tool
    def read_notes() -> str:
        """Gives all lines of the notebook."""
        return "\n".join(notes) or "The notebook is empty."

    return [search, read_document, take_note, read_notes]


Script = Generator[AIMessage | str, list[BaseMessage], None]


def research() -> Script:
    """Plays the model. It receives what the model is sent, and knows nothing else."""
    yield ""
    for region in REGIONS:
        sent = yield call("search", region=region)
        for name in re.findall(r"^[a-z]+-\d", sent[-1].text, re.M):
            sent = yield call("read_document", id=name)
            while (
                lost := re.search(r"(\w[\w ]*) lost ([\d.]+) %", sent[-1].text)
            ) is None:  # the sentence was cut: expand it
                sent = yield call("expand_context", ref=find_refs(sent[-1].text)[-1], query="share of water lost")
            sent = yield call("take_note", text=f"{name} {lost[1]}: {lost[2]} %")
    sent = yield call("read_notes")
    worst = max(re.findall(r"^(\S+) (.+): ([\d.]+) %", sent[-1].text, re.M), key=lambda note: float(note[2]))
    sent = yield f"{worst[1]} (report {worst[0]}) loses most: {worst[2]} % of its water."

    station, report = worst[1], worst[0]
    serial_number = re.compile(rf"{station} pumping station.*?(MV-\d+)", re.S)
    query = f"{station}: serial number of the main valve"
    while (found := next(filter(None, (serial_number.search(message.text) for message in sent)), None)) is None:
        sent = yield call("expand_context", ref=ref_to(report, sent), query=query, max_tokens=200)
    yield f"The main valve of {station} has the serial number {found[1]}."


def ref_to(report: str, sent: list[BaseMessage]) -> str:
    """Returns the ref in the line about reading a report, or the ref of the oldest index lines."""
    lines = [line for m in sent if isinstance(m, ToolMessage) for line in m.text.splitlines() if find_refs(line)]
    named = [line for line in lines if line.startswith("read_document") and f'"{report}"' in line]
    older = [line for line in lines if " more rounds [" in line]
    return find_refs([*older, *named][-1])[0]


def choose_model(name: str | None, offline: bool) -> tuple[BaseChatModel, str]:
    """Returns the model that plays the agent, and its name."""
    for key, (package, usual) in PROVIDERS.items():
        if name is None and not offline and os.environ.get(key) and importlib.util.find_spec(package):
            name = usual
    if name is not None and not offline:
        return init_chat_model(name), name
    script = research()
    next(script)
    play: Callable[[list[BaseMessage]], AIMessage | str] = script.send
    return ScriptedChatModel(script=play, model_name="gpt-5"), "a script, with the prices of gpt-5"


def show(step: dict[str, Any]) -> None:
    """Prints one line for each tool call."""
    for message in (step.get("model") or {}).get("messages", ()):
        for tool_call in message.tool_calls:
            arguments = ", ".join(f"{k}={v!r}" for k, v in tool_call["args"].items() if v is not None)
            print(f"    {tool_call['name']}({arguments})")


def main() -> int:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="A LangChain research agent over a long session.")
    parser.add_argument("--model", help='such as "openai:gpt-5-mini"; see init_chat_model')
    parser.add_argument("--offline", action="store_true", help="play the script even if a key is set")
    options = parser.parse_args()
    try:
        model, name = choose_model(options.model, options.offline)
    except Exception as error:  # each provider's package raises its own error for a missing key
        print(f"The model {options.model!r} could not be loaded: {error}", file=sys.stderr)
        return 2
    print(f"The agent is played by {name}.")

    compressor, saver, tools = Compressor(store="memory"), InMemorySaver(), make_tools()
    config: Any = {"configurable": {"thread_id": "stations"}, "recursion_limit": 400}
    answers = []
    for question in QUESTIONS:
        middleware = ContextCompressorMiddleware(BUDGET, compressor=compressor)
        agent: Any = create_agent(model, tools, system_prompt=SYSTEM, middleware=[middleware], checkpointer=saver)
        print(f"\n{question}")
        for step in agent.stream({"messages": question}, config, stream_mode="updates"):
            show(step)
        values = agent.get_state(config).values
        answers.append(values["messages"][-1].text)
        print(f"  {answers[-1]}")

    report = middleware.cost_report(values)
    print(f"\nmodel calls        {report.calls}")
    print(f"prompt tokens      {report.baseline_tokens:,} raw, {report.actual_tokens:,} sent")
    costs = f"${report.baseline_cost:.4f} raw, ${report.actual_cost:.4f} sent"
    print(f"cost of prompts    {costs}: {report.saved_fraction:.0%}")
    print(f"from the cache     {report.cached_fraction:.0%} of the tokens sent")
    print(f"compactions        {report.compactions}")
    print(f"expansions         {report.expansions}")
    for message in values["messages"]:
        if isinstance(message, ToolMessage) and message.name == "expand_context":
            print(f"expanded           {' '.join(message.text.split())}")
    for warning in middleware.warnings:
        print(f"warning            {warning}")

    stations = [station for names in REGIONS.values() for station in names]
    worst = max(stations, key=leak_rate)
    right = [str(leak_rate(worst)) in answers[0] and worst in answers[0], valve(worst) in answers[1]]
    print(f"right answers      {sum(right)} of {len(right)}")
    scripted = isinstance(model, ScriptedChatModel)
    return int(scripted and not (all(right) and report.expansions))


if __name__ == "__main__":
    sys.exit(main())
