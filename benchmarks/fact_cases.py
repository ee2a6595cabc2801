"""Builds cases with a question about one big tool output that contains the answer literally."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import read_text, records, sample
from benchmarks.tokens import Message, count

MIN_TABLE_TOKENS = 200  # an eighth of a smaller table has no whole row
LOG_WINDOW = 250  # log lines in one tool output
VALUE = re.compile(r"(\S*\d\S*)")
FAILED = re.compile(
    r"^(?:.+ \.\.\. (?:FAIL|ERROR)|"
    r"(?:FAIL|ERROR): .+|(?:FAILED|ERROR) \S+.*|E {3}.+|(?:\w+\.)*\w*(?:Error|Exception): .+|=+ .*\d+ failed.*)$",
    re.MULTILINE,
)


@dataclass
class Case:
    """A context of one tool output and a question.

    A fact survives if all of its strings are in the tool output.

    Attributes:
        needed: Tokens of the lines with the facts: a smaller budget could not keep them all.
        words: Whether the strings must occur as whole words (a cell "5" does not survive as part of "1995").
    """

    messages: list[Message]
    facts: list[tuple[str, ...]]
    needed: int
    words: bool = False


def context(question: str, tool: str, arguments: dict[str, str], output: str) -> list[Message]:
    """Returns the shortest conversation that ends with the question."""
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    return [
        {"role": "system", "content": "You are a careful analyst. Answer from the tool output."},
        {"role": "user", "content": "Load the data, I have a question about it."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "name": tool, "content": output},
        {"role": "user", "content": question},
    ]


def _cell(text: str) -> str:
    return " ".join(text.split())


def _names(header: list[str]) -> list[str]:
    """Returns column names, made non-empty and unique."""
    names: list[str] = []
    for i, name in enumerate(map(_cell, header)):
        name = name or f"column {i + 1}"
        names.append(name if name not in names else f"{name} ({i + 1})")
    return names


def as_json(header: list[str], rows: list[list[str]]) -> str:
    """Writes a table as a list of records on one line."""
    names = _names(header)
    return json.dumps([dict(zip(names, map(_cell, row), strict=False)) for row in rows], ensure_ascii=False)


def as_text(header: list[str], rows: list[list[str]]) -> str:
    """Writes a Markdown table."""
    lines = [_names(header), ["---"] * len(header), *([_cell(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _table_cases(questions: Iterator[tuple[str, list[str], list[str], list[list[str]]]], form: str) -> Iterator[Case]:
    """Builds cases from (question, answers, header, rows), if all answers are cells of the table."""
    for question, answers, header, rows in questions:
        cells = {_cell(cell) for row in rows for cell in row}
        wanted = tuple(_cell(answer) for answer in answers)
        if not wanted or not all(answer and answer in cells for answer in wanted):
            continue
        output = as_json(header, rows) if form == "JSON" else as_text(header, rows)
        if count(output) >= MIN_TABLE_TOKENS:
            yield Case(context(question, "query_table", {"table": "main"}, output), [wanted], 0, words=True)


def wikitables(root: Path, form: str, limit: int) -> list[Case]:
    """Reads WikiTableQuestions (train part), as `form` "JSON" or "text"."""
    here = root / "wikitablequestions"
    tables = {t["context"]: t for t in records(here / "wtq-train-tables.jsonl.gz")}
    questions = list(records(here / "wtq-train-questions.jsonl.gz"))

    def read_questions() -> Iterator[tuple[str, list[str], list[str], list[list[str]]]]:
        for q in sample(questions, 4 * limit):  # about half of them have small tables, or answers that are not cells
            table = tables[q["context"]]
            yield q["utterance"], q["targetValue"].split("|"), table["header"], table["rows"]

    return sample(list(_table_cases(read_questions(), form)), limit)


def tatqa(root: Path, form: str, limit: int) -> list[Case]:
    """Reads TAT-QA (dev part): financial tables, with questions whose answers are cells."""

    def read_questions() -> Iterator[tuple[str, list[str], list[str], list[list[str]]]]:
        for entry in records(root / "tatqa" / "tatqa-dev.jsonl.gz"):
            header, *rows = entry["table"]["table"]
            for q in entry["questions"]:
                answers = q["answer"] if isinstance(q["answer"], list) else [str(q["answer"])]
                yield q["question"], [a for a in map(str, answers) if a], header, rows

    return sample(list(_table_cases(read_questions(), form)), limit)


def _pieces(message: str) -> list[str]:
    """Splits a message into its words with digits and the stretches between them."""
    return [piece.strip() for piece in VALUE.split(message) if piece.strip()]


def alert_logs(root: Path, limit: int) -> list[Case]:
    """Reads BlueGene/L log lines in windows; the facts are the lines that its operators labelled as alerts.

    The label column is not shown. A line survives if the words and values of its message and the microseconds of its
    time do, so that a lossless codec may write a common prefix or the words of many lines once.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(root / "loghub" / "BGL_2k.log_structured.csv.gz"))))
    columns = ["Timestamp", "Date", "Node", "Time", "NodeRepeat", "Type", "Component", "Level", "Content"]
    cases: list[Case] = []
    for start in range(0, len(rows), LOG_WINDOW):
        window = rows[start : start + LOG_WINDOW]
        alerts = [row for row in window if row["Label"] != "-"]
        lines = {row["LineId"]: " ".join(row[c] for c in columns) for row in window}
        if alerts:
            needed = sum(count(lines[row["LineId"]]) + 1 for row in alerts)
            messages = context(
                "Which lines report a failure?", "read_log", {"path": "bgl.log"}, "\n".join(lines.values())
            )
            cases.append(
                Case(messages, [(*_pieces(a["Content"]), a["Time"].rsplit(".", 1)[1]) for a in alerts], needed)
            )
    return cases[:limit]


def failing_tests(root: Path, limit: int) -> list[Case]:
    """Reads recorded test runs; the facts are the distinct lines that name a failed test or its error."""
    cases: list[Case] = []
    for path in sorted((root / "test_logs").glob("*.jsonl.gz")):
        for log in records(path):
            failed = list(dict.fromkeys(FAILED.findall(log["text"])))
            if failed:
                messages = context("Why did the tests fail?", "run_tests", {"command": "run tests"}, log["text"])
                cases.append(Case(messages, [(line,) for line in failed], sum(count(x) + 1 for x in failed)))
    return sample(cases, limit)


def key_values(root: Path, limit: int) -> list[Case]:
    """Reads lost-in-the-middle's synthetic UUID pairs as one JSON object; the fact is the pair in question."""
    cases: list[Case] = []
    for path in sorted((root / "lost_in_the_middle").glob("kv-retrieval-*_keys.jsonl.gz")):
        for entry in sample(list(records(path)), limit):
            pairs: dict[str, Any] = dict(entry["ordered_kv_records"])
            question = f'What is the value of the key "{entry["key"]}"?'
            messages = context(question, "read_store", {"name": "pairs"}, json.dumps(pairs, indent=1))
            cases.append(Case(messages, [(entry["key"], entry["value"])], 0))
    return cases
