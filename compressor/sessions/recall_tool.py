"""The tool with which an agent searches what was removed from its conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.errors import BudgetError, CompressorError
from compressor.sessions.tool_arguments import WrongArgumentsError, parse_arguments, parse_max_tokens

RECALL_TOOL_NAME = "recall_context"
RECALL_DESCRIPTION = (
    "Searches all text that was removed from this conversation. Call this when no ref says where to look."
)
RECALL_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "max_tokens": {"type": "integer", "minimum": 1}},
    "required": ["query"],
    "additionalProperties": False,
}
DEFAULT_RECALL_TOKENS = 1_000  # of an answer unless more is requested: as `Conversation.recall`
NOTHING_FOUND = "Nothing found: no removed text matches. Try other words, or expand a ref of the index."


@dataclass(frozen=True)
class RecallTool:
    """The tool `recall_context`: a schema for the model, and the answers to its calls.

    Attributes:
        recall: Returns what answers a query within a number of tokens, such as `Conversation.recall`.
        name: The name of the tool.
    """

    recall: Callable[[str, int], str]
    name: str = RECALL_TOOL_NAME

    def schema(self, dialect: str = "openai_chat") -> dict[str, Any]:
        """Returns the tool's schema, see `ExpandTool.schema`."""
        return function_schema(dialect, self.name, RECALL_DESCRIPTION, RECALL_PARAMETERS)

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """Returns the tool result for a call of the model; never raises for wrong arguments.

        Args:
            arguments: The arguments of the call, as JSON text or parsed.
        """
        try:
            given = parse_arguments(arguments, "query", "the error code of the last build")
            return self.recall(str(given["query"]), parse_max_tokens(given, DEFAULT_RECALL_TOKENS)) or NOTHING_FOUND
        except (WrongArgumentsError, CompressorError, BudgetError) as error:
            return f"Not searched: {error}"
