"""Tool schemas under a budget of their own: which functions a turn needs, and how little of the others will do.

select_tools   one choice for one call (`Compressor.select_tools`)
ToolSet        a choice that stays the same over an agent's calls, with a tool that finds what was left out
"""

from __future__ import annotations

from compressor.pipeline.tools.results import ToolReport, ToolsResult
from compressor.pipeline.tools.select import select_tools
from compressor.pipeline.tools.stateful_toolset import ToolSet

__all__ = ["ToolReport", "ToolSet", "ToolsResult", "select_tools"]
