"""The agents' examples run as a user would run them, and the numbers that they print are right."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.tokens import get_counter
from compressor.tokens.billing import PromptCacheSimulator
from compressor.tokens.pricing import find_price
from support.example_files import recorded, run_example
from support.paths import EXAMPLES

CORPUS = runpy.run_path(str(EXAMPLES / "corpus.py"))
STATIONS = [station for names in CORPUS["REGIONS"].values() for station in names]
WORST = max(STATIONS, key=CORPUS["leak_rate"])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The outputs of the examples as they are called without arguments, each run once for all tests."""

    @cache
    def output(name: str) -> str:
        folder = tmp_path_factory.mktemp("run")
        made = run_example(name, folder, PYTHONHASHSEED="1")
        assert {path.name for path in folder.iterdir()} <= {"cache"}, "an example leaves nothing behind"
        return made

    return output


def numbers(pattern: str, text: str) -> list[Any]:
    """What the groups of the only match hold, as numbers."""
    (found,) = re.findall(pattern, text, re.M)
    return [float(part.replace(",", "")) for part in (found if isinstance(found, tuple) else (found,))]


# -- the research agent


def test_research_agent(outputs: Callable[[str], str]) -> None:
    pytest.importorskip("langchain")
    out = outputs("langchain_research_agent.py")
    (calls,) = numbers(r"^model calls +(\d+)$", out)
    made = re.findall(r"^    (\w+)\(", out, re.M)
    assert calls == len(made) + 2 >= 30  # each call calls one tool, but for the two that answer
    assert made.count("read_document") == made.count("take_note") == len(STATIONS)
    raw, sent = numbers(r"^prompt tokens +([\d,]+) raw, ([\d,]+) sent$", out)
    assert sent < 0.5 * raw
    raw_money, sent_money, saved = numbers(r"^cost of prompts +\$([\d.]+) raw, \$([\d.]+) sent: (\d+)%$", out)
    assert sent_money < 0.7 * raw_money
    assert saved == pytest.approx(100 * (1 - sent_money / raw_money), abs=1)
    (cached,) = numbers(r"^from the cache +(\d+)% of", out)
    assert 70 <= cached < 100
    (compactions,) = numbers(r"^compactions +(\d+)$", out)
    assert 1 <= compactions <= 10


def test_research_agent_gets_back_what_was_cut(outputs: Callable[[str], str]) -> None:
    pytest.importorskip("langchain")
    out = outputs("langchain_research_agent.py")
    first, second = out.split("serial number of that station's main valve?")
    assert f"{WORST} (report" in first and f"loses most: {CORPUS['leak_rate'](WORST)} %" in first
    (expansions,) = numbers(r"^expansions +(\d+)$", second)
    assert expansions == second.count("    expand_context(ref=") == 1
    (expanded,) = re.findall(r"^expanded +(.+)$", second, re.M)
    assert CORPUS["valve"](WORST) in expanded
    assert f"The main valve of {WORST} has the serial number {CORPUS['valve'](WORST)}." in second
    assert "right answers      2 of 2" in second and "warning" not in second


def test_research_agent_with_a_real_client(tmp_path: Path) -> None:
    """The same file, with langchain-openai and a server behind it."""
    pytest.importorskip("langchain_openai")
    pytest.importorskip("uvicorn")
    from support.scripted_server import Call, Reply, ScriptedServer

    calls = [Call("search", {"region": "north"}), Call("read_document", {"id": "north-4"}), Call("read_notes", {})]
    replies = [*(Reply(calls=[call]) for call in calls), Reply(f"{WORST}, I guess."), Reply("I cannot say.")]
    with ScriptedServer(replies) as server:
        given = f"{server.url}/v1"
        out = run_example("langchain_research_agent.py", tmp_path, OPENAI_API_KEY="any", OPENAI_BASE_URL=given)
        assert server.problems == [] and server.left == 0
        assert {tool for request in server.requests for tool in request.tools} == {
            *("search", "read_document", "take_note", "read_notes", "expand_context", "recall_context")
        }
        assert server.requests[0].body["model"] == "gpt-5-mini"
    assert "played by openai:gpt-5-mini" in out
    assert numbers(r"^model calls +(\d+)$", out) == [5]
    assert "right answers      0 of 2" in out  # a model may be wrong, and the example runs all the same


@pytest.mark.parametrize("model", ["nonsense", "openai:gpt-5-mini"])
def test_research_agent_without_the_model(tmp_path: Path, model: str) -> None:
    pytest.importorskip("langchain_openai")
    assert f"The model '{model}' could not be loaded" in run_example(
        "langchain_research_agent.py", tmp_path, "--model", model, code=2
    )


