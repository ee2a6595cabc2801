"""Anthropic messages, as the scripted server speaks them: see `scripted_wire.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.scripted_wire import Fail, Reply, Usage, bits, words


class AnthropicWire:
    """Anthropic messages."""

    end = ""

    def conversation(self, body: dict[str, Any]) -> list[Any]:
        return [body["system"], *body["messages"]] if body.get("system") else list(body["messages"])

    def tool(self, tool: dict[str, Any]) -> tuple[str, Any]:
        return tool.get("name", ""), tool.get("input_schema")

    def pairs(self, body: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
        for message in body["messages"]:
            blocks = message["content"] if isinstance(message["content"], list) else ()
            step = [("call", block["id"]) for block in blocks if block["type"] == "tool_use"]
            step += [("result", block["tool_use_id"]) for block in blocks if block["type"] == "tool_result"]
            yield step

    def whole(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> dict[str, Any]:
        head = self._head(number, body, usage)
        done = {"stop_reason": self._stop(reply), "usage": head["usage"] | {"output_tokens": usage.completion}}
        return head | {"content": self._blocks(reply, number)} | done

    def events(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {"type": "message_start", "message": self._head(number, body, usage)},
            {"type": "ping"},
        ]
        for i, block in enumerate(self._blocks(reply, number)):
            begun, deltas = getattr(self, "_" + block["type"])(block)
            found.append({"type": "content_block_start", "index": i, "content_block": begun})
            found += [{"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas]
            found.append({"type": "content_block_stop", "index": i})
        delta = {"stop_reason": self._stop(reply), "stop_sequence": None}
        found.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage.completion}})
        found.append({"type": "message_stop"})
        return found

    def sse(self, event: dict[str, Any]) -> str:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"

    def error(self, fail: Fail) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "scripted", "message": fail.message}}

    @staticmethod
    def _blocks(reply: Reply, number: int) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if reply.thinking:
            blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": f"sig{number}"})
        if reply.text:
            blocks.append({"type": "text", "text": reply.text, "citations": None})
        for call_id, call in zip(reply.ids(number), reply.calls, strict=True):
            blocks.append({"type": "tool_use", "id": call_id, "name": call.name, "input": json.loads(call.text)})
        return blocks

    @staticmethod
    def _thinking(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        deltas = [{"type": "thinking_delta", "thinking": word} for word in words(block["thinking"])]
        sealed = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, sealed]

    @staticmethod
    def _text(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        deltas = [{"type": "text_delta", "text": word} for word in words(block["text"])]
        return {"type": "text", "text": "", "citations": None}, deltas

    @staticmethod
    def _tool_use(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return block | {"input": {}}, [
            {"type": "input_json_delta", "partial_json": bit} for bit in bits(json.dumps(block["input"]))
        ]

    @staticmethod
    def _head(number: int, body: dict[str, Any], usage: Usage) -> dict[str, Any]:
        billed = {
            "input_tokens": usage.prompt - usage.cached,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
        head = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        return head | {"stop_reason": None, "stop_sequence": None, "usage": billed}

    @staticmethod
    def _stop(reply: Reply) -> str:
        return "tool_use" if reply.calls else "end_turn"
