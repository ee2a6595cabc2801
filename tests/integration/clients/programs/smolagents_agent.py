"""smolagents: an agent that calls a tool."""

import json
import os
from pathlib import Path

from smolagents import OpenAIServerModel, ToolCallingAgent, tool


@tool
def read_log(number: int) -> str:
    """Read a log.

    Args:
        number: Which one.
    """
    return Path(os.environ["LOGS"], f"{number}.log").read_text()


model = OpenAIServerModel(model_id="gpt-4o", api_base=os.environ["BASE_URL"] + "/v1", api_key="sk-test")
agent = ToolCallingAgent(tools=[read_log], model=model, max_steps=20, verbosity_level=0)
print(json.dumps({"answer": str(agent.run(os.environ["TASK"]))}))