# -- the coding agent's replay


def test_replay(outputs: Callable[[str], str]) -> None:
    out = outputs("coding_agent_replay.py")
    messages, counter = recorded("coding"), get_counter("gpt-5")
    rows = re.findall(r"^ +(\d+) +([\d,]+) +([\d,]+)([* ]) +([\d,]+)([* ])  \S", out, re.M)
    steps = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    assert [int(row[0]) for row in rows] == list(range(1, len(steps) + 1))
    prompts = [counter.count_context(detect_format(messages[:step]).parse(messages[:step])) for step in steps]
    assert [int(row[1].replace(",", "")) for row in rows] == prompts

    own = find_price("gpt-5")
    cached, bare = re.split(r"^With ", out, flags=re.M)[1:]
    for text, at, rate in ((cached, 2, own.cache_read), (bare, 4, own.input)):
        raw, sent = numbers(r"tokens ([\d,]+) raw, ([\d,]+) sent$", text)
        assert raw == sum(prompts)
        assert sent == sum(int(row[at].replace(",", "")) for row in rows) < 0.9 * raw
        assert numbers(r"(\d+) compactions", text) == [sum(row[at + 1] == "*" for row in rows)]
        raw_money, sent_money, saved = numbers(r"cost \$([\d.]+) raw, \$([\d.]+) sent: (\d+)% saved$", text)
        meter = PromptCacheSimulator(own)
        billed = [meter.call(list(enumerate(pieces(prompts[: n + 1])))) for n in range(len(prompts))]
        fresh = sum(bill.uncached + bill.cache_written for bill in billed)
        assert raw_money == pytest.approx((fresh * own.input + (raw - fresh) * rate) / 1e6, rel=0.01)
        assert sent_money < 0.9 * raw_money
        assert saved == pytest.approx(100 * (1 - sent_money / raw_money), abs=1)
        marks, opens, characters = numbers(r"view: (\d+), of which expand: (\d+), to ([\d,]+) characters", text)
        assert marks == opens > 0 and characters > 10_000
    assert out.count("*  ") >= 1


def pieces(prompts: list[int]) -> list[int]:
    """What each prompt adds to the one before it."""
    return [b - a for a, b in zip([0, *prompts], prompts, strict=False)]


@pytest.mark.parametrize("form", ["messages", "requests", "list"])
def test_replay_of_ones_own_file(tmp_path: Path, form: str) -> None:
    messages = recorded("coding")[:9]
    if form == "list":
        text = json.dumps(messages)
    elif form == "messages":
        text = "\n".join(json.dumps(message) for message in messages) + "\n"
    else:
        text = "\n".join(json.dumps({"model": "m", "messages": messages[:end]}) for end in (3, 9, 5))
    path = tmp_path / "mine"
    path.write_text(text, encoding="utf-8")
    out = run_example("coding_agent_replay.py", tmp_path, "--file", str(path), "--model", "claude-sonnet-4-5")
    assert "mine: 9 messages, replayed for claude-sonnet-4-5" in out  # the last of which is a call without a result
    assert out.count(" 4 calls, 0 compactions") == 2


def test_replay_holds_a_budget(tmp_path: Path) -> None:
    out = run_example("coding_agent_replay.py", tmp_path, "--budget", "4500")
    rows = re.findall(r"^ +\d+ +([\d,]+) +([\d,]+)[* ] +([\d,]+)[* ]  \S", out, re.M)
    sizes = [[int(size.replace(",", "")) for size in row] for row in rows]
    assert max(row[0] for row in sizes) > 8_000
    assert max(max(row[1:]) for row in sizes) <= 4_500
    assert "budget of 500 tokens is too small" in run_example(
        "coding_agent_replay.py", tmp_path, "--budget", "500", code=2
    )


