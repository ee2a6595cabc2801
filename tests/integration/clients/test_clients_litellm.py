"""LiteLLM's proxy, with its hook for a compression service, before a provider: the real package and a real service.

The hook sends what it does not hold back of a history: results without their calls. Run `make clients` before.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.client_programs import need_program
from support.redis_tools import free_port
from support.scripted_server import Call, Reply, Request, ScriptedServer
from support.service_tools import Service
from support.waiting import wait_for

pytestmark = pytest.mark.slow

ROUNDS = 5
TASK = "Find out which workers gave up."
TOOL = {
    "type": "function",
    "function": {
        "name": "read_log",
        "description": "Read a log.",
        "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}},
    },
}


def log_text(number: int) -> str:
    return "\n".join(
        f"worker-3 gave up on order ORD-{number}77 with code E-{number}11"
        if i == 61 + number
        else f"2026-01-{i % 28 + 1:02d} 10:{i % 60:02d}:07 worker-{i % 7} did {i * i * (7919 + number) % 99991}"
        for i in range(220)
    )


class Gateway:
    """A running LiteLLM proxy."""

    def __init__(self, folder: Path, provider_url: str, service_url: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        providers = {
            "gpt-4o": {"model": "openai/gpt-4o", "api_base": f"{provider_url}/v1"},
            "claude": {"model": "anthropic/claude-sonnet-4-5", "api_base": provider_url},
        }
        hook = {"guardrail": "headroom", "mode": "pre_call", "api_base": service_url, "default_on": True}
        config = {
            "model_list": [
                {"model_name": name, "litellm_params": {**given, "api_key": "sk-test"}}
                for name, given in providers.items()
            ],
            "guardrails": [{"guardrail_name": "compressor", "litellm_params": hook}],
            "general_settings": {"master_key": "sk-master"},
            "litellm_settings": {"telemetry": False},
        }
        (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
        command = [need_program("litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        self._log = folder / "log"
        with open(self._log, "wb") as log:
            env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            self._process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        wait_for(self._is_live, 90)

    def _is_live(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/health/liveliness", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def chat(self, model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        body = {"model": model, "messages": messages, "tools": [TOOL]}
        headers = {"authorization": "Bearer sk-master"}
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        message: dict[str, Any] = answer.json()["choices"][0]["message"]
        return {name: value for name, value in message.items() if name in ("role", "content", "tool_calls")}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running
        assert not running.problems


@pytest.fixture
def gateway(tmp_path: Path, provider: ScriptedServer) -> Iterator[Gateway]:
    with Service() as service:
        running = Gateway(tmp_path, provider.url, service.url)
        try:
            yield running
        finally:
            running.close()


def run_agent(gateway: Gateway, model: str) -> str:
    """The agent's loop: it runs each call, and sends the whole history again."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You read logs."},
        {"role": "user", "content": TASK},
    ]
    for _ in range(2 * ROUNDS):
        messages.append(gateway.chat(model, messages))
        if not messages[-1].get("tool_calls"):
            return str(messages[-1]["content"])
        for one in messages[-1]["tool_calls"]:
            assert one["function"]["name"] == "read_log", "the gateway answers its own tool"
            number = json.loads(one["function"]["arguments"])["number"]
            messages.append({"role": "tool", "tool_call_id": one["id"], "content": log_text(number)})
    raise AssertionError("it does not end")


def shown(request: Request) -> list[str]:
    """The tool results that the provider got."""
    found = []
    for message in filter(lambda one: isinstance(one, dict), request.messages):
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        contents = [part["content"] for part in parts if part["type"] == "tool_result"]
        contents += [content] if message["role"] == "tool" else []
        found += [one if isinstance(one, str) else "".join(part["text"] for part in one) for one in contents]
    return found


READS = [Reply(calls=[Call("read_log", {"number": number})]) for number in range(ROUNDS)]


@pytest.mark.parametrize("model", ["gpt-4o", "claude"])
def test_clients_litellm_sends_compressed_results(gateway: Gateway, provider: ScriptedServer, model: str) -> None:
    provider.script = [*READS, Reply("All five.")]
    assert run_agent(gateway, model) == "All five."
    *older, newest = shown(provider.requests[-1])
    assert len(older) == ROUNDS - 1 and newest == log_text(ROUNDS - 1)  # the hook holds the newest exchange back
    for number, text in enumerate(older):
        assert len(text) < 0.8 * len(log_text(number))
        assert f"ORD-{number}77" in text  # the line that stands out
    for earlier, later in zip(provider.requests[2:], provider.requests[3:], strict=False):
        compressed = shown(earlier)[:-1]
        assert shown(later)[: len(compressed)] == compressed  # the same bytes in every later call


def test_clients_litellm_answers_its_retrieve_tool(gateway: Gateway, provider: ScriptedServer) -> None:
    def ask(request: Request) -> Reply:
        return Reply(calls=[Call("headroom_retrieve", {"hash": shown(request)[0].rsplit("hash=", 1)[1][:24]})])

    provider.script = [*READS[:3], ask, lambda request: Reply(f"I read: {shown(request)[-1]}")]
    said = run_agent(gateway, "gpt-4o").removeprefix("I read: ")
    assert len(said) > 100 and said in log_text(0)
