"""OpenAI chat completions, as the scripted server speaks them: see `scripted_wire.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.scripted_wire import Fail, Reply, Usage, bits, words


class ChatWire:
    """OpenAI chat completions."""

    end = "data: [DONE]\n\n"

    def conversation(self, body: dict[str, Any]) -> list[Any]:
        return list(body["messages"])

    def tool(self, tool: dict[str, Any]) -> tuple[str, Any]:
        function = tool.get("function", {})
        return function.get("name", ""), function.get("parameters", {"type": "object"})

    def pairs(self, body: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
        for message in body["messages"]:
            if message["role"] == "tool":
                yield [("result", message["tool_call_id"])]
            else:
                yield [("call", call["id"]) for call in message.get("tool_calls") or ()]

    def whole(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
        if reply.calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for call_id, call in zip(reply.ids(number), reply.calls, strict=True)
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._finish(reply), "logprobs": None}
        head = self._head(number, body) | {"object": "chat.completion"}
        return head | {"choices": [choice], "usage": self._usage(usage)}

    def events(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in words(reply.text)]
        for i, (call_id, call) in enumerate(zip(reply.ids(number), reply.calls, strict=True)):
            function = {"name": call.name, "arguments": ""}
            deltas.append({"tool_calls": [{"index": i, "id": call_id, "type": "function", "function": function}]})
            deltas += [{"tool_calls": [{"index": i, "function": {"arguments": bit}}]} for bit in bits(call.text)]
        head = self._head(number, body) | {"object": "chat.completion.chunk"}
        chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": self._finish(reply)}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(head | {"choices": [], "usage": self._usage(usage)})
        return chunks

    def sse(self, event: dict[str, Any]) -> str:
        return f"data: {json.dumps(event)}\n\n"

    def error(self, fail: Fail) -> dict[str, Any]:
        return {"error": {"message": fail.message, "type": "scripted", "param": None, "code": None}}

    @staticmethod
    def _head(number: int, body: dict[str, Any]) -> dict[str, Any]:
        return {"id": f"chatcmpl-{number}", "created": 1_700_000_000 + number, "model": body["model"]}

    @staticmethod
    def _finish(reply: Reply) -> str:
        return "tool_calls" if reply.calls else "stop"

    @staticmethod
    def _usage(usage: Usage) -> dict[str, Any]:
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
        }