USER = {"role": "user", "content": "hello"}
ANSWER = {"role": "assistant", "content": "hi"}
BAD = {
    "nothing in it": (b"", "not JSON"),
    "prose": (b"Dear diary,\ntoday I coded.", "not JSON"),
    "cut off": (json.dumps([USER, ANSWER]).encode()[:-9], "not JSON"),
    "binary": (b"\xff\xfe\x00\x01", "not UTF-8 text"),
    "a number": (b"42", "must hold a list of messages, but it holds int"),
    "no list": (b'{"messages": 3}', "must hold a list of messages, but it holds int"),
    "no role": (
        json.dumps([USER, {"content": "x"}]).encode(),
        'message 1: a chat message must be an object with a "role"',
    ),
    "bad line": (b'{"role": "user", "content": "x"}\n{"role": \n', "line 2 of the JSONL"),
    "no answer": (json.dumps([USER, USER]).encode(), "none of the 2 messages is an answer"),
    "bad role": (json.dumps([USER, {"role": "wizard", "content": "x"}, ANSWER]).encode(), "message 1: unknown role"),
    "orphan": (
        json.dumps([USER, ANSWER, {"role": "tool", "tool_call_id": "c9", "content": "x"}]).encode(),
        "message 2: the tool result for 'c9' has no call",
    ),
    "bad calls": (json.dumps([USER, {**ANSWER, "tool_calls": 7}]).encode(), "message 1: tool_calls must be a list"),
    "bad content": (json.dumps([{"role": "user", "content": {"a": 1}}, ANSWER]).encode(), "message 0: content must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_replay_says_what_is_wrong_with_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, why = BAD[name]
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    monkeypatch.setattr(sys, "argv", ["coding_agent_replay.py", "--file", str(path)])
    assert runpy.run_path(str(EXAMPLES / "coding_agent_replay.py"))["main"]() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{path}: ") and why in said


def test_replay_of_no_file(tmp_path: Path) -> None:
    assert "gone.json: No such file" in run_example("coding_agent_replay.py", tmp_path, "--file", "gone.json", code=2)
    assert run_example("coding_agent_replay.py", tmp_path, "--file", ".", code=2).startswith(".: ")


# -- the hand-off


@pytest.mark.parametrize("budget", [300, 200])
def test_handoff(tmp_path: Path, budget: int, outputs: Callable[[str], str]) -> None:
    name = "two_agent_handoff.py"
    out = outputs(name) if budget == 300 else run_example(name, tmp_path, "--budget", str(budget))
    sizes = [
        (int(before.replace(",", "")), int(after.replace(",", "")))
        for before, after in re.findall(r"^  \w+ to \w+ +([\d,]+) -> +([\d,]+) tokens, budget", out, re.M)
    ]
    assert len(sizes) == len(CORPUS["REGIONS"]) + 1
    assert all(after <= budget for _, after in sizes)
    assert all(before > budget for before, _ in sizes), "a message that needs no cutting shows nothing"
    assert numbers(r"^messages +(\d+), (\d+) over", out) == [len(sizes), 0]
    handed, untouched = numbers(r"^tokens handed over ([\d,]+), untouched ([\d,]+)$", out)
    assert handed == sum(after for _, after in sizes)
    assert untouched == sum(before for before, _ in sizes) > 25 * handed
    known, stations = numbers(r"^stations +(\d+) of (\d+)$", out)
    assert stations == len(STATIONS) and known >= {300: 16, 200: 12}[budget]
    arrived, of, right = numbers(r"figures that arrived: (\d+) of (\d+), right: (\d+)$", out)
    assert of == known >= arrived == right > 0


def test_handoff_gets_the_detail_by_one_expansion(outputs: Callable[[str], str]) -> None:
    out = outputs("two_agent_handoff.py")
    assert numbers(r"^expansions +(\d+)$", out) == [1]
    there, read = numbers(r"^  expand \d{12}: ([\d,]+) tokens are there, the writer reads ([\d,]+) of them$", out)
    assert there > 10_000 and read <= 300
    assert f"serial number of {WORST}'s main valve?" in out
    assert f"\n  {CORPUS['valve'](WORST)}\n" in out


@pytest.mark.parametrize("budget", ["5", "0", "-3"])
def test_handoff_with_an_impossible_budget(tmp_path: Path, budget: str) -> None:
    out = run_example("two_agent_handoff.py", tmp_path, "--budget", budget, code=2)
    assert f"A budget of {budget} tokens is too small for a message: " in out


# -- all of them


@pytest.mark.parametrize("name", ["langchain_research_agent.py", "coding_agent_replay.py", "two_agent_handoff.py"])
def test_examples_say_the_same_in_every_run(tmp_path: Path, name: str, outputs: Callable[[str], str]) -> None:
    offline: tuple[str, ...] = ()
    if "langchain" in name:
        pytest.importorskip("langchain")
        offline = ("--offline",)
    assert run_example(name, tmp_path, *offline, PYTHONHASHSEED="2", OPENAI_API_KEY="never used") == outputs(name)
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) < 200


def test_the_shipped_recording_is_small_and_attributed() -> None:
    data = EXAMPLES / "data"
    assert (data / "coding_session.json").stat().st_size < 100_000
    notice = (data / "README.md").read_text(encoding="utf-8")
    assert "Copyright (c) 2024 John Yang" in notice
    assert "Steven Loria" in notice
