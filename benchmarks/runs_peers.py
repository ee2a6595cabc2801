"""Runs other packages unchanged: LangChain's two middlewares, called with a scripted model, and llmslim.

The table says "not installed" for a missing package.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.runs_methods import SUMMARY_TOKENS, WINDOW, Method, Run, extract
from benchmarks.tokens import Message, count, encoding, message_text


class LangChain(Run):
    """Converts messages to LangChain's, with ids that lead back, so that unchanged messages keep their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[str, Message] = {}
        self.system: Any = None
        self.state: list[Any] = []

    def add_messages(self, new: list[Message]) -> None:
        """Adds messages to the agent's state, but not the system prompt, as in LangChain's agents."""
        from langchain_core.messages import convert_to_messages

        for message, converted in zip(new, convert_to_messages(new), strict=True):
            converted.id = f"m{len(self._given)}"
            self._given[converted.id] = message
            if message["role"] == "system":
                self.system = converted
            else:
                self.state.append(converted)

    def as_openai(self, view: list[Any]) -> list[Message]:
        out: list[Message] = []
        for message in view:
            given = self._given.get(message.id)
            if given is None:
                out.append({"role": "user", "content": message.text})
            elif message.type == "tool" and message.content != given["content"]:
                out.append({**given, "content": message.content})
            else:
                out.append(given)
        return out


class Summarization(LangChain):
    """Calls `SummarizationMiddleware.before_model`.

    trigger: tokens; None: its default. keep: tokens that it keeps; None: its default, 20 messages.
    """

    def __init__(self, trigger: int | None, keep: int | None = None) -> None:
        super().__init__()
        middleware = import_module("langchain.agents.middleware")
        when = ("tokens", trigger) if trigger else None
        kept = {"keep": ("tokens", keep)} if keep else {}
        self.middleware: Any = middleware.SummarizationMiddleware(model=scripted(self.calls), trigger=when, **kept)

    def step(self, new: list[Message]) -> list[Any]:
        from langgraph.graph.message import add_messages

        self.add_messages(new)
        update = self.middleware.before_model({"messages": self.state}, None)
        if update:
            self.state = list(add_messages(self.state, update["messages"]))
            self.rewrites += 1
        return [*([self.system] if self.system else []), *self.state]


class Editing(LangChain):
    """Calls `ContextEditingMiddleware.wrap_model_call` with `ClearToolUsesEdit`. trigger: tokens; None: its default."""

    def __init__(self, trigger: int | None) -> None:
        super().__init__()
        self._m = import_module("langchain.agents.middleware")
        edit = self._m.ClearToolUsesEdit(trigger=trigger) if trigger else self._m.ClearToolUsesEdit()
        self.middleware: Any = self._m.ContextEditingMiddleware(edits=[edit])
        self.model = scripted(self.calls)

    def step(self, new: list[Message]) -> list[Any]:
        from langchain_core.messages import AIMessage

        self.add_messages(new)
        sent: list[Any] = []

        def handler(request: Any) -> Any:
            sent.extend([*([request.system_message] if request.system_message else []), *request.messages])
            return AIMessage("")

        request = self._m.ModelRequest(model=self.model, messages=list(self.state), system_message=self.system)
        self.middleware.wrap_model_call(request, handler)
        return sent


def scripted(calls: list[tuple[int, int]]) -> Any:
    """Returns a LangChain chat model that answers a request for a summary by extraction, and records its calls."""
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Scripted(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def _generate(self, messages: list[Any], stop: Any = None, run_manager: Any = None, **more: Any) -> ChatResult:
            prompt = "\n".join(m.text for m in messages)
            text = extract(prompt.partition("Messages to summarize:")[2] or prompt, SUMMARY_TOKENS)
            calls.append((count(prompt), count(text)))
            return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    return Scripted()


class LlmSlim(Run):
    """Calls llmslim's `fit_history` before every call, within 80 % of the window; ten messages are `recent`."""

    BUDGET = int(0.8 * WINDOW)
    RECENT = 10

    def __init__(self) -> None:
        super().__init__()
        encoding()  # tiktoken then has the vocabulary, and llmslim counts with it
        self._m = import_module("llmslim.integrations._history")

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        last = len(self.messages) - self.RECENT
        items = [
            self._m.HistoryItem(
                text=message_text(m),
                role=m["role"] if m["role"] in ("tool", "assistant", "user") else "general",
                protected=m["role"] in ("system", "user") or bool(m.get("tool_calls")),
                recent=i >= last,
            )
            for i, m in enumerate(self.messages)
        ]
        fit = self._m.fit_history(items, self.BUDGET)
        return [
            m if text == item.text else {**m, "content": text}
            for m, item, text in zip(self.messages, items, fit.texts, strict=True)
        ]


def _method(name: str, package: str, make: Any, slow: bool = False) -> Method:
    unavailable = "" if find_spec(package) else "not installed"
    return Method(name, lambda price: make(), slow=slow, unavailable=unavailable)


PEERS = [
    _method("llmslim", "llmslim", LlmSlim, slow=True),
    _method("LangChain summarization", "langchain", lambda: Summarization(int(0.8 * WINDOW))),
    _method("LangChain summarization (default)", "langchain", lambda: Summarization(None)),
    _method("LangChain context editing", "langchain", lambda: Editing(WINDOW // 2)),
    _method("LangChain context editing (default)", "langchain", lambda: Editing(None)),
]
