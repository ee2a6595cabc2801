"""Summaries of what leaves a session's view: written by a model and verified, or extracted; a reducer beside pruning.

from compressor.sessions.summaries import Passage, summarizer

s = summarizer("http://localhost:8000/v1#qwen3-8b")       # a LangChain chat model, "gguf:path", a function, None
summary = s.update(None, [Passage("Fix the login bug.", "user", None, ref)], 400, counter_for("gpt-4o"))
summary.text(400, counter_for("gpt-4o")), summary.written, summary.warnings
"""

from __future__ import annotations

from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.summarizer import Summarizer, summarizer
from compressor.sessions.summaries.summary import Summary, SummaryLine

__all__ = ["Passage", "Summarizer", "Summary", "SummaryLine", "summarizer"]
