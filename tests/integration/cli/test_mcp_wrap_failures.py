"""`compressor mcp --wrap` when the wrapped servers die, hang, send nonsense or do not exist."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from compressor.cli.main import main
from support.mcp_wrapping import SERVER, Agent, upstream, wrapped
from support.redis_tools import free_port
from support.root_log import root_log_kept
from support.waiting import wait_for

pytestmark = pytest.mark.moderate


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process_id}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_a_server_that_dies_is_started_again_but_not_without_end(tmp_path: Path) -> None:
    processes: list[int] = []

    async def talk(agent: Agent) -> None:
        # A tool that says that it is read-only is called again.
        assert await agent.call("die_once", marker=str(tmp_path / "died")) == "alive"
        first = int(await agent.call("process_id"))
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(0.5)  # between two calls: nothing is lost
        second = int(await agent.call("process_id"))
        assert second != first
        died = await agent.call("die")
        assert died.startswith("ERROR: server 'office' ended during the request") and "may or may not" in died
        assert int(await agent.call("process_id")) != second
        assert (await agent.call("die")).startswith("ERROR: server 'office' ended")
        stopped = await agent.call("process_id")
        assert stopped.startswith("ERROR: server 'office' was started 4 times within a minute")
        assert (await agent.call("good")).startswith("called")  # the other one goes on
        processes.append(second)

    wrapped([*upstream("office", "office"), *upstream("broken", "odd")], talk)
    assert not any(map(is_running, processes))


@pytest.mark.slow
@pytest.mark.parametrize("by_signal", [False, True], ids=["stdin ends", "SIGTERM"])
def test_all_processes_end_with_the_client(by_signal: bool) -> None:
    processes: list[int] = []

    async def talk(agent: Agent) -> None:
        processes.append(int((await agent.call("good")).split()[-1]))
        if by_signal:
            parent = Path(f"/proc/{processes[0]}/stat").read_text().rpartition(")")[2].split()[1]
            os.kill(int(parent), signal.SIGTERM)
            await asyncio.sleep(0.5)

    if by_signal and not Path("/proc").exists():
        pytest.skip("no /proc")
    wrapped(upstream("stubborn"), talk)
    wait_for(lambda: not is_running(processes[0]))


@pytest.mark.slow
def test_what_does_not_start_or_answer_stops_nobody(tmp_path: Path) -> None:
    options = [*upstream("office", "office"), *upstream("silent", "mute"), *upstream("broken", "odd")]
    options += ["--wrap", "ghost=/no/such/command --flag", "--wrap", "web=http://127.0.0.1:9/mcp?token=hunter2"]

    async def talk(agent: Agent) -> None:
        tools = await agent.tools()
        assert {"echo", "good", "untyped"} <= tools.keys() and not {"no_schema", "odd_type"} & tools.keys()
        assert await agent.call("echo", values="x") == '"x"' and (await agent.call("good")).startswith("called")
        found = await agent.call("find_tool", query="draw a chart")
        assert "draw_chart" in found and "Not available" in found
        for name in ("ghost", "mute", "web"):
            assert f"{name} (" in found
        slow = await agent.call("work_slowly", seconds=60, marker=str(tmp_path / "marker"))
        assert slow == "ERROR: server 'office' did not answer within 3 seconds"
        assert await agent.call("echo", values=2) == "2"

    errors = wrapped([*options, "--start-timeout", "6", "--timeout", "3"], talk)
    assert "mute: not available: it did not start within 6 seconds" in errors
    assert "ghost: not available: /no/such/command: no such file or command" in errors
    assert "odd: its tool 'no_schema' is left out: inputSchema: Field required" in errors
    assert "web: not available: " in errors and "hunter2" not in errors


def start_http_office(port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, str(SERVER), "office-http", str(port)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def test_a_server_over_http_may_go_and_come_back() -> None:
    port = free_port()
    process = [start_http_office(port)]

    async def talk(agent: Agent) -> None:
        assert await agent.call("echo", values=1) == "1"
        process[0].kill()
        process[0].wait()
        assert (await agent.call("echo", values=2)).startswith("ERROR: server 'office'")
        process[0] = start_http_office(port)
        answers = [await agent.call("echo", values=3) for _ in range(2)]
        assert answers[-1] == "3", answers

    try:
        wrapped(["--wrap", f"office=http://127.0.0.1:{port}/mcp", "--timeout", "20"], talk)
    finally:
        process[0].kill()
        process[0].wait()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--wrap", " "], "--wrap is empty"),
        (["--wrap", "npx 'unclosed"], "cannot be read"),
        (["--wrap", "http://"], "the url must be"),
        (["--wrap", "x=https://host:99999/"], "the url must be"),
        (["--wrap-config", "missing.json"], "missing.json: No such file"),
        (["--wrap-config", "list.json"], 'no "mcpServers"'),
        (["--wrap-config", "broken.json"], "is not JSON"),
        (["--wrap-config", "entry.json"], "'a' must have either a command or a url"),
        (["--wrap", "true", "--tools-budget", "lots"], "is not a budget"),
        (["--wrap", "true", "--tools-budget", "20"], "give --tools-budget"),
        (["--wrap", "true", "--tools-budget", "0"], "budget"),
        (["--wrap", "true", "--result-budget", "3"], "--result-budget"),
        (["--wrap", "true", "--timeout", "0"], "--timeout"),
    ],
)
def test_wrong_options_are_told(
    options: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files: dict[str, Any] = {"list.json": "[1]", "broken.json": "{", "entry.json": {"mcpServers": {"a": {"args": []}}}}
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compressor", "mcp", "--store", "memory", *options])
    with root_log_kept(), pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2 and why in capsys.readouterr().err


def test_it_does_not_wrap_itself_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMPRESSOR_MCP_WRAP_DEPTH", "3")
    monkeypatch.setattr(sys, "argv", ["compressor", "mcp", "--store", "memory", "--wrap", "true"])
    with root_log_kept(), pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2 and "wraps itself" in capsys.readouterr().err
