"""The ways to examples from outside: the command line, HTTP, LangChain."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compressor import BudgetError, Compressor, CompressorError, ExampleStore
from compressor.cli.main import app
from compressor.tokens import get_counter
from support.labelled_examples import BANK, SOLVED


def run_examples(*args: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["examples", *args], input=given)


def jsonl(examples: list[Any]) -> bytes:
    return "".join(json.dumps(example) + "\n" for example in examples).encode()


def test_the_command_prints_what_to_send(tmp_path: Path) -> None:
    file = tmp_path / "bank.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + jsonl(BANK).replace(b"\n", b"\r\n\n"))
    done = run_examples(str(file), "--query", "i lost my card", "--budget", "60")
    want = Compressor(store="memory").select_examples(BANK, "i lost my card", 60)
    assert done.exit_code == 0 and done.stdout == want.text + "\n"
    out = tmp_path / "out.txt"
    template = r"Text: {input}\nLabel: {output}"
    assert run_examples(str(file), "-q", "card", "-b", "25%", "--template", template, "-o", str(out)).exit_code == 0
    assert out.read_text().startswith("Text: ") and "\nLabel: " in out.read_text()


def test_the_command_gives_an_account(tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    query = "Bob has 5 boxes of 9 pens and gives 2 away. How many are left?"
    done = run_examples("-", "-q", query, "-b", "250", "--json", "--store", store, given=jsonl(SOLVED))
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["tokens_after"] == get_counter(None).count(made["text"]) <= 250 < made["tokens_before"]
    assert [SOLVED[line - 1]["question"] for line in made["lines"]] == [e["question"] for e in made["examples"]]
    gone = made["shortened"][0]
    assert json.loads(Compressor(store=store).expand(gone["ref"])) == SOLVED[gone["block"]]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (b'{"input": "a", "output": "b"}\n{"input": 1,\n', 2, "stdin, line 2, column"),
        (b'{"input": "a", "output": "b"}\n\n{"foo": 1}\n', 2, "stdin, line 3: the example has no input and output"),
        (b"hello\n", 2, "line 1, column 1: not JSON"),
        (b"[\n1]\n", 2, "stdin, item 1: an example must be"),
        (b"[\n1,]\n", 2, "neither JSONL nor a valid JSON array"),
        (b'"a"\n"\xff"\n', 2, "line 2: not UTF-8"),
        (b'{"input": "a b c d e f", "output": "b"}\n', 3, "give --budget"),
        (b"", 2, "stdin holds no examples"),
        (b"[]", 2, "stdin holds no examples"),
    ],
)
def test_the_command_names_the_line(given: bytes, code: int, said: str) -> None:
    done = run_examples("-", "-b", "2", given=given)
    assert done.exit_code == code and said in done.stderr
    assert done.stdout == ""


def test_the_command_reads_json_and_csv(tmp_path: Path) -> None:
    want = run_examples("-", "-q", "i lost my card", "-b", "60", given=jsonl(BANK)).stdout
    csv_text = "input;output\r\n" + "".join(f'"{e["input"]}";{e["output"]}\r\n' for e in BANK)
    pairs = [[e["input"], e["output"]] for e in BANK]
    files = {
        "bank.json": json.dumps(BANK, indent=2),
        "data.json": json.dumps({"examples": BANK}),
        "pairs.jsonl": "\n".join(map(json.dumps, pairs)),
        "bank.csv": "\ufeff" + csv_text,
        "bank.tsv": csv_text.replace(";", "\t"),
    }
    for name, text in files.items():
        file = tmp_path / name
        file.write_text(text, newline="")
        done = run_examples(str(file), "-q", "i lost my card", "-b", "60")
        assert (done.exit_code, done.stdout) == (0, want), (name, done.output)
    one = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    for given in (
        json.dumps(one),
        json.dumps([one]),
        json.dumps({"messages": one}),
        json.dumps({"messages": one}, indent=1),
    ):
        assert run_examples("-", "-b", "50", given=given.encode()).stdout == "Q: a\nA: b\n"
    for name, text, said in (
        ("empty.jsonl", "", "empty.jsonl holds no examples"),
        ("head.csv", "input,output\n", "head.csv holds no examples"),
        ("cells.csv", "input,output\na,b,c\n", "cells.csv, line 2: 3 cells, but the first row names 2 columns"),
        ("names.csv", "frage,antwort\na,b\n", "names.csv, line 2: the example has no input and output"),
        ("one.csv", "input\na\n", "one.csv, line 1: the first row must name the columns"),
    ):
        (tmp_path / name).write_text(text)
        done = run_examples(str(tmp_path / name), "-b", "50")
        assert done.exit_code == 2 and said in done.stderr, done.output


def test_a_block_for_the_prompt_cache(tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    args = ("-", "-b", "100", "--cached-budget", "60", "--json", "--store", store)
    one, two = (json.loads(run_examples(*args, "-q", q, given=jsonl(BANK)).stdout) for q in ("card", "wake me"))
    assert one["cached_text"] == two["cached_text"] and one["text"] != two["text"]
    assert one["text"].startswith(one["cached_text"]) and 0 < one["cached_tokens"] <= 60
    pytest.importorskip("langchain_core")
    from compressor_agents.langchain import BudgetExampleSelector

    selector = BudgetExampleSelector(BANK, 100, cached_budget=60)
    found = [selector.select_examples({"q": query}) for query in ("card", "wake me")]
    assert selector.last_result is not None
    count = selector.last_result.cached_count
    assert found[0][:count] == found[1][:count] and count > 2
    with pytest.raises(BudgetError, match="must be positive, not -1"):
        BudgetExampleSelector(BANK, 100, cached_budget=-1)


def test_the_command_refuses_what_it_does_not_know() -> None:
    assert run_examples("-", "-b", "20", "--method", "best", given=jsonl(BANK)).exit_code == 1
    assert run_examples("-", "-b", "none", given=jsonl(BANK)).exit_code == 2


def test_http() -> None:
    pytest.importorskip("fastapi")
    from support.service_tools import Service, error_of

    with Service() as service:
        asked: dict[str, Any] = {"examples": SOLVED, "query": "How many pens are left?", "budget": 250}
        answer = service.http.post("/v1/examples", json=asked)
        assert answer.status_code == 200, answer.text
        made = answer.json()
        want = Compressor(store="memory").select_examples(SOLVED, asked["query"], 250)
        assert (made["text"], made["examples"], made["indices"]) == (want.text, want.examples, want.indices)
        assert made["tokens_after"] == want.tokens_after <= 250 and made["tokens_before"] == want.tokens_before
        for ref in made["refs"]:
            original = service.http.get(f"/v1/retrieve/{ref}").json()["original_content"]
            assert json.loads(original) in SOLVED
        assert service.http.post("/v1/examples", json={"examples": []}).json()["examples"] == []
        many = service.http.post("/v1/examples", json=asked | {"budget": 500, "cached_budget": 250}).json()
        want = Compressor(store="memory").select_examples(SOLVED, asked["query"], 500, cached_budget=250)
        assert (many["text"], many["cached_text"]) == (want.text, want.cached_text)
        assert (many["cached_count"], many["cached_tokens"]) == (want.cached_count, want.cached_tokens)
        assert many["cached_messages"] == want.cached_messages and "cached_text" not in made
        for wrong, status, kind in (
            ({"examples": ["a"], "budget": 9, "cached_budget": 10}, 400, "invalid_budget"),
            ({"examples": ["a"], "budget": 0}, 400, "invalid_budget"),
            ({"examples": [{"foo": 1}], "budget": 9}, 400, "invalid_context"),
            ({"examples": ["a b c d e"], "budget": 1}, 422, "budget_too_small"),
            ({"examples": ["a"], "template": "{input.__class__}"}, 400, "invalid_context"),
        ):
            refused = service.http.post("/v1/examples", json=wrong)
            assert (refused.status_code, error_of(refused)) == (status, kind), refused.text


def test_langchain_prompts() -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.example_selectors import BaseExampleSelector
    from langchain_core.prompts import (
        ChatPromptTemplate,
        FewShotChatMessagePromptTemplate,
        FewShotPromptTemplate,
        PromptTemplate,
    )

    from compressor_agents.langchain import BudgetExampleSelector

    written = PromptTemplate.from_template("Message: {input}\nIntent: {output}")
    selector = BudgetExampleSelector(BANK, 60, example_prompt=written)
    assert isinstance(selector, BaseExampleSelector)
    prompt = FewShotPromptTemplate(
        example_selector=selector,
        example_prompt=written,
        suffix="Message: {message}\nIntent:",
        input_variables=["message"],
    )
    text = prompt.format(message="i lost my card")
    assert "Intent: lost_card" in text
    assert selector.last_result is not None
    shown = text.removesuffix("\n\nMessage: i lost my card\nIntent:").strip()
    assert (
        shown == selector.last_result.text and get_counter(None).count(shown) == selector.last_result.tokens_after <= 60
    )
    assert asyncio.run(prompt.aformat(message="i lost my card")) == text
    chat = FewShotChatMessagePromptTemplate(
        example_selector=BudgetExampleSelector(BANK, 60),
        example_prompt=ChatPromptTemplate.from_messages([("human", "{input}"), ("ai", "{output}")]),
        input_variables=["message"],
    )
    messages = chat.format_messages(message="wake me at nine")
    assert [m.type for m in messages] == ["human", "ai"] * (len(messages) // 2)
    assert "alarm" in [m.content for m in messages]


def test_a_missing_variable_is_named() -> None:
    pytest.importorskip("langchain_core")
    from compressor_agents.langchain import BudgetExampleSelector

    selector = BudgetExampleSelector(BANK, 60, input_keys=["question", "topic"])
    said = "the input variables lack 'question': given are 'nope', 'topic'"
    for error in (KeyError, CompressorError):
        with pytest.raises(error, match=said):
            selector.select_examples({"nope": "x", "topic": "y"})
        with pytest.raises(error, match=said):
            asyncio.run(selector.aselect_examples({"nope": "x", "topic": "y"}))
    assert selector.last_result is None
    assert selector.select_examples({"question": "", "topic": "card", "more": "z"})


def test_langchain_examples_are_added_and_shortened() -> None:
    pytest.importorskip("langchain_core")
    from compressor_agents.langchain import BudgetExampleSelector

    selector = BudgetExampleSelector(SOLVED[:1], 250, input_keys=["question"])
    ids = [selector.add_example(example) for example in SOLVED]
    assert asyncio.run(selector.aadd_example(SOLVED[2])) == ids[2] and len(selector.example_store) == len(SOLVED)
    found = selector.select_examples({"question": "How many pens are left?", "history": "sunshine " * 50})
    assert asyncio.run(selector.aselect_examples({"question": "How many pens are left?"})) == found
    assert selector.last_result is not None and selector.last_result.shortened
    assert all(set(example) == {"question", "answer"} for example in found)
    shared = ExampleStore("memory", name="shared")
    shared.add(BANK)
    assert BudgetExampleSelector(example_store=shared, budget=40).select_examples({"q": "rain"})
    with pytest.raises(BudgetError):
        BudgetExampleSelector(BANK, 0)
