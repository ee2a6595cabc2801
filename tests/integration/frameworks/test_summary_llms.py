"""Who writes summaries, against the real packages: LangChain's own chat models, a local HTTP server that speaks
/v1/chat/completions, llama.cpp with the shipped model."""

from __future__ import annotations

import asyncio
import gc
import http.server
import importlib.util
import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor.context.refs import compute_ref
from compressor.errors import CompressorError, MissingDependencyError, ModelError
from compressor.sessions.summaries import Passage, Summarizer, Summary, summarizer
from compressor.tokens import get_counter
from support.gguf_tools import TINY

COUNTER = get_counter("gpt-4o")
SAID = "The order ORD-1234 was shipped on 2024-05-20 to Paris."
HISTORY = [
    Passage("Where is my order?", "user", None, compute_ref("u")),
    Passage(SAID, "tool_result", "orders", compute_ref("t")),
]
ANSWER = "GOAL:\n- The user wants to know where the order is.\nFACTS:\n- Order ORD-1234 was shipped on 2024-05-20."
needs_httpx = pytest.mark.skipif(importlib.util.find_spec("httpx") is None, reason="httpx is not installed")
needs_llama = pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is missing")


def both_ways(s: Summarizer) -> Iterator[Summary]:
    """The summary of the history, and again from a thread of asyncio's."""
    yield s.update(None, HISTORY, 300, COUNTER)
    yield asyncio.run(asyncio.to_thread(s.update, None, HISTORY, 300, COUNTER))


def extracted(summary: Summary, why: str) -> bool:
    said = any(line.text == SAID for _, line in summary.lines())
    return said and not summary.written and len(summary.warnings) == 1 and why in summary.warnings[0]


