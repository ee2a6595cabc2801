"""The examples run as a user would run them, and say what they promise."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from support.example_files import run_example
from support.paths import EXAMPLES, ROOT


def test_demo(tmp_path: Path) -> None:
    out = run_example("demo.py", tmp_path)
    needed = json.loads((EXAMPLES / "data" / "airline_session.json").read_text(encoding="utf-8"))["needed"]
    for fact in needed:
        assert fact["text"] in out
    assert f"of {len(needed)} are still there" in out
    before, after = re.findall(r"^([\d,]+) -> ([\d,]+) tokens", out, re.M)[0]
    assert int(after.replace(",", "")) < 0.75 * int(before.replace(",", "")), "the demo has to cut something"
    exact, refs = map(int, re.findall(r"exact original: (\d+) of (\d+)", out)[0])
    assert exact == refs > 0
    assert "<html" in (tmp_path / "demo-report.html").read_text(encoding="utf-8").lower()


def test_quickstart(tmp_path: Path) -> None:
    out = run_example("quickstart.py", tmp_path)
    assert out.count("the row that answers the question is there: True") == 2
    assert "expand returns the original: True" in out
    assert "expand returns the original: False" not in out


def test_few_shot_classifier(tmp_path: Path) -> None:
    out = run_example("few_shot_classifier.py", tmp_path, "--offline")
    assert "intent among the examples: 7 of 7" in out
    sizes = [(int(a), int(b)) for a, b in re.findall(r"(\d+) -> (\d+) tokens", out)]
    assert len(sizes) == 7 and all(after <= 110 < before for before, after in sizes)
    assert "no model was asked" in out


def test_many_shot_prompt(tmp_path: Path) -> None:
    out = run_example("many_shot_prompt.py", tmp_path)
    (block,) = re.findall(r"cached: (\d+) of 240 examples, ([\d,]+) tokens", out)
    assert int(block[0]) > 60 and 1_024 <= int(block[1].replace(",", "")) <= 1_400
    assert out.count(" -> ") >= 9 and "is not shown" not in out
    with_cache, without = map(float, re.findall(r"\$([\d.]+)", out))
    assert with_cache < 0.25 * without


def test_pydantic_ai_tools_budget(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai")
    out = run_example("pydantic_ai_tools_budget.py", tmp_path)
    sizes = re.findall(r"request \d: ([\d,]+) tokens, (\d+) tools, (\d+) of them with parameters", out)
    assert len(sizes) == 4 and all(int(size.replace(",", "")) <= 1_500 for size, _, _ in sizes)
    assert {listed for _, listed, _ in sizes} == {"61"}, "all tools are listed, and find_tool"
    assert int(sizes[0][2]) < int(sizes[2][2]) < 61 and "calls archive_ticket" in out


def test_browsing_agent(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    out = run_example("browsing_agent.py", tmp_path)
    once, session = out.split("A session without a budget")
    before, after = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) -> ([\d,]+) tokens", once)[0])
    assert after <= 0.4 * before
    assert "[image 2: the same as image 3]" in once and "[image 1: screenshot 1280×800" in once
    assert re.search(r"step 6: \[image 6: as image 8; .*<\d+ x \d+ pixels>", once), "a near repeat"
    assert "step 8: <1280 x 800 pixels>" in once, "the newest screenshot stays"
    assert "gives back as they were: 6 of 6" in once
    assert "[the same image as in the result of call call_2]" in session
    assert re.search(r"step 4: \[image 4: as image 2; .*<\d{2,3} x \d\d pixels>", session), "only the badge is new"


def test_browsing_agent_without_pillow(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\n\nsys.modules['PIL'] = None\n", encoding="utf-8")
    out = run_example("browsing_agent.py", tmp_path, code=2, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert "pip install 'agentic-compressor[images]'" in out


def test_the_shipped_session_is_small_and_attributed() -> None:
    data = EXAMPLES / "data"
    assert (data / "airline_session.json").stat().st_size < 100_000
    notice = (data / "README.md").read_text(encoding="utf-8")
    assert "tau-bench" in notice
    assert "Copyright (c) 2024 Sierra" in notice
