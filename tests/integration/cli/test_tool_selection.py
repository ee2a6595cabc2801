"""`compressor tools`: what would be sent, from files in the forms that users have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compressor import Compressor
from compressor.cli.main import app
from compressor.tokens import get_counter
from support.many_tools import office_tools

TOOLS = office_tools("mcp")


def run_tools(*args: str, given: Any = None) -> Result:
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    return CliRunner().invoke(app, ["tools", *args, "--store", "memory"], input=data)


@pytest.mark.parametrize("shape", ["list", "request", "result"])
def test_it_prints_what_would_be_sent(shape: str, tmp_path: Path) -> None:
    given: Any = {"list": TOOLS, "request": {"tools": TOOLS}, "result": {"id": 1, "result": {"tools": TOOLS}}}[shape]
    file = tmp_path / "tools.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(given).encode())
    done = run_tools(str(file), "-b", "900", "-q", "delete a recipe", "--pin", "share_visa")
    want = Compressor(store="memory").select_tools(TOOLS, 900, "delete a recipe", pinned=["share_visa"])
    assert done.exit_code == 0 and json.loads(done.stdout) == want.tools and TOOLS[-1] in want.tools
    assert f"{len(want.tools)} of 60 tools" in done.stderr


def test_a_request_says_what_it_is_for() -> None:
    asked = "Please delete my recipe R-1."
    forced = {"type": "tool", "name": "archive_song"}
    request = {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": asked}], "tool_choice": forced}
    tools = office_tools("messages")
    done = run_tools("-", "-b", "10%", "--json", given={**request, "tools": tools})
    made = json.loads(done.stdout)
    assert made["tokens_after"] == get_counter("claude-sonnet-5").count_tools(made["tools"])
    assert made["tokens_after"] <= 0.1 * made["tokens_before"]
    names = [tool["name"] for tool in made["tools"]]
    assert "delete_recipe" in names and "archive_song" in names and len(made["reports"]) == 60
    responses = {"tools": office_tools("responses"), "input": asked, "model": "gpt-4o"}
    report = run_tools("-", "-b", "900", "--report", given=responses)
    assert report.exit_code == 0 and "budget 900" in report.stdout and "dropped" in report.stdout


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (b"{", 2, "stdin: not JSON"),
        (b'"\xff"', 2, "not UTF-8"),
        (b"5", 2, "stdin has no tools"),
        (b'{"tools": 5}', 2, "stdin has no tools"),
        ([5], 2, "tool 0"),
        (TOOLS, 3, "give --budget"),
        ([], 0, "0 of 0 tools"),
    ],
)
def test_it_says_what_is_wrong(given: Any, code: int, said: str) -> None:
    done = run_tools("-", "-b", "5", given=given)
    assert done.exit_code == code and said in done.stderr
