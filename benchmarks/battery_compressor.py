"""Cuts a battery case with the package."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.battery_case import BatteryCase, ChatInput, DocumentsInput, SessionInput, TextInput, ToolInput
from benchmarks.methods import MODEL, UNLIMITED
from benchmarks.tokens import Message, count
from compressor import Compressor, Session

SESSION_BUDGET = 8_000  # tokens of a view; what left it is recalled


@dataclass
class CutContext:
    """What a model would see, and whether it is over the budget."""

    text: str
    over: bool


class BatteryCompressor:
    """Cuts a case with ours."""

    def __init__(self, tier: str = "") -> None:
        self.compressor = Compressor(store="memory", scorer=tier) if tier else Compressor(store="memory")
        self._sessions: dict[str, Session] = {}

    def prepare(self, case: BatteryCase) -> None:
        """Appends a conversation to its session, which is not part of the time of a recall."""
        content = case.content
        if isinstance(content, SessionInput) and content.name not in self._sessions:
            session = self.compressor.session(content.name, model=MODEL, budget=SESSION_BUDGET)
            for message in content.messages:
                session.append(message)
            session.view()
            session.compact()
            self._sessions[content.name] = session

    def cut(self, case: BatteryCase, budget: int) -> CutContext:
        """Cuts the content of a case to a budget."""
        content = case.content
        if isinstance(content, DocumentsInput):
            text = self.compressor.compress_documents(
                list(content.documents), query=case.question, budget=budget, model=MODEL
            ).text
        elif isinstance(content, TextInput):
            text = self.compressor.compress_text(content.text, budget=budget, query=case.question, model=MODEL).text
        elif isinstance(content, SessionInput):
            text = self._sessions[content.name].recall(case.question, budget)
        else:
            return self._cut_messages(case, content, budget)
        return CutContext(text, count(text) > budget)

    def _cut_messages(self, case: BatteryCase, content: ToolInput | ChatInput, budget: int) -> CutContext:
        """Cuts a conversation. What is not scored, and the overhead of messages, is added to the budget first."""
        messages = content.messages if isinstance(content, ChatInput) else tool_messages(case.question, content)
        allowed = budget + max(0, self._billed(messages) - case.size)
        out = self.compressor.compress(messages, budget=allowed, model=MODEL).messages
        scored = out[:-1] if isinstance(content, ChatInput) else [m for m in out if m["role"] == "tool"]
        return CutContext("\n".join(m["content"] or "" for m in scored), self._billed(out) > allowed)

    def _billed(self, messages: list[Message]) -> int:
        return self.compressor.compress(messages, budget=UNLIMITED, model=MODEL).tokens_before


def tool_messages(question: str, content: ToolInput) -> list[Message]:
    """Returns a conversation of one tool call between the question and the question."""
    call = {"id": "c", "type": "function", "function": {"name": "read_file", "arguments": content.arguments}}
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": content.text},
        {"role": "user", "content": question},
    ]
