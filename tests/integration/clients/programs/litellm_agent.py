"""LiteLLM's SDK: the loop of an agent, for a model of OpenAI or Anthropic."""

import json
import os
import sys
from pathlib import Path

import litellm

MODEL = sys.argv[1]
BASE = os.environ["BASE_URL"] + ("" if MODEL.startswith("anthropic/") else "/v1")
PARAMETERS = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOL = {"type": "function", "function": {"name": "read_log", "description": "Read a log.", "parameters": PARAMETERS}}

messages = [{"role": "system", "content": "You read logs."}, {"role": "user", "content": os.environ["TASK"]}]
while True:
    parts = litellm.completion(
        model=MODEL, api_base=BASE, api_key="sk-test", messages=messages, tools=[TOOL], stream="stream" in sys.argv
    )
    answer = litellm.stream_chunk_builder(list(parts)) if "stream" in sys.argv else parts
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    if not message.tool_calls:
        break
    for call in message.tool_calls:
        number = json.loads(call.function.arguments)["number"]
        text = Path(os.environ["LOGS"], f"{number}.log").read_text()
        messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
print(json.dumps({"answer": message.content}))
