"""What tests of several frameworks share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from compressor import Compressor
from support.client_scenarios import NO_COMPACTION
from support.client_tools import ChatTalk, ResponsesTalk, Talk, plain_openai
from support.scripted_server import ScriptedServer


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(params=["chat", "responses", "chat-async", "responses-async"])
def talk_of(request: pytest.FixtureRequest, compressor: Compressor, loop: asyncio.AbstractEventLoop) -> Any:
    """Makes a caller over a wrapped OpenAI client for a server. Tests of other clients have a fixture of their own."""
    pytest.importorskip("openai")
    from compressor_agents.openai import with_compression

    kind, _, way = request.param.partition("-")
    talk = {"chat": ChatTalk, "responses": ResponsesTalk}[kind]

    def make(server: ScriptedServer, **options: Any) -> Talk:
        options = {"policy": NO_COMPACTION} | options
        client = with_compression(plain_openai(server, "AsyncOpenAI" if way else "OpenAI"), compressor, **options)
        return talk(client, loop if way else None)

    return make


@pytest.fixture(params=["chat", "responses"])
def model_of(request: pytest.FixtureRequest) -> Any:
    """Makes a model of the OpenAI Agents SDK for a server. Tests of pydantic-ai have a fixture of their own."""
    agents, openai = pytest.importorskip("agents"), pytest.importorskip("openai")

    def make(server: ScriptedServer) -> Any:
        client = openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
        if request.param == "chat":
            return agents.OpenAIChatCompletionsModel("gpt-4o", client)
        return agents.OpenAIResponsesModel("gpt-4o", client)

    return make
