"""The public methods of `Compressor`: async twins, and clear errors for arguments of the wrong type."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor import (
    BudgetError,
    BudgetTooSmallError,
    Compressor,
    CompressorError,
    ContextError,
    DeviceError,
    ExampleStore,
    StoreError,
    ToolSet,
)
from compressor.pipeline.engine import Engine
from compressor.scoring import HeuristicScorer
from compressor.storage import MemoryStore

TEXT = " ".join(f"Sentence number {i} tells of the river and of ship {i * 37}." for i in range(200))
LOG = "\n".join(f"10:{i // 60:02d}:{i % 60:02d} worker-{i % 7} step {i} done" for i in range(300))
CALL = {"id": "1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Which worker did step 7?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "content": LOG},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{i}",
            "description": f"Tells the number {i} of a ship. " * 5,
            "parameters": {"type": "object", "properties": {"ship": {"type": "string"}}},
        },
    }
    for i in range(20)
]
EXAMPLES = [{"input": f"How many pens are {i} and 2?", "output": str(i + 2)} for i in range(50)]
TWINS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Callable[[Any], Any]]] = {
    "compress": ((MESSAGES, 600), {"query": "step 7"}, lambda r: r.messages),
    "compress_text": ((TEXT,), {"budget": 200, "query": "ship 37"}, lambda r: r.text),
    "compress_documents": (([TEXT, LOG],), {"query": "ship 37", "budget": "10%"}, lambda r: r.text),
    "expand": ((), {"budget": 100}, lambda r: r),
    "select_tools": ((TOOLS, 300), {"query": "tool_3"}, lambda r: r.tools),
    "select_examples": ((EXAMPLES,), {"query": "5 and 2", "budget": 100}, lambda r: r.text),
    "example_store": (("pens",), {}, len),
}


@pytest.fixture
def c() -> Iterator[Compressor]:
    compressor = Compressor(store="memory")
    yield compressor
    compressor.close()


# -- async twins


@pytest.mark.parametrize("name", TWINS)
def test_an_async_twin_returns_what_its_method_returns(c: Compressor, name: str) -> None:
    args, options, content = TWINS[name]
    if name == "expand":
        args = (c.compress_text(TEXT, 100).dropped[0].ref,)
    expected = content(getattr(c, name)(*args, **options))

    async def results() -> list[Any]:
        return await asyncio.gather(*(getattr(c, f"a{name}")(*args, **options) for _ in range(3)))

    assert [content(result) for result in asyncio.run(results())] == [expected] * 3


def test_an_async_twin_raises_what_its_method_raises(c: Compressor) -> None:
    with pytest.raises(ContextError, match="text must be a str"):
        asyncio.run(c.acompress_text(5, 100))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        asyncio.run(c.acompress_text(TEXT, budgets=100))  # type: ignore[call-arg]


def test_every_public_method_has_an_async_twin() -> None:
    methods = {
        name: method
        for name, method in vars(Compressor).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    twins = {name for name, method in methods.items() if inspect.iscoroutinefunction(method)}
    assert twins == {f"a{name}" for name in methods.keys() - twins}
    for name in twins:
        twin, method = methods[name], methods[name[1:]]
        assert twin.__name__ == name and twin.__doc__ and twin.__doc__ != method.__doc__
        assert inspect.signature(twin) == inspect.signature(method)


def test_an_async_session_is_the_same_session(c: Compressor) -> None:
    pytest.importorskip("compressor.sessions.async_session")

    async def view() -> list[Any]:
        session = await c.asession("s", model="gpt-4o")
        for message in MESSAGES:
            await session.append(message)
        return list(await session.view())

    assert asyncio.run(view()) == c.session("s", model="gpt-4o").view()


# -- arguments


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda c: c.compress(MESSAGES, 600, model=5), CompressorError, "model must be the name of a model"),
        (lambda c: c.compress(MESSAGES, 600, query=5), ContextError, "query must be a str or None, not int"),
        (lambda c: c.compress(MESSAGES, 600, mode="full"), CompressorError, "call, ingest, compact"),
        (lambda c: c.compress("hello", 600), ContextError, "messages must be a list, not str"),
        (lambda c: c.compress_text(TEXT, 200, model=["gpt-4o"]), CompressorError, "model must be the name of a model"),
        (lambda c: c.compress_text(TEXT, 1.0), BudgetError, "write 1 for one token, or a fraction below 1"),
        (lambda c: c.compress_text(TEXT, "half"), BudgetError, "percentage"),
        (lambda c: c.compress_documents("abc", budget=10), ContextError, "give one document as a list of one"),
        (lambda c: c.compress_documents({"text": "abc"}, budget=10), ContextError, "must be a list, not dict"),
        (lambda c: c.expand(123456789012), CompressorError, "ref must be a str of 12 digits"),
        (lambda c: c.select_tools(TOOLS, 300, query=5), ContextError, "query must be a str"),
        (lambda c: c.select_examples(EXAMPLES, order="best last"), CompressorError, "most_relevant_last"),
        (lambda c: c.session("s", model=5), CompressorError, "model must be the name of a model"),
        (lambda c: Compressor(device="gpu"), DeviceError, "use auto, cpu, cuda, cuda:N or mps"),
        (lambda c: Compressor(device=0), DeviceError, "is a str"),  # type: ignore[arg-type]
        (lambda c: Compressor(store="postgres://x"), StoreError, "postgres"),
        (lambda c: Compressor(store={}), StoreError, "not dict"),  # type: ignore[arg-type]
        (lambda c: Compressor(scorer=5), CompressorError, "an object with score"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("cache", [False, True])
def test_a_wrong_argument_is_a_clear_error(
    call: Callable[[Compressor], Any], kind: type[Exception], text: str, cache: bool
) -> None:
    with pytest.raises(kind, match=text):
        call(Compressor(store="memory", cache=cache))


def test_a_store_may_be_a_path(tmp_path: Path) -> None:
    result = Compressor(store=tmp_path / "a.db").compress_text(TEXT, 100)
    again = Compressor(store=str(tmp_path / "a.db"))
    assert again.expand(result.dropped[0].ref) == TEXT


def test_expand_takes_the_whole_placeholder(c: Compressor) -> None:
    result = c.compress_text(TEXT, 100)
    placeholder = result.text.splitlines()[-1][-len("[…cut ref 123456789012]") :]
    assert placeholder.startswith("[…cut ref ")
    assert c.expand(placeholder) == c.expand(f" {result.dropped[0].ref}\n") == TEXT


def test_a_percentage_is_a_fraction_everywhere(c: Compressor) -> None:
    assert c.compress(MESSAGES, "30%").messages == c.compress(MESSAGES, 0.3).messages
    assert c.compress_text(TEXT, " 12.5 % ").text == c.compress_text(TEXT, 0.125).text
    assert c.compress_documents([TEXT], budget="10%").text == c.compress_documents([TEXT], budget=0.1).text
    assert c.select_tools(TOOLS, "50%").tools == c.select_tools(TOOLS, 0.5).tools
    assert c.select_examples(EXAMPLES, "5 and 2", "20%").text == c.select_examples(EXAMPLES, "5 and 2", 0.2).text
    ref = c.compress_text(TEXT, 100).dropped[0].ref
    assert c.expand(ref, budget="10%") == c.expand(ref, budget=0.1)
    for message in MESSAGES:
        c.session("half", model="gpt-4", budget="50%").append(message)
    assert c.session("half", model="gpt-4", budget="50%").view()


def test_the_repr_names_scorer_and_store_and_no_address(c: Compressor) -> None:
    assert repr(c) == "Compressor(scorer='fast', store=MemoryStore, cache=False)"


def test_a_budget_that_is_too_small_names_the_largest_message(c: Compressor) -> None:
    paragraph = "Please summarise: " + TEXT
    with pytest.raises(BudgetTooSmallError, match=r"the largest is message 1 \(user, \d+ tokens\).*compress_text"):
        c.compress([{"role": "system", "content": "Be brief."}, {"role": "user", "content": paragraph}], 600)
    with pytest.raises(BudgetTooSmallError, match=r"the largest is the system prompt \(system, \d+ tokens\)"):
        c.compress([{"role": "user", "content": "Hello"}], 600, system=TEXT)
    with pytest.raises(BudgetTooSmallError, match=r"the tool schemas alone are \d+ tokens: select_tools"):
        c.compress(MESSAGES, 200, tools=TOOLS)


# -- the engine


def test_tool_sets_and_example_stores_are_built_on_an_engine() -> None:
    store = MemoryStore()
    engine = Engine(HeuristicScorer(), None, store)
    compressor = Compressor(store=store)
    assert compressor.engine.store is compressor.store is store and compressor.engine.scorer is compressor.scorer
    for source in (engine, compressor):
        assert len(ToolSet(source, TOOLS, 300).view(MESSAGES)) < len(TOOLS)
    ExampleStore(engine, "pens").add(EXAMPLES)
    for again in (ExampleStore(compressor, "pens"), ExampleStore(store, "pens"), compressor.example_store("pens")):
        assert len(again) == len(EXAMPLES)
