"""`compressor mcp --wrap`: real MCP servers behind it, the SDK's own client before it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import MCPError
from mcp_types import ImageContent, TextContent, TextResourceContents

from compressor.context.refs import find_refs
from compressor.tokens import get_counter
from support.mcp_test_server import LOG, NEEDLE
from support.mcp_wrapping import Agent, upstream, wrapped

pytestmark = pytest.mark.moderate

NOUNS = ("invoice", "customer", "parcel", "meeting", "ticket", "recipe", "flight", "ticker", "playlist", "lawn")
VERBS = ("create", "delete", "archive", "search", "export", "rename")
ODD = {
    "text": 'naïve 🙂 \u2028 \x00 "quoted" \\ back',
    "big": 10**40,
    "small": -1e-320,
    "float": 1.0,
    "none": None,
    "nested": [[], {}, {"": [None, {"ключ": [True, False]}]}],
}


def write_catalog(path: Path, repeats: int = 1) -> Path:
    """Writes a file with 60 tools of made-up servers, `repeats` times over."""
    tools = [
        {
            "name": f"{verb}_{noun}{number or ''}",
            "description": f"{verb.capitalize()} a {noun} of the user. It takes effect at once and is logged. Ask "
            f"before you {verb} more than one {noun}; the {noun} must exist.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    f"{noun}_id": {"type": "string", "description": f"The id of the {noun}."},
                    "reason": {"type": "string", "description": f"Why you {verb} it, in one sentence for the log."},
                },
                "required": [f"{noun}_id"],
            },
        }
        for number in range(repeats)
        for noun in NOUNS
        for verb in VERBS
    ]
    path.write_text(json.dumps(tools), encoding="utf-8")
    return path


def tokens_of(tools: dict[str, Any]) -> int:
    functions = [
        {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
        for tool in tools.values()
    ]
    return get_counter(None).count_tools([{"type": "function", "function": function} for function in functions])


def test_what_is_found_is_listed_within_the_budget(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "tools.json")

    async def talk(agent: Agent) -> None:
        tools = await agent.tools()
        assert "find_tool" in tools and "run_tool" in tools and tokens_of(tools) <= 900
        assert "export_recipe" not in tools or "reason" not in tools["export_recipe"].input_schema["properties"]
        answer = await agent.call("find_tool", query="export my recipe for grandma")
        assert "export_recipe" in answer and "run_tool" in answer
        await agent.wait_for_change(1)
        found = await agent.tools()
        assert "export_recipe" in found and tokens_of(found) <= 900
        # What is not listed can be called all the same, by its name or through `run_tool`.
        missing = next(name for noun in NOUNS for verb in VERBS if (name := f"{verb}_{noun}") not in found)
        assert json.loads(await agent.call(missing, **ODD)) == [missing, ODD]
        assert json.loads(await agent.call("run_tool", name=missing, arguments=ODD)) == [missing, ODD]
        await agent.wait_for_change(2)
        called = await agent.tools()
        assert missing in called and "export_recipe" in called and tokens_of(called) <= 900

    errors = wrapped([*upstream("catalog", "shop", catalog), "--tools-budget", "900"], talk)
    assert "shop: 60 tools, " in errors and "tokens listed" in errors


def test_the_task_and_pins_choose_the_first_list(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "tools.json")
    options = ["--task", "Find last week's flight to Lisbon", "--pin", "archive_lawn", "--deny", "shop/delete_*"]

    async def talk(agent: Agent) -> None:
        tools = await agent.tools()
        assert "search_flight" in tools and tokens_of(tools) <= 900
        whole = next(t for t in json.loads(catalog.read_text()) if t["name"] == "archive_lawn")
        assert tools["archive_lawn"].input_schema == whole["inputSchema"]
        assert tools["archive_lawn"].description == whole["description"]
        assert "There is no tool 'delete_parcel'" in await agent.call("run_tool", name="delete_parcel", arguments={})
        assert "delete_parcel" not in await agent.call("find_tool", query="delete a parcel")

    wrapped([*upstream("catalog", "shop", catalog), "--tools-budget", "900", *options], talk)


@pytest.mark.slow
def test_a_newer_client_subscribes_to_changes(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "tools.json")

    async def talk(agent: Agent) -> None:
        before = await agent.tools()
        async with agent.client.listen(tools_list_changed=True) as events:
            await agent.call("find_tool", query="rename a playlist")
            await asyncio.wait_for(anext(events), 20)
        assert "rename_playlist" in await agent.tools() and "rename_playlist" not in before

    wrapped([*upstream("catalog", "shop", catalog), "--tools-budget", "700"], talk, mode="auto")


def test_everything_that_fits_is_listed_unchanged() -> None:
    async def talk(agent: Agent) -> None:
        tools = await agent.tools()
        assert "find_tool" not in tools and "run_tool" not in tools
        assert tools["list_rows"].output_schema and tools["echo"].input_schema["required"] == ["values"]
        assert json.loads(await agent.call("echo", values=ODD)) == ODD
        assert agent.client.instructions and "Read the log before you ask people." in agent.client.instructions
        with pytest.raises(MCPError, match="no server has the prompt"):
            await agent.client.get_prompt("nobody", {})
        assert (await agent.client.list_prompts()).prompts[0].name == "greet"
        greeting = (await agent.client.get_prompt("greet", {"name": "Ada"})).messages[0].content
        assert isinstance(greeting, TextContent) and "Ada" in greeting.text
        assert [str(r.uri) for r in (await agent.client.list_resources()).resources] == ["office://rules"]
        for uri, text in (("office://rules", "no shouting"), ("office://room/7", "room 7")):
            contents = (await agent.client.read_resource(uri)).contents[0]
            assert isinstance(contents, TextResourceContents) and contents.text == text
        assert await agent.call("environment", name="OFFICE_SECRET") == "unset"  # only what is configured
        await agent.call("grow")
        await agent.wait_for_change(1)
        assert "water_plants" in await agent.tools()
        assert await agent.call("water_plants", litres=2) == "watered with 2"

    errors = wrapped(upstream("office"), talk, env={"OFFICE_SECRET": "hunter2"})
    assert "mcp_test_server: 12 tools, " in errors and "hunter2" not in errors


def test_large_results_are_compressed_and_can_be_expanded() -> None:
    count = get_counter(None).count

    async def talk(agent: Agent) -> None:
        assert "expand_context" in await agent.tools()
        text = await agent.call("read_log", path="/var/log/app.log")
        assert count(text) <= 600 and NEEDLE in text
        ref = find_refs(text)[0]
        assert await agent.call("expand_context", ref=ref, max_tokens=100_000) == LOG
        original = (await agent.client.read_resource(f"compressor://ref/{ref}")).contents[0]
        assert isinstance(original, TextResourceContents) and original.text == LOG
        assert NEEDLE in await agent.call("expand_context", ref=ref, query="which connection was refused?")
        assert "no ref" in await agent.call("expand_context", ref="000000000000")

        structured = await agent.client.call_tool("read_log_structured", {"path": "/x"})
        assert structured.structured_content and count(structured.structured_content["result"]) <= 600
        rows = await agent.client.call_tool("list_rows", {"count": 2_000})  # the client checks the declared form
        assert rows.structured_content == {"rows": list(range(2_000))}
        block = rows.content[0]
        assert isinstance(block, TextContent) and count(block.text) <= 600

        chart = (await agent.client.call_tool("draw_chart", {"title": "t"})).content
        assert isinstance(chart[0], TextContent) and count(chart[0].text) <= 600
        assert isinstance(chart[1], ImageContent) and len(chart[1].data) > 50

        small = await agent.call("fail_loudly", lines=200)
        assert small.count("\n") == 200 and small.startswith("ERROR: frame 0") and small.endswith(NEEDLE)
        large = await agent.call("fail_loudly", lines=2_000)
        assert count(large) <= 4 * 600 + 10 and NEEDLE in large and find_refs(large)

    wrapped([*upstream("office"), "--result-budget", "600"], talk)


@pytest.mark.slow
def test_progress_and_cancellation_pass_through(tmp_path: Path) -> None:
    async def talk(agent: Agent) -> None:
        steps: list[tuple[float, str | None]] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, message))

        arguments = {"seconds": 0.4, "marker": str(tmp_path / "finished")}
        result = await agent.client.call_tool("work_slowly", arguments, progress_callback=on_progress)
        assert not result.is_error and steps[0] == (0, "step 0") and len(steps) == 4
        assert not (tmp_path / "finished").exists()

        marker = tmp_path / "cancelled"
        steps.clear()
        arguments = {"seconds": 240, "marker": str(marker)}
        work = agent.client.call_tool("work_slowly", arguments, progress_callback=on_progress)
        call = asyncio.create_task(work)
        with anyio.fail_after(60):
            while not steps:
                await asyncio.sleep(0.02)
            call.cancel()
            while not marker.exists() or not marker.read_text():
                await asyncio.sleep(0.02)
        assert await agent.call("echo", values=1) == "1"

    wrapped(upstream("office"), talk)


@pytest.mark.slow
def test_tools_of_the_same_name_keep_apart(tmp_path: Path) -> None:
    config = {
        "mcpServers": {
            "left office": {**_entry(), "env": {"SIDE": "left"}},
            "right": {**_entry(), "env": {"SIDE": "right"}},
            "unused": {"command": "/no/such/thing", "disabled": True},
        }
    }
    (tmp_path / "servers.json").write_text(json.dumps(config), encoding="utf-8")

    async def talk(agent: Agent) -> None:
        tools = await agent.tools()
        assert "echo" not in tools and {"left_office__echo", "right__echo"} <= tools.keys()
        assert await agent.call("left_office__environment", name="SIDE") == "left"
        assert await agent.call("right__environment", name="SIDE") == "right"
        assert "Do you mean" in await agent.call("right_echo", values=1)

    wrapped(["--wrap-config", str(tmp_path / "servers.json")], talk)


def _entry() -> dict[str, Any]:
    options = upstream("office")[1].split()
    return {"command": options[0], "args": options[1:]}