def late(seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


# LangChain


def chat_models() -> Any:
    return pytest.importorskip("langchain_core.language_models.fake_chat_models")


def test_a_langchain_model_writes() -> None:
    fake = chat_models()
    for model in (
        fake.FakeListChatModel(responses=[ANSWER]),
        fake.GenericFakeChatModel(messages=iter([ANSWER, ANSWER])),
        fake.FakeListChatModel(responses=[ANSWER]).with_retry(),
        fake.FakeListChatModel(responses=[ANSWER]).bind(stop=["x"]),
    ):
        for summary in both_ways(summarizer(model)):
            assert summary.written and summary.facts[0].text.startswith("Order ORD-1234")
            assert summary.goal[0].source_name == "user" and summary.facts[0].source_name == "tool orders"


def test_a_message_of_blocks_gives_its_text_only() -> None:
    fake = chat_models()
    from langchain_core.messages import AIMessage

    blocks: list[Any] = [{"type": "thinking", "thinking": "FACTS: 99"}, {"type": "text", "text": ANSWER}]
    cut = AIMessage(f"{ANSWER}\n- It was not", response_metadata={"finish_reason": "length"})
    refused = AIMessage("", additional_kwargs={"refusal": "no"})
    model = fake.GenericFakeChatModel(messages=iter([AIMessage(blocks), cut, refused]))
    s = summarizer(model)
    whole = s.update(None, HISTORY, 300, COUNTER)
    assert whole.written and [x.text for x in whole.facts] == ["Order ORD-1234 was shipped on 2024-05-20."]
    assert [x.text for x in s.update(None, HISTORY, 300, COUNTER).facts] == [x.text for x in whole.facts]
    assert extracted(s.update(None, HISTORY, 300, COUNTER), "refused")


def test_a_langchain_model_that_fails_or_stalls() -> None:
    fake = chat_models()
    broken = fake.FakeListChatModel(responses=["GOAL:"], error_on_chunk_number=0)
    for summary in both_ways(summarizer(broken)):
        assert extracted(summary, "FakeListChatModel failed")
    for summary in both_ways(summarizer(fake.GenericFakeChatModel(messages=iter([])))):
        assert extracted(summary, "GenericFakeChatModel failed")
    slow = summarizer(fake.FakeListChatModel(responses=[ANSWER], sleep=5), timeout=0.2)
    start = time.monotonic()
    for summary in both_ways(slow):
        assert extracted(summary, "no answer within")
    assert time.monotonic() - start < 4.9


def test_the_summary_does_not_leak_into_langgraphs_stream() -> None:
    fake = chat_models()
    graphs = pytest.importorskip("langgraph.graph")
    s = summarizer(fake.GenericFakeChatModel(messages=iter([ANSWER] * 4)))
    answers = fake.GenericFakeChatModel(messages=iter(["Your order is on its way."] * 4))
    found: list[Summary] = []

    def node(state: Any) -> Any:
        found.append(s.update(None, HISTORY, 300, COUNTER))
        return {"messages": [answers.invoke(state["messages"])]}

    async def anode(state: Any) -> Any:
        found.append(await asyncio.to_thread(s.update, None, HISTORY, 300, COUNTER))
        return {"messages": [await answers.ainvoke(state["messages"])]}

    def graph(step: Any) -> Any:
        built = graphs.StateGraph(graphs.MessagesState)
        built.add_node("step", step)
        built.add_edge(graphs.START, "step")
        return built.compile()

    async def streamed() -> str:
        chunks = graph(anode).astream({"messages": [("human", "hi")]}, stream_mode="messages")
        return "".join([chunk.content async for chunk, _ in chunks])

    sync = "".join(c.content for c, _ in graph(node).stream({"messages": [("human", "hi")]}, stream_mode="messages"))
    assert sync == asyncio.run(streamed()) == "Your order is on its way."
    assert [x.written for x in found] == [True, True]


# A server


class Server(http.server.ThreadingHTTPServer):
    """Answers POST /v1/chat/completions by `script`: a callable from the request's body to (status, bytes)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: Any = lambda body: (200, completion(ANSWER))
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        status, data = self.server.script(body)
        try:
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("location", f"{self.server.url}/chat/completions")
            if isinstance(data, bytes):
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            else:
                self.end_headers()
                for part in data:
                    self.wfile.write(part)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *args: Any) -> None:
        pass


def completion(content: Any, why: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": why, "message": {"role": "assistant", "content": content, **message}}
    return json.dumps({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join(60)


@needs_httpx
def test_an_openai_compatible_server_writes(server: Server) -> None:
    for summary in both_ways(summarizer(f"{server.url}#org/some-model", api_key="sk-secret", max_tokens=321)):
        assert summary.written and summary.facts
    path, headers, body = server.seen[0]
    assert path == "/v1/chat/completions" and headers["authorization"] == "Bearer sk-secret"
    assert body["model"] == "org/some-model" and body["max_tokens"] == 321 and body["temperature"] == 0
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert SAID in body["messages"][1]["content"] and SAID not in body["messages"][0]["content"]


@needs_httpx
def test_the_key_comes_from_the_environment_and_is_told_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-env\n")
    server.script = lambda body: (401, b"Incorrect API key provided: sk-from-env.")
    s = summarizer(f"{server.url}#m")
    for summary in both_ways(s):
        assert extracted(summary, "m at 127.0.0.1 answered 401: Incorrect API key provided: ***.")
    assert server.seen[0][1]["authorization"] == "Bearer sk-from-env"
    assert "sk-from-env" not in caplog.text + repr(s) + repr(vars(s)["_llm"])
    monkeypatch.delenv("OPENAI_API_KEY")
    summarizer(f"{server.url}#m").update(None, HISTORY, 300, COUNTER)
    assert "authorization" not in server.seen[-1][1]


def endless() -> Iterator[bytes]:
    for _ in range(300):
        yield b" "
        time.sleep(0.02)


@needs_httpx
@pytest.mark.parametrize(
    ("status", "data", "why"),
    [
        (500, b"Internal Server Error", "answered 500"),
        (429, b'{"error": {"message": "Rate limit"}}', "answered 429"),
        (307, b"", "answered 307"),
        (200, b"", "is not a chat completion"),
        (200, b"\x00\xff garbage", "is not a chat completion"),
        (200, b"[]", "is not a chat completion"),
        (200, b'{"choices": []}', "is not a chat completion"),
        (200, b'{"error": {"message": "overloaded"}}', "is not a chat completion"),
        (200, completion(""), "answer is empty"),
        (200, completion(None), "answer is empty"),
        (200, completion(7), "is int, not text"),
        (200, completion(None, refusal="I will not"), "refused"),
        (200, completion("GOAL:", "content_filter"), "content filter"),
        (200, completion("I'm sorry, I can't do that."), "refused"),
        (200, completion("x" * (3 << 20)), "more than"),
        (200, completion("FACTS:\n- The order ORD-9999 is lost."), "could be verified"),
    ],
)
def test_a_server_that_fails(server: Server, status: int, data: bytes, why: str) -> None:
    server.script = lambda body: (status, data)
    assert extracted(summarizer(f"{server.url}#m", api_key="").update(None, HISTORY, 300, COUNTER), why)
    assert len(server.seen) == 1  # no redirect followed, no retry


@needs_httpx
@pytest.mark.parametrize("slow", [lambda body: late(6, (200, completion(ANSWER))), lambda body: (200, endless())])
def test_a_server_that_stalls_or_dribbles(server: Server, slow: Any) -> None:
    server.script = slow
    s = summarizer(f"{server.url}#m", timeout=0.3, api_key="")
    start = time.monotonic()
    for summary in both_ways(s):
        assert extracted(summary, "failed:")
    assert time.monotonic() - start < 5.9


@needs_httpx
def test_nobody_is_there() -> None:
    assert extracted(
        summarizer("http://127.0.0.1:9/v1#m", timeout=5).update(None, HISTORY, 300, COUNTER), "ConnectError"
    )


@needs_httpx
def test_what_newer_models_want_is_tried_once(server: Server) -> None:
    def picky(body: dict[str, Any]) -> tuple[int, bytes]:
        for name in ("max_tokens", "temperature"):
            if name in body:
                return 400, json.dumps({"error": {"message": f"Unsupported parameter: '{name}'"}}).encode()
        return 200, completion(ANSWER)

    server.script = picky
    assert summarizer(f"{server.url}#o3", api_key="").update(None, HISTORY, 300, COUNTER).written
    assert len(server.seen) == 3 and server.seen[-1][2]["max_completion_tokens"] == 600
    server.script = lambda body: (400, b"max_tokens, temperature: no")
    assert extracted(summarizer(f"{server.url}#o3", api_key="").update(None, HISTORY, 300, COUNTER), "answered 400")


@needs_httpx
def test_an_answer_that_was_cut_off_loses_its_last_line(server: Server) -> None:
    server.script = lambda body: (200, completion(f"{ANSWER}\n- The order was not", "length"))
    summary = summarizer(f"{server.url}#m", api_key="").update(None, HISTORY, 300, COUNTER)
    assert [x.text for x in summary.facts] == ["Order ORD-1234 was shipped on 2024-05-20."]


@needs_httpx
def test_text_that_utf8_cannot_write_is_sent_all_the_same(server: Server) -> None:
    odd = [*HISTORY, Passage("odd \ud800 text \x00 here", "tool_result", "t\ud800", "")]
    assert summarizer(f"{server.url}#m", api_key="").update(None, odd, 300, COUNTER).written


# llama.cpp


@needs_llama
def test_the_tiny_model_writes_or_gives_way() -> None:
    """It is far too small to summarise: what counts is that llama.cpp really ran and nothing unproven came out."""
    s = summarizer(f"gguf:{TINY}", max_tokens=60)
    for summary in both_ways(s):
        assert summary and "window is too small" not in " ".join(summary.warnings)
        for _, line in summary.lines():
            assert line.text and "ORD-9999" not in line.text
        assert summary.written or extracted(summary, "tiny.gguf failed")


@needs_llama
def test_a_llama_of_the_callers_is_asked_and_stops_in_time(tmp_path: Path) -> None:
    import llama_cpp

    from compressor.sessions.summaries.llm import SummaryLLMError
    from compressor.sessions.summaries.llm_llama_cpp import LlamaCppLLM
    from compressor.sessions.summaries.prompt import build_prompt

    llama = llama_cpp.Llama(str(TINY), n_ctx=512, verbose=False)
    writer = LlamaCppLLM(llama)
    prompt = build_prompt([], HISTORY, 40, short=True)
    answer = writer.write(prompt, 24, 30)
    assert len(answer.text) > 20 and answer == writer.write(prompt, 24, 30)  # greedy: the same again
    room, count = writer.prompt_budget(COUNTER.count, 24)
    assert room == 512 - 24 - 32 and count("a b c") == len(llama.tokenize(b"a b c", add_bos=False))
    with pytest.raises(SummaryLLMError):
        writer.write(prompt, 100, 0.0)
    assert writer.write(prompt, 24, 30) == answer  # and goes on as if nothing had been
    full = [Passage("word " * 3000, "assistant", None, "")]
    assert summarizer(llama, max_tokens=40).update(None, full, 100, COUNTER)
    llama.metadata["tokenizer.chat_template"] = "{{ messages }}"  # as models made for chat have one
    llama.chat_handler, llama.chat_format = None, "chatml"
    chat = writer.write(prompt, 12, 30)
    assert chat.text and not chat.text.startswith("GOAL") and chat != answer
    llama.close()


@needs_llama
def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the model"):
        summarizer(f"gguf:{tmp_path / 'none.gguf'}")
    (tmp_path / "bad.gguf").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="not a GGUF"):
        summarizer(f"gguf:{tmp_path / 'bad.gguf'}")
    (tmp_path / "cut.gguf").write_bytes(TINY.read_bytes()[:5000])
    assert extracted(summarizer(f"gguf:{tmp_path / 'cut.gguf'}").update(None, HISTORY, 300, COUNTER), "cannot load")


# What is no writer


def test_what_is_no_writer_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def later(prompt: str) -> str:
        return prompt

    for bad in ("gpt-4o", 7, later, "http://host/v1", "http:///v1#m", "http://user:pass@host/v1#m"):
        with pytest.raises(CompressorError):
            summarizer(bad)
    with pytest.raises(CompressorError) as caught:
        summarizer("http://host/v1#m", api_key="sk-se cret")
    assert "cret" not in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(MissingDependencyError, match="openai"):
        summarizer("http://host/v1#m")
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    with pytest.raises(MissingDependencyError, match="llama"):
        summarizer(f"gguf:{TINY}")


def test_a_function_that_gives_no_text() -> None:
    for summary in both_ways(summarizer(lambda prompt: 7)):
        assert extracted(summary, "returned int")
    gc.collect()
