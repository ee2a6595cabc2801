"""LangChain's document compressor and the summarizer function, each driven by LangChain's own classes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import ValidationError

from compressor import BudgetError, Compressor, CompressorError
from compressor.context.refs import find_refs
from compressor.storage.memory import MemoryStore
from compressor.testing import ScriptedChatModel, call
from compressor.tokens import get_counter
from compressor_agents.langchain import ContextDocumentCompressor, compressor_summarizer
from support.langchain_agents import create_agent
from support.property_tests import given, settings, st

FILLER = "The weather in the valley was mild and the road was dry. Nobody came by on that day. "
NAMES = ("north", "east", "south", "west")


def _documents() -> list[Document]:
    fact = "Pump 4 leaks at valve V-221 since 2024-05-03. "
    return [
        Document(
            page_content=FILLER * 6 + (fact if name == "south" else "") + FILLER * 6,
            metadata={"source": f"{name}.txt", "score": {"bm25": 0.5}},
            id=f"doc-{name}",
        )
        for name in NAMES
    ]


def _compressor(**options: Any) -> ContextDocumentCompressor:
    return ContextDocumentCompressor(**{"compressor": Compressor(store="memory"), **options})


def test_keeps_what_answers_within_the_budget() -> None:
    documents, engine = _documents(), Compressor(store="memory")
    kept = _compressor(compressor=engine, budget=120).compress_documents(documents, "Which pump leaks?")
    assert any("V-221" in document.page_content for document in kept)
    assert sum(get_counter(None).count(document.page_content) for document in kept) <= 120
    by_id = {document.id: document for document in documents}
    for document in kept:
        original = by_id[document.id]
        assert {k: v for k, v in document.metadata.items() if k != "compressor_refs"} == original.metadata
        if document.page_content != original.page_content:
            (ref,) = document.metadata["compressor_refs"]
            assert engine.expand(ref) == original.page_content
    assert [d.id for d in kept] == [d.id for d in documents if d.id in {k.id for k in kept}]
    assert documents == _documents(), "the given documents were written to"


def test_what_has_nothing_kept_is_left_out() -> None:
    kept = _compressor(budget=45).compress_documents(_documents(), "Which pump leaks?")
    assert "doc-south" in [document.id for document in kept]
    assert len(kept) < len(NAMES)
    assert all(document.page_content for document in kept)


def test_what_fits_comes_back_as_it_was() -> None:
    documents = _documents()
    kept = _compressor(budget=100_000).compress_documents(documents, "Which pump leaks?")
    assert all(a is b for a, b in zip(kept, documents, strict=True))
    assert _compressor().compress_documents([], "x") == []


def test_async_says_the_same() -> None:
    compressor = _compressor(budget=0.3)
    one = compressor.compress_documents(_documents(), "Which pump leaks?")
    assert asyncio.run(compressor.acompress_documents(_documents(), "Which pump leaks?")) == one


def test_in_a_retrieval_chain() -> None:
    class Retriever(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return _documents()

    compressor = _compressor(budget=150)
    chain: Any = RunnableLambda(lambda query: compressor.compress_documents(Retriever().invoke(query), query))
    assert "V-221" in "".join(document.page_content for document in chain.invoke("Which pump leaks?"))


class BrokenStore(MemoryStore):
    """A store whose disk is full."""

    def put_many(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("disk full")

    put = put_many


def test_fails_open_unless_told_not_to(caplog: pytest.LogCaptureFixture) -> None:
    documents = _documents()
    broken = Compressor(store=BrokenStore())
    open_ = _compressor(compressor=broken, budget=100)
    with caplog.at_level(logging.WARNING):
        assert open_.compress_documents(documents, "Which pump leaks?") == documents
    assert "disk full" in open_.warnings[0]
    assert "4 documents were not compressed" in caplog.text
    with pytest.raises(OSError, match="disk full"):
        _compressor(compressor=broken, budget=100, fail_open=False).compress_documents(documents, "Which pump leaks?")


@pytest.mark.parametrize("budget", [0, -1, 1.5, True, float("nan"), "many"])
def test_a_budget_that_is_none_is_refused_at_once(budget: Any) -> None:
    with pytest.raises(ValidationError, match="budget"):
        _compressor(budget=budget)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(max_size=300), min_size=1, max_size=6),
    st.integers(30, 200),
    st.text(max_size=30),
)
def test_never_above_the_budget_never_out_of_order(texts: list[str], budget: int, query: str) -> None:
    documents = [Document(page_content=text * 5, metadata={"n": n}) for n, text in enumerate(texts)]
    compressor = _compressor(budget=budget, fail_open=False)
    kept = compressor.compress_documents(documents, query)
    numbers = [document.metadata["n"] for document in kept]
    assert numbers == sorted(set(numbers))
    if any(a is not b for a, b in zip(kept, documents, strict=False)):
        assert get_counter(None).count("\n\n".join(d.page_content for d in kept)) <= budget


# The summarizer


def _history(rounds: int = 6) -> list[Any]:
    messages: list[Any] = [HumanMessage("Find the leaking pump. Never order parts above 300 EUR.", id="h1")]
    for i in range(rounds):
        asked = {"name": "search", "args": {"query": f"pump {i}"}, "id": f"c{i}", "type": "tool_call"}
        text = FILLER * 10 + (f"Pump {i} leaks at valve V-221. " if i == 3 else f"Pump {i} is fine. ") + FILLER * 10
        messages += [AIMessage("", tool_calls=[asked]), ToolMessage(text, tool_call_id=f"c{i}")]
    return messages


@pytest.mark.parametrize("budget", [150, 400, 1_500])
def test_a_summary_keeps_the_budget_and_the_users_words(budget: int) -> None:
    engine = Compressor(store="memory")
    text = compressor_summarizer(budget, compressor=engine)(_history())
    assert get_counter(None).count(text) <= budget
    assert "Never order parts above 300 EUR." in text
    refs = find_refs(text)
    assert refs
    assert all(engine.expand(ref) for ref in refs)
    if budget >= 400:
        assert 'Call: search(query="pump 3")' in text
        assert "Result of search: " in text


def test_a_short_history_is_its_own_summary() -> None:
    text = compressor_summarizer(500)([HumanMessage("Hello"), AIMessage("Hi.")])
    assert text == "User: Hello\nAssistant: Hi."


def test_an_earlier_summary_is_cut_again() -> None:
    """As a user message it would be pinned, and each summary would have less room than the one before."""
    engine = Compressor(store="memory")
    summarize = compressor_summarizer(300, compressor=engine)
    text = ""
    for step in range(5):
        earlier = HumanMessage(
            f"Here is a summary of the conversation to date:\n\n{text}",
            additional_kwargs={"lc_source": "summarization"},
        )
        text = summarize([*([earlier] if step else []), *_history(4)])
        assert get_counter(None).count(text) <= 300
        assert "Never order parts above 300 EUR." in text


def test_what_is_no_conversation_is_cut_as_text() -> None:
    text = compressor_summarizer(120, compressor=Compressor(store="memory"))(
        [ToolMessage(FILLER * 20 + "Pump 4 leaks at valve V-221.", tool_call_id="nobody")]
    )
    assert text
    assert get_counter(None).count(text) <= 120


def test_a_summary_that_cannot_be_cut_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    history = _history()
    with caplog.at_level(logging.WARNING):
        text = compressor_summarizer(200, compressor=Compressor(store=BrokenStore()))(history)
    assert all(message.text in text for message in history)
    assert "disk full" in caplog.text


def test_budgets_that_are_none_are_refused_at_once() -> None:
    for budget in (0, True, 1.5):
        with pytest.raises(BudgetError):
            compressor_summarizer(budget)  # type: ignore[arg-type]
    for budget in (0.5, 10):
        with pytest.raises(CompressorError):
            compressor_summarizer(budget)  # type: ignore[arg-type]


@tool
def search(query: str) -> str:
    """Searches the log."""
    return f"{query}: " + FILLER * 12


@pytest.mark.parametrize("is_async", [False, True])
def test_in_langchains_own_summarization_middleware(is_async: bool) -> None:
    model = ScriptedChatModel(script=[*(call("search", query=f"pump {i}") for i in range(8)), "None leaks."])
    middleware: Any = SummarizationMiddleware(
        model,
        trigger=("tokens", 1_500),
        keep=("messages", 2),
        summarizer=compressor_summarizer(300, compressor=Compressor(store="memory")),
        trim_tokens_to_summarize=None,
    )
    agent = create_agent(model, [search], middleware=[middleware])
    given = {"messages": "Which pump leaks?"}
    out = asyncio.run(agent.ainvoke(given)) if is_async else agent.invoke(given)
    assert out["messages"][-1].content == "None leaks."
    summaries = [m for r in model.requests for m in r.messages if m.additional_kwargs.get("lc_source")]
    assert summaries
    assert all("User: Which pump leaks?" in str(m.content) for m in summaries)
    assert max(request.tokens() for request in model.requests) < 3_000
