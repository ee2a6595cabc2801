"""Sessions of long-running agents: what is sent stays byte-stable, and is compacted when that pays.

session.py       a conversation in the store: restarts, several workers
conversation.py  the same without a store of its own
birth.py         tool results, once, when they are born
compaction.py    the history, rarely
economy.py       when
replay.py        the bill of a recorded session
archive.py, expand.py, recall.py  what was cut, and the way back to it
"""

from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_replay import ReplayReport, replay
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool
from compressor.sessions.policy import Policy, ToolRule
from compressor.sessions.session import Session

__all__ = ["Conversation", "CostReport", "ExpandTool", "Policy", "ReplayReport", "Session", "ToolRule", "replay"]
