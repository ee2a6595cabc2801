"""Summarises what leaves a session's view: a model writes and each line is verified, or sentences are extracted.

from compressor.sessions.summaries import Passage, summarizer

s = summarizer("http://localhost:8000/v1#qwen3-8b")  # or a LangChain chat model, "gguf:path", a function, None
summary = s.update(None, [Passage("Fix the login bug.", "user", None, ref)], 400, get_counter("gpt-4o"))
summary.text(400, get_counter("gpt-4o")), summary.written, summary.warnings
"""

from __future__ import annotations

from compressor.sessions.summaries.passage import Passage
from compressor.sessions.summaries.summarizer import Summarizer, summarizer
from compressor.sessions.summaries.summary import Summary, SummaryLine

__all__ = ["Passage", "Summarizer", "Summary", "SummaryLine", "summarizer"]
