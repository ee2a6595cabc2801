"""A local model provider that plays a script: real HTTP on a free loopback port, no model behind it.

Speaks `/v1/chat/completions`, `/v1/responses` and `/v1/messages`, whole and streamed (SSE; texts word by word, tool
arguments in pieces). It refuses with 400 what a provider would refuse (a tool call without its result, a result
without its call, a tool schema that is none), bills a prompt cache by the bytes a request shares with an earlier
one, and notes in `problems` every request that does not extend the one before it. It knows nothing of the compressor.

    with ScriptedServer([Reply(calls=[Call("search", {"q": "x"})]), Reply("done"), Fail(429)]) as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="any")
        ...
        assert not server.problems and len(server.requests) == 3
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.scripted_chat import ChatWire
from support.scripted_messages import AnthropicWire
from support.scripted_responses import ResponsesWire
from support.scripted_wire import Call, Fail, Reply, Usage, Wire, refusal

__all__ = ["Call", "Fail", "Reply", "Request", "ScriptedServer", "Usage"]

_WIRES: dict[str, Wire] = {
    "/v1/chat/completions": ChatWire(),
    "/v1/responses": ResponsesWire(),
    "/v1/messages": AnthropicWire(),
}
FRESH = 2  # a new conversation has at most its tools and its first message in common with another
Step = Reply | Fail | Callable[["Request"], "Reply | Fail"]


@dataclass(frozen=True)
class Request:
    """One request as it arrived. `messages` and `tools` are the body's, whatever the wire form calls them."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    wire: Wire = field(repr=False)

    @property
    def messages(self) -> list[Any]:
        """The conversation, a system prompt held apart in front of it."""
        return self.wire.conversation(self.body)

    @property
    def tools(self) -> list[str]:
        """The names of the tools offered, in order."""
        return [self.wire.tool(tool)[0] for tool in self.body.get("tools") or ()]

    @property
    def prefix(self) -> list[bytes]:
        """What a prompt cache would look at: tools, then system prompt, then messages, each in its bytes."""
        parts = [self.body.get("tools") or [], *self.messages]
        return [json.dumps(part, ensure_ascii=False).encode() for part in parts]


class ScriptedServer:
    """Plays `script`, one step a request, in order; a step may be a function of the request.

    extends: what each request's prefix has to extend, byte for byte, else it is noted in `problems`: the request
    before it ("previous"); any earlier one, unless it is a new conversation ("any"); or nothing (None).
    """

    def __init__(self, script: Sequence[Step] = (), extends: Literal["previous", "any"] | None = "previous") -> None:
        self.script, self.extends = list(script), extends
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> ScriptedServer:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = Starlette(routes=[Route(path, self._answer, methods=["POST"]) for path in _WIRES])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the scripted server did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None and self._thread is not None
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def left(self) -> int:
        """Steps of the script not played yet."""
        return len(self.script)

    async def _answer(self, http: HttpRequest) -> Response:
        body = json.loads(await http.body())
        return await run_in_threadpool(self._play, http.url.path, dict(http.headers), body)

    def _play(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Response:
        wire = _WIRES[path]
        request = Request(path, headers, body, wire)
        with self._lock:
            wrong = refusal(wire, body)
            cached = self._note(request)
            if wrong:
                self.problems.append(f"request {len(self.requests) - 1}: {wrong}")
                return _failed(wire, Fail(400, wrong))
            if not self.script:
                self.problems.append(f"request {len(self.requests) - 1}: the script is over")
                return _failed(wire, Fail(400, "the script is over"))
            step = self.script.pop(0)
            number = len(self.requests)
        try:
            reply = step if isinstance(step, (Reply, Fail)) else step(request)
        except Exception as error:
            self.problems.append(f"request {number - 1}: its step raised {error!r}")
            return _failed(wire, Fail(400, repr(error)))
        if isinstance(reply, Fail):
            return _failed(wire, reply)
        usage = reply.usage or Usage(sum(map(len, request.prefix)) // 4, cached // 4, reply.size // 4)
        if not body.get("stream"):
            return JSONResponse(wire.whole(reply, number, usage, body))
        return StreamingResponse(self._stream(wire, reply, number, usage, body), media_type="text/event-stream")

    def _note(self, request: Request) -> int:
        """Records a request; gives how many of its bytes an earlier one had in its prefix."""
        earlier = [seen for seen in self.requests if seen.path == request.path]
        self.requests.append(request)
        shared = [_shared(seen.prefix, request.prefix) for seen in earlier]
        against = {"previous": earlier[-1:], "any": earlier, None: []}[self.extends]
        at = max((_shared(seen.prefix, request.prefix) for seen in against), default=0)
        fresh = self.extends == "any" and at <= FRESH
        if not fresh and all(_shared(seen.prefix, request.prefix) < len(seen.prefix) for seen in against) and against:
            what = "the tools" if at == 0 else f"message {at - 1}"
            self.problems.append(f"request {len(self.requests) - 1}: not an extension, it departs at {what}")
        return sum(map(len, request.prefix[: max(shared, default=0)]))

    @staticmethod
    def _stream(wire: Wire, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> Iterator[str]:
        for count, event in enumerate(wire.events(reply, number, usage, body)):
            if reply.breaks_after is not None and count >= reply.breaks_after:
                raise ConnectionError("the script breaks the stream here")
            yield wire.sse(event)
        yield wire.end


def _shared(old: list[bytes], new: list[bytes]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _failed(wire: Wire, fail: Fail) -> Response:
    return JSONResponse(wire.error(fail), fail.status, headers=dict(fail.headers))
