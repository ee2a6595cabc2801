"""Segmenters on recorded tool outputs, where the data sets lie beside the repository."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from compressor.text.segmenters import find_pasted_content, segment_text
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.html import segment_html
from compressor.text.segmenters.log import segment_log
from compressor.text.segmenters.traceback import segment_traceback
from support.paths import SHARED_DATA as DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not here")


def records(path: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / path, "rt") as file:
        return [json.loads(line) for line in file]


def recorded_outputs(name: str) -> Iterator[tuple[str, str]]:
    """(the call's arguments, the output) of every tool call."""
    for session in records(f"sessions/{name}.jsonl.gz"):
        calls: dict[str, str] = {}
        for message in session["messages"]:
            for call in message.get("tool_calls") or []:
                calls[call["id"]] = call["function"]["arguments"]
            if message["role"] == "tool" and message["content"]:
                yield calls.get(message.get("tool_call_id"), ""), message["content"]


def test_swe_agent_outputs() -> None:
    kinds: Counter[str] = Counter()
    for name in ("swe_demos", "swe_lite"):
        for hint, text in recorded_outputs(name):
            found = segment_text(text, hint)
            n = len(found.spans)
            kinds[found.kind] += 1
            assert found.render(np.ones(n, np.bool_)) == text
            assert len(found.render(np.arange(n) % 2 == 0)) <= len(text) + 2 * n
            if text.startswith("[File: "):
                assert found.kind == "code" and found.flags[0] & UnitFlag.HEADER
            if text.startswith("Found "):
                assert found.kind == "search"
    assert kinds["code"] > 500 and kinds["search"] > 150 and kinds["diff"] > 80 and kinds["trace"] > 20


def test_the_task_of_an_agent_is_no_material() -> None:
    for session in records("sessions/swe_lite.jsonl.gz"):
        assert find_pasted_content(next(m["content"] for m in session["messages"] if m["role"] == "user")) == []


def test_bgl_alerts_are_errors() -> None:
    with gzip.open(DATA / "loghub/BGL_2k.log.gz", "rt", newline="") as file:
        found = segment_log(file.read())
    with gzip.open(DATA / "loghub/BGL_2k.log_structured.csv.gz", "rt") as file:
        alerts = [row["Label"] != "-" for row in csv.DictReader(io.StringIO(file.read()))]
    assert ((found.flags & UnitFlag.ERROR) > 0).tolist() == alerts


def test_logs_are_cut_by_lines() -> None:
    for path in sorted((DATA / "loghub").glob("*_2k.log.gz")):
        with gzip.open(path, "rt", newline="", errors="surrogateescape") as file:
            text = file.read()
        found = segment_text(text)
        assert found.kind == "log", path.name
        # A line of more than 600 characters has pieces, which stand under its first.
        lines = [a for a, _ in found.spans.tolist() if a == 0 or text[a - 1] == "\n"]
        assert abs(len(lines) - text.count("\n")) < 10
        assert len(found.spans) - len(lines) == (found.parents >= 0).sum()


def test_failing_tests_are_errors_and_passed_ones_noise() -> None:
    for name in ("swebench_eval_logs", "codestory_eval_logs"):
        for record in records(f"test_logs/{name}.jsonl.gz"):
            text = record["text"]
            found = segment_traceback(text)
            assert found.render(np.ones(len(found.spans), np.bool_)) == text
            for (a, b), flag in zip(found.spans.tolist(), found.flags.tolist(), strict=True):
                unit = text[a:b]
                if re.match(r"(?:FAIL|ERROR): test|FAILED \S+::", unit):
                    assert flag & UnitFlag.ERROR
                elif re.match(r"test_\w+ \([\w.]+\) \.\.\. ok$", unit.strip()):
                    assert flag & UnitFlag.NOISE


def test_pages_lose_their_furniture_and_keep_their_text() -> None:
    def letters(text: str) -> str:
        return re.sub(r"\W+", "", re.sub(r"<[^>]*>|&#?\w+;", "", text)).lower()

    kept: list[float] = []
    size: list[float] = []
    for page in records("html_pages/article_extraction_181.jsonl.gz")[:60]:
        text = page["html"]
        found = segment_html(text)
        assert found.render(np.ones(len(found.spans), np.bool_)) == text
        signal = "".join(
            text[a:b]
            for (a, b), f in zip(found.spans.tolist(), found.flags.tolist(), strict=True)
            if not f & UnitFlag.NOISE
        )
        paragraphs = [p for p in map(letters, page["articleBody"].split("\n")) if len(p) > 20]
        said = letters(signal)
        if paragraphs:
            kept.append(float(np.mean([p[:60] in said for p in paragraphs])))
        size.append(len(signal) / len(text))
    assert np.mean(kept) > 0.95 and np.mean(size) < 0.3
