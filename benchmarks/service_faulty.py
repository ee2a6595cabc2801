"""A provider in its own process that fails on request. It answers with the text of the request's last message.

    python -m benchmarks.service_faulty        # prints its port

The header `x-fault` says how: 429, 500, reset (closes the connection without an answer), stall (does not answer), half
(closes the connection in the middle of the answer, streamed or whole). Without it, the answer is complete.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any


def whole(words: str) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": words}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    head: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return json.dumps(head | {"choices": [choice], "usage": usage}).encode()


def streamed(words: str) -> bytes:
    """The same completion as a stream of events."""
    out = []
    for word in [*words.split(" "), None]:
        delta = {"content": word + " "} if word is not None else {}
        choice = {"index": 0, "delta": delta, "finish_reason": None if word is not None else "stop"}
        data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
        out.append(f"data: {json.dumps(data)}\n\n")
    return "".join([*out, "data: [DONE]\n\n"]).encode()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            if not await _say(writer, headers.get("x-fault", ""), body):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def _say(writer: asyncio.StreamWriter, fault: str, body: dict[str, Any]) -> bool:
    """Serves a request; returns whether the connection can be used again."""
    if fault == "reset":
        return False
    if fault == "stall":
        await asyncio.sleep(3600)
    words = f"You said: {body['messages'][-1]['content']}"
    stream = bool(body.get("stream"))
    said = streamed(words) if stream else whole(words)
    status = "200 OK"
    if fault in ("429", "500"):
        status = {"429": "429 Too Many Requests\r\nretry-after: 7", "500": "500 Internal Server Error"}[fault]
        said, stream = json.dumps({"error": {"message": f"fault {fault}", "type": "scripted"}}).encode(), False
    kind = "text/event-stream" if stream else "application/json"
    writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(said)}\r\n\r\n".encode())
    writer.write(said[: len(said) // 2] if fault == "half" else said)
    await writer.drain()
    return fault != "half"


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=2**26)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
