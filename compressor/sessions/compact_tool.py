"""The tool with which an agent plans the compactions of its conversation itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.errors import CompressorError

COMPACT_TOOL_NAME = "compact_now"
COMPACT_DESCRIPTION = (
    "Shortens the older part of this conversation before your next step; removed text stays available. Call this when "
    "a part of your task is finished."
)
COMPACT_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
COMPACT_ANSWER = (
    "The older part of this conversation will be shortened before your next step, unless that saves too little, and "
    "what is removed stays available behind its refs."
)


@dataclass(frozen=True)
class CompactTool:
    """The tool `compact_now`: a schema for the model, and the answers to its calls.

    The tool round of the call is still open when it is answered, and only closed rounds can leave a view. So the call
    asks for a compaction, and the next view makes it.

    Attributes:
        request_compaction: Asks for a compaction, such as `Conversation.request_compaction`.
        name: The name of the tool.
    """

    request_compaction: Callable[[], None]
    name: str = COMPACT_TOOL_NAME

    def schema(self, dialect: str = "openai_chat") -> dict[str, Any]:
        """Returns the tool's schema, see `ExpandTool.schema`."""
        return function_schema(dialect, self.name, COMPACT_DESCRIPTION, COMPACT_PARAMETERS)

    def answer(self, arguments: Mapping[str, Any] | str | None = None) -> str:
        """Returns the tool result for a call of the model, a sentence that says what will happen; never raises.

        Args:
            arguments: Ignored, because there are none.
        """
        try:
            self.request_compaction()
        except CompressorError as error:
            return f"Not shortened: {error}"
        return COMPACT_ANSWER
