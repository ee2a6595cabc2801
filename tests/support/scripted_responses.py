"""OpenAI Responses, as the scripted server speaks them: see `scripted_wire.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.scripted_wire import Fail, Reply, Usage, bits, words


class ResponsesWire:
    """OpenAI Responses."""

    end = ""

    def conversation(self, body: dict[str, Any]) -> list[Any]:
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        return [body["instructions"], *items] if body.get("instructions") else items

    def tool(self, tool: dict[str, Any]) -> tuple[str, Any]:
        return tool.get("name", ""), tool.get("parameters", {"type": "object"})

    def pairs(self, body: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
        step: list[tuple[str, str]] = []
        for item in body["input"] if isinstance(body["input"], list) else ():
            kind = item.get("type", "message")
            if kind in ("function_call", "function_call_output"):
                step.append(("call" if kind == "function_call" else "result", item["call_id"]))
            elif kind == "message" and item.get("role") != "assistant" and step:
                yield step
                step = []
        yield step

    def whole(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> dict[str, Any]:
        return self._response(number, body, self._items(reply, number), usage)

    def events(self, reply: Reply, number: int, usage: Usage, body: dict[str, Any]) -> list[dict[str, Any]]:
        items = self._items(reply, number)
        begun = self._response(number, body, [], None)
        found = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
        for i, item in enumerate(items):
            found += getattr(self, "_" + item["type"])(i, item)
        found.append({"type": "response.completed", "response": self._response(number, body, items, usage)})
        return [event | {"sequence_number": i} for i, event in enumerate(found)]

    def sse(self, event: dict[str, Any]) -> str:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"

    def error(self, fail: Fail) -> dict[str, Any]:
        return {"error": {"message": fail.message, "type": "scripted", "param": None, "code": None}}

    @staticmethod
    def _items(reply: Reply, number: int) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if reply.thinking:
            summary = [{"type": "summary_text", "text": reply.thinking}]
            items.append({"type": "reasoning", "id": f"rs_{number}", "summary": summary, "encrypted_content": "c2VhbA"})
        if reply.text:
            part = {"type": "output_text", "text": reply.text, "annotations": []}
            message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
            items.append(message | {"content": [part]})
        for i, (call_id, call) in enumerate(zip(reply.ids(number), reply.calls, strict=True)):
            head = {"type": "function_call", "id": f"fc_{number}_{i}", "call_id": call_id, "status": "completed"}
            items.append(head | {"name": call.name, "arguments": call.text})
        return items

    @staticmethod
    def _reasoning(i: int, item: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"type": "response.output_item.added", "output_index": i, "item": item | {"summary": []}},
            {"type": "response.output_item.done", "output_index": i, "item": item},
        ]

    @staticmethod
    def _message(i: int, item: dict[str, Any]) -> list[dict[str, Any]]:
        where = {"output_index": i, "item_id": item["id"], "content_index": 0}
        part = item["content"][0]
        begun = item | {"status": "in_progress", "content": []}
        return [
            {"type": "response.output_item.added", "output_index": i, "item": begun},
            {"type": "response.content_part.added", **where, "part": part | {"text": ""}},
            *(
                {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
                for word in words(part["text"])
            ),
            {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **where, "part": part},
            {"type": "response.output_item.done", "output_index": i, "item": item},
        ]

    @staticmethod
    def _function_call(i: int, item: dict[str, Any]) -> list[dict[str, Any]]:
        where = {"output_index": i, "item_id": item["id"]}
        begun = item | {"status": "in_progress", "arguments": ""}
        done = {"arguments": item["arguments"], "name": item["name"]}
        return [
            {"type": "response.output_item.added", "output_index": i, "item": begun},
            *(
                {"type": "response.function_call_arguments.delta", **where, "delta": bit}
                for bit in bits(item["arguments"])
            ),
            {"type": "response.function_call_arguments.done", **where, **done},
            {"type": "response.output_item.done", "output_index": i, "item": item},
        ]

    @staticmethod
    def _response(
        number: int, body: dict[str, Any], items: list[dict[str, Any]], usage: Usage | None
    ) -> dict[str, Any]:
        billed = usage and {
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt + usage.completion,
        }
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_700_000_000 + number,
            "status": "completed" if usage else "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "model": body["model"],
            "output": items,
            "parallel_tool_calls": True,
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "metadata": {},
            "usage": billed,
        }
