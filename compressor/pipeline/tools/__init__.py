"""Fits tool schemas into a token budget of their own: selects the tools that a turn needs and shortens the others.

select_tools   selects tools for one call (`Compressor.select_tools`)
ToolSet        keeps a selection stable over the calls of an agent, and offers a tool that finds what was left out
"""

from __future__ import annotations

from compressor.pipeline.tools.results import ToolReport, ToolsResult
from compressor.pipeline.tools.select import select_tools
from compressor.pipeline.tools.stateful_toolset import ToolSet

__all__ = ["ToolReport", "ToolSet", "ToolsResult", "select_tools"]
