"""Compresses the conversations of long-running agents: a view stays byte-stable and is compacted when that pays.

session.py, async_session.py    a conversation in the store, for restarts and several workers
session_journal.py              its journal in the store
session_export.py               exports and imports
conversation.py                 a conversation whose state the caller keeps
message_history.py              its live messages, and what the view shows of them
tool_result_ingest.py           compresses tool results once, when their round is complete
compaction_trigger.py           decides when to compact
compactor.py, compaction.py     compact: select the history again
evicted_rounds.py, archive.py   what left the view, and who may read it again
expand_tool.py, recall.py       the ways back to it
history_files.py                what left the view as files, to grep
context_tools.py                the tools for agents: expand_tool.py, recall_tool.py, compact_tool.py
cost_report.py, cost_replay.py  what a session cost, and what a recorded one would have cost
"""

from compressor.sessions.async_session import AsyncSession
from compressor.sessions.context_tools import ContextTools
from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_replay import ReplayReport, replay
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool
from compressor.sessions.history_files import HistoryFiles
from compressor.sessions.policy import Policy, ToolRule
from compressor.sessions.session import Session

__all__ = [
    "AsyncSession",
    "ContextTools",
    "Conversation",
    "CostReport",
    "ExpandTool",
    "HistoryFiles",
    "Policy",
    "ReplayReport",
    "Session",
    "ToolRule",
    "replay",
]
