"""Builds the battery's cases from recorded data: files, logs, chats, meetings, agents' runs, tables, documents."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from benchmarks.baselines import Document
from benchmarks.battery_case import (
    BatteryCase,
    ChatInput,
    DocumentsInput,
    NeededStrings,
    SessionInput,
    TextInput,
    ToolInput,
    flat_sentences,
    sentences,
)
from benchmarks.data import records
from benchmarks.tokens import Message, count

#: Yields cases from (data folder, maximum number of cases, seed).
Source = Callable[[Path, int, int], Iterator[BatteryCase]]

LONG_WORD = re.compile(r"[A-Za-z]{4,}")
LOG_WINDOW = 500  # lines
RARE = 2  # an event type that occurs at most so often in a window is rare
MIN_SENTENCE = 25  # characters; shorter sentences ("Okay.") are no evidence


def _first_file(root: Path, *patterns: str) -> Iterator[Any]:
    """Yields the records of the first file of the first pattern that has one."""
    for pattern in patterns:
        if found := sorted(root.glob(pattern)):
            return records(found[0])
    return iter(())


def _document_case(
    question: str, documents: list[Document], needed: list[str], rule: Literal["any", "all"]
) -> BatteryCase:
    full = "\n\n".join(d["title"] + ": " + d["text"] for d in documents)
    units = [d["title"] + ": " + sentence for d in documents for sentence in sentences(d["text"])]
    return BatteryCase(question, DocumentsInput(documents), units, count(full), NeededStrings(needed, rule))


def squad_articles(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks a question about one paragraph of a Wikipedia article of at most 25 paragraphs."""
    articles: dict[str, list[Any]] = {}
    for record in _first_file(root, "squad/squad_v1.1_dev*"):
        articles.setdefault(record["title"], []).append(record)
    for title, asked in list(articles.items())[:limit]:
        paragraphs = list(dict.fromkeys(r["context"] for r in asked))[:25]
        record = [r for r in asked if r["context"] in paragraphs][len(asked) // 2 % 60]
        documents = [{"title": title.replace("_", " "), "text": p} for p in paragraphs]
        yield _document_case(record["question"], documents, record["answers"], "any")


def multi_hop(*patterns: str) -> Source:
    """Asks questions that need several paragraphs: all supporting sentences, or else the answer, have to be kept."""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for record in list(_first_file(root, *patterns))[:limit]:
            paragraphs = record.get("paragraphs") or record.get("context") or []
            if paragraphs and "labels" in paragraphs[0]:
                needed = [s for p in paragraphs for s, label in zip(p["sentences"], p["labels"], strict=False) if label]
                documents = [{"title": p["title"], "text": " ".join(p["sentences"])} for p in paragraphs]
                yield _document_case(record["question"], documents, needed, "all")
            elif paragraphs and "paragraph_text" in paragraphs[0]:
                documents = [{"title": p["title"], "text": p["paragraph_text"]} for p in paragraphs]
                answers = [record["answer"], *record.get("answer_aliases", [])]
                yield _document_case(record["question"], documents, answers, "any")

    return cases


def selqa(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks a question that one sentence of a section answers."""
    asked = _first_file(root, "selqa/selqa-ass-test*", "selqa/selqa-ass-dev*")
    for record in [r for r in asked if r["answers"] and len(r["candidates"]) >= 12][:limit]:
        documents = [{"title": record["article"], "text": " ".join(record["candidates"])}]
        needed = [record["candidates"][answer][:60] for answer in record["answers"]]
        yield _document_case(record["question"], documents, needed, "any")


def write_table(form: str, header: list[str], rows: list[list[str]]) -> tuple[list[str], str]:
    """Returns the lines (or records) and the text of a table, written as `form` "json", "csv" or "md"."""
    if form == "json":
        units = [json.dumps(dict(zip(header, row, strict=False)), ensure_ascii=False) for row in rows]
        return units, "[" + ", ".join(units) + "]"
    if form == "csv":
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
        return file.getvalue().splitlines(), file.getvalue()
    lines = ["| " + " | ".join(cells) + " |" for cells in [header, *rows]]
    lines.insert(1, "|" + "---|" * len(header))
    return lines, "\n".join(lines)


def wiki_tables(form: str) -> Source:
    """Asks WikiTableQuestions whose answer is exactly one cell of a table of 15 rows or more."""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        tables = {t["context"]: t for t in _first_file(root, "wikitablequestions/wtq-*-tables*")}
        found = 0
        for asked in _first_file(root, "wikitablequestions/wtq-*-questions*"):
            table, answer = tables.get(asked["context"]), asked["targetValue"]
            if not table or len(table["rows"]) < 15 or "|" in answer:
                continue
            if sum(row.count(answer) for row in table["rows"]) != 1:
                continue
            if found == limit:
                return
            found += 1
            units, text = write_table(form, table["header"], table["rows"])
            scoring = NeededStrings([answer], "any")
            yield BatteryCase(asked["utterance"], ToolInput(text), units, count(text), scoring)

    return cases


def uuid_pairs(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks for the value of one key of a one-line JSON object."""
    for record in list(_first_file(root, "lost_in_the_middle/kv-retrieval-*"))[:limit]:
        text = json.dumps(dict(record["ordered_kv_records"]))
        question = f"What is the value of the key {record['key']}?"
        scoring = NeededStrings([record["value"]], "any")
        yield BatteryCase(question, ToolInput(text), text.split(", "), count(text), scoring)


def _logs(root: Path) -> Iterator[tuple[list[str], list[dict[str, str]]]]:
    """Yields the lines of each log of 2,000 lines, and what is known of each line."""
    for path in sorted((root / "loghub").glob("*_2k.log.gz")):
        with gzip.open(path, "rt", errors="replace") as file:
            lines = file.read().splitlines()
        with gzip.open(str(path).replace(".log.gz", ".log_structured.csv.gz"), "rt", errors="replace") as file:
            known = list(csv.DictReader(file))
        if len(lines) == len(known):
            yield lines, known


def log_events(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks for the line of a rare event among 500 lines, by the rarest words of its template."""
    rng = random.Random(seed)
    for lines, known in _logs(root):
        times = Counter(line["EventId"] for line in known)
        rare = [
            i
            for i, line in enumerate(known)
            if times[line["EventId"]] <= RARE and len(LONG_WORD.findall(line["EventTemplate"])) >= 3
        ]
        for i in rng.sample(rare, min(len(rare), max(2, limit // 8))):
            start = max(0, i - LOG_WINDOW // 2)
            window = lines[start : start + LOG_WINDOW]
            seen_in = {w: sum(w in line for line in window) for w in LONG_WORD.findall(known[i]["EventTemplate"])}
            words = sorted(seen_in, key=lambda word: (seen_in[word], word))[:3]
            question = f"When did the {' '.join(words)} event happen and with what values?"
            yield _log_case(question, window, NeededStrings([lines[i]], "any"))


def log_overviews(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks what happened in 500 lines: which share of the rare events' lines is kept?"""
    for lines, known in _logs(root):
        for start in (0, 700, 1400):
            window = lines[start : start + LOG_WINDOW]
            events = [line["EventId"] for line in known[start : start + LOG_WINDOW]]
            times = Counter(events)
            rare = [window[i] for i, event in enumerate(events) if times[event] <= RARE][:40]
            if len(rare) >= 3:
                yield _log_case("What happened?", window, NeededStrings(rare, "share"))


def _log_case(question: str, window: list[str], scoring: NeededStrings) -> BatteryCase:
    text = "\n".join(window)
    return BatteryCase(question, ToolInput(text), window, count(text), scoring)


def chat_memory(recall: bool) -> Source:
    """Asks about months of chat between two friends: the turns that answer have to be kept, or recalled."""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for record in _first_file(root, "locomo/locomo10*"):
            turns = _chat_turns(record["conversation"])
            asked = [q for q in record["qa"] if q.get("category") != 5 and q.get("evidence")]
            random.Random(5).shuffle(asked)
            lines = [f"{turn['speaker']}: {turn['text']}" for turn in turns]
            first = turns[0]["speaker"]
            messages: list[Message] = [
                {"role": "user" if turn["speaker"] == first else "assistant", "content": line}
                for turn, line in zip(turns, lines, strict=True)
            ]
            by_id = {turn["dia_id"]: turn for turn in turns}
            for q in asked[: max(2, limit // 5)]:
                evidence = [by_id[e]["text"] for e in q["evidence"] if e in by_id]
                if not evidence:
                    continue
                content: SessionInput | ChatInput
                if recall:
                    content = SessionInput(record["sample_id"], messages)
                else:
                    system = {"role": "system", "content": "You are a helpful friend."}
                    content = ChatInput([system, *messages, {"role": "user", "content": q["question"]}])
                needed = [max(flat_sentences(text), key=len)[:60] for text in evidence]
                scoring = NeededStrings(needed, "all")
                yield BatteryCase(q["question"], content, lines, count("\n".join(lines)), scoring)

    return cases


def _chat_turns(conversation: dict[str, Any]) -> list[dict[str, str]]:
    turns: list[dict[str, str]] = []
    session = 1
    while f"session_{session}_date_time" in conversation:
        turns += conversation.get(f"session_{session}") or []
        session += 1
    return turns


def _alternating(lines: list[str]) -> list[Message]:
    return [{"role": "user" if i % 2 else "assistant", "content": line} for i, line in enumerate(lines)]


def meetings(as_chat: bool) -> Source:
    """Asks a question about a meeting: which share of the sentences that annotators named is kept?"""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for record in list(_first_file(root, "qmsum/qmsum-test*", "qmsum/qmsum-val*"))[:limit]:
            if not record["specific_query_list"]:
                continue
            asked, turns = record["specific_query_list"][0], record["meeting_transcripts"]
            lines = [f"{turn['speaker']}: {turn['content']}" for turn in turns]
            spans = [range(int(a), int(b) + 1) for a, b in asked["relevant_text_span"]]
            texts = [turns[i]["content"] for span in spans for i in span if i < len(turns)]
            needed = [s for text in texts for s in flat_sentences(text) if len(s) > MIN_SENTENCE]
            if not needed:
                continue
            whole, question = "\n".join(lines), {"role": "user", "content": asked["query"]}
            content = ChatInput([question, *_alternating(lines), question]) if as_chat else TextInput(whole)
            yield BatteryCase(asked["query"], content, lines, count(whole), NeededStrings(needed, "share"))

    return cases


def agent_runs(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
    """Asks which step of a run of many agents went wrong: which share of the sentences of that step is kept?"""
    for record in list(_first_file(root, "who_and_when/*.jsonl*"))[:limit]:
        history, step = record["history"], int(record["mistake_step"])
        if step >= len(history) or sum(count(m["content"]) for m in history) < 1500:
            continue
        lines = [f"{m.get('name') or m['role']}: {m['content']}" for m in history]
        needed = [s for s in flat_sentences(history[step]["content"]) if len(s) > MIN_SENTENCE]
        if needed:
            task = {"role": "user", "content": record["question"]}
            asked = {"role": "user", "content": "Which step went wrong?"}
            content = ChatInput([task, *_alternating(lines), asked])
            units = [sentence for line in lines for sentence in sentences(line)]
            size = count("\n".join(lines))
            yield BatteryCase(record["question"], content, units, size, NeededStrings(needed, "share"))


def real_files(as_tool: bool) -> Source:
    """Asks questions about real files and command outputs."""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for path in sorted((root / "real_files").glob("[0-9]*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            with path.with_suffix(".txt").open(encoding="utf-8", newline="") as file:
                text = file.read()
            arguments = json.dumps({"command": record.get("command", "cat input")})
            content = ToolInput(text, arguments) if as_tool else TextInput(text)
            for asked in record["questions"][: 2 if limit >= 20 else 1]:
                scoring = NeededStrings([asked["answer"]], "any")
                yield BatteryCase(asked["q"], content, text.splitlines(), count(text), scoring)

    return cases
