"""Clients of other people through the proxy, with nothing changed but their base URL: they get what they get directly.

Each program in `programs` is an agent that reads six logs and answers. The provider is scripted, refuses what a
provider would refuse, and notes what is wrong with a request. Run `make clients` before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.client_programs import FOLDER, need_program
from support.client_tools import ref_in
from support.redis_tools import missing
from support.scripted_server import Call, Reply, Request, ScriptedServer
from support.service_tools import Service

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "programs"
ROUNDS = 6
TASK = "Find out which workers gave up."
ANSWER = "Workers 3 gave up on six orders."
PROGRAMS = [
    ("smolagents_agent.py",),
    ("litellm_agent.py", "openai/gpt-4o"),
    ("litellm_agent.py", "openai/gpt-4o", "stream"),
    ("litellm_agent.py", "anthropic/claude-sonnet-4-5"),
    ("openai_chat.mjs",),
    ("openai_chat.mjs", "stream"),
    ("openai_responses.mjs",),
    ("openai_responses.mjs", "stream"),
    ("anthropic_messages.mjs",),
    ("anthropic_messages.mjs", "stream"),
    ("ai_sdk.mjs",),
    ("ai_sdk.mjs", "stream"),
    ("langchain_chat.mjs",),
]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    for number in range(ROUNDS):
        lines = [f"10:{i % 60:02d}:07 worker-{i % 7} did {i * i * (7919 + number) % 99991}" for i in range(250)]
        lines[100 + number] = f"worker-3 gave up on order ORD-{number}77 with code E-{number}11"
        (folder / f"{number}.log").write_text("\n".join(lines))
    return folder


def command_of(program: str) -> list[str]:
    if program.endswith(".py"):
        return [need_program("python"), str(HERE / program)]
    node = shutil.which("node")
    modules = FOLDER.parent / "programs" / "node_modules"
    if node is None or not modules.exists():
        missing("node and its packages are needed: make clients")
    return [node, str(FOLDER.parent / "programs" / program)]  # beside its packages


def run(url: str, logs: Path, program: str, *arguments: str) -> str:
    """The answer that the user of the program gets."""
    env = {**os.environ, "BASE_URL": url, "LOGS": str(logs), "TASK": TASK, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [*command_of(program), *arguments]
    if program.endswith(".mjs"):
        shutil.copy(HERE / program, command[1])
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return str(json.loads(done.stdout.splitlines()[-1])["answer"])


def script_of(program: str) -> list[Any]:
    reads: list[Any] = [Reply(calls=[Call("read_log", {"number": number})]) for number in range(ROUNDS)]
    if program.startswith("smolagents"):
        return [*reads, Reply(calls=[Call("final_answer", {"answer": ANSWER})])]
    return [*reads, Reply(ANSWER)]


def size(request: Request) -> int:
    return len(json.dumps(request.messages))


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_clients_get_what_they_get_directly(provider: ScriptedServer, logs: Path, program: tuple[str, ...]) -> None:
    provider.script = script_of(program[0])
    assert run(provider.url, logs, *program) == ANSWER and not provider.problems
    direct, provider.requests = provider.requests, []

    def expand(request: Request) -> Reply:  # one round more, which the client does not see
        return Reply(calls=[Call("expand_context", {"ref": ref_in(request)})])

    provider.script = script_of(program[0])
    has_results = not program[0].startswith("smolagents")  # which sends results as the user's text: that stays
    if has_results:
        provider.script.insert(ROUNDS, expand)
    with Service(upstream=provider.url) as service:
        assert run(service.url, logs, *program) == ANSWER
    assert not provider.problems and not provider.script
    sent = provider.requests
    assert len(sent) == len(direct) + has_results
    if not has_results:
        return
    assert sum(map(size, sent[:ROUNDS])) < 0.85 * sum(map(size, direct[:ROUNDS]))
    assert {"read_log", "expand_context"} <= {*sent[-1].tools}
    assert all(
        f"ORD-{number}77" in json.dumps(sent[-1].messages) for number in range(ROUNDS)
    )  # nothing it needs is gone
