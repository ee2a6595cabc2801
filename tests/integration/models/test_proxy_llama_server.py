"""The proxy in front of a server that is not ours: llama-cpp-python's own, with the shipped tiny model; both of them,
and `compressor serve`, as processes, asked by the real clients of openai and anthropic.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from support.client_tools import NEEDLE, TASK, MessagesTalk, ref_in
from support.paths import TESTS
from support.scripted_server import Call, Reply, ScriptedServer
from support.session_tools import prose

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
for name in ("llama_cpp", "starlette_context", "pydantic_settings", "sse_starlette", "fastapi", "prometheus_client"):
    pytest.importorskip(name)

pytestmark = pytest.mark.slow
MODEL = TESTS / "data" / "tiny.gguf"
WINDOW = 2048  # tokens
SENT = ("x-compressor-session", "x-compressor-tokens-before", "x-compressor-tokens-after", "x-compressor-saved-usd")


@contextmanager
def running(command: list[str], path: str, **env: str) -> Iterator[str]:
    """A server in a process of its own; gives its URL. `{port}` in the command is its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    filled = [part.replace("{port}", port) for part in command]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-m", *filled], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env}
    ) as process:
        try:
            for _ in range(600):
                assert process.poll() is None, f"{filled[0]} ended"
                try:
                    if httpx.get(url + path, timeout=1).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                time.sleep(0.1)
            else:
                raise AssertionError(f"{filled[0]} does not answer")
            yield url
        finally:
            process.terminate()
            process.wait(15)


def serve(upstream: str, budget: str, **env: str) -> Any:
    command = ["compressor.cli", "serve", "--port", "{port}", "--store", "memory", "--upstream", upstream + "/v1"]
    return running([*command, "--budget", budget], "/healthz", **env)


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    options = ["--model", str(MODEL), "--host", "127.0.0.1", "--port", "{port}", "--n_ctx", str(WINDOW)]
    options += ["--chat_format", "chatml", "--model_alias", "tiny", "--n_threads", "1"]
    with running(["llama_cpp.server", *options], "/v1/models") as url:
        yield url


@pytest.fixture(scope="module")
def proxy(llama: str) -> Iterator[str]:
    with serve(llama, "1200", COMPRESSOR_MODELS=f'{{"tiny": "{MODEL}"}}') as url:
        yield url


def openai_client(url: str) -> Any:
    return openai.OpenAI(base_url=url + "/v1", api_key="sk-any", max_retries=0, timeout=60)


PLAIN: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Say hello."}],
    "max_tokens": 12,
    "temperature": 0.0,
    "seed": 7,
}
LONG: dict[str, Any] = PLAIN | {
    "messages": [
        {"role": "user", "content": TASK},
        *({"role": "assistant" if i % 2 else "user", "content": prose(i, 2 + 16 * (i % 2))} for i in range(1, 13)),
        {"role": "assistant", "content": "I have read it."},
        {"role": "user", "content": "Which worker gave up?"},
    ]
}


def test_an_answer_is_what_it_would_have_been(llama: str, proxy: str) -> None:
    direct = openai_client(llama).chat.completions.create(**PLAIN)
    raw = openai_client(proxy).chat.completions.with_raw_response.create(**PLAIN)
    through = raw.parse()
    assert through.choices == direct.choices and through.usage == direct.usage and through.model == direct.model
    assert direct.usage and direct.usage.completion_tokens > 0
    assert all(header in raw.headers for header in SENT) and "x-compressor-warning" not in raw.headers
    assert raw.headers["x-compressor-tokens-before"] == raw.headers["x-compressor-tokens-after"]


def test_a_stream_is_what_it_would_have_been(llama: str, proxy: str) -> None:
    def pieces(url: str) -> list[Any]:
        chunks = openai_client(url).chat.completions.create(**PLAIN, stream=True)
        return [(c.choices[0].delta.model_dump(), c.choices[0].finish_reason) for c in chunks if c.choices]

    direct = pieces(llama)
    assert len(direct) > 2 and pieces(proxy) == direct


def test_models_and_other_paths_pass(llama: str, proxy: str) -> None:
    assert (
        [one.id for one in openai_client(proxy).models.list()]
        == [one.id for one in openai_client(llama).models.list()]
        == ["tiny"]
    )
    asked = {"model": "tiny", "prompt": "The", "max_tokens": 3, "temperature": 0.0, "seed": 1}
    answers = [openai_client(url).completions.create(**asked).choices for url in (llama, proxy)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("body", [{"model": "tiny", "messages": 3}, {"messages": [{"role": "user"}], "top_p": "x"}, []])
def test_their_errors_pass(llama: str, proxy: str, body: Any) -> None:
    answers = [httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60) for url in (llama, proxy)]
    assert answers[0].status_code == answers[1].status_code >= 400
    assert answers[0].json() == answers[1].json()
    missing = [httpx.get(f"{url}/v1/no/such/path") for url in (llama, proxy)]
    assert missing[0].status_code == missing[1].status_code == 404 and missing[0].content == missing[1].content


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_too_long_for_the_model_is_compressed(llama: str, proxy: str, stream: bool) -> None:
    with pytest.raises(openai.APIError):  # more tokens than its window
        openai_client(llama).chat.completions.create(**LONG)
    asked = openai_client(proxy).chat.completions.with_raw_response.create(**LONG, stream=stream)
    before, after = (int(asked.headers[f"x-compressor-tokens-{one}"]) for one in ("before", "after"))
    assert before > WINDOW > 1200 >= after and "x-compressor-warning" not in asked.headers
    if stream:
        assert [chunk.choices[0].finish_reason for chunk in asked.parse()][-1] in ("stop", "length")
    else:
        answer = asked.parse()
        assert answer.choices[0].finish_reason in ("stop", "length") and answer.usage.prompt_tokens <= WINDOW


@pytest.mark.parametrize("stream", [False, True])
def test_the_anthropic_client_through_the_real_service(stream: bool) -> None:
    expand: Any = lambda r: Reply("", [Call("expand_context", {"ref": ref_in(r)})])  # noqa: E731
    script: list[Any] = [Reply("", [Call("read_log", {"path": "import.log"})]), expand, Reply("Worker 3.")]
    with ScriptedServer(script) as server, serve(server.url, "12000") as url:
        talk = MessagesTalk(anthropic.Anthropic(base_url=url, api_key="sk-any", max_retries=0))
        talk.read_log(stream)
        assert talk.ask(stream).text == "Worker 3."
        assert not server.problems and server.left == 0
        assert NEEDLE in str(server.requests[2].messages)
        with pytest.raises(anthropic.BadRequestError, match="the script is over"):
            talk.ask(stream)
