"""Builds the banks of examples that `example_banks` measures: few and many labels, noise, duplicates, free text.

Each bank says which kind an example is of. An example helps a query if it is of the query's kind: it has the right
label, or it is about the same table, article, task or type of equation.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import records, sample
from benchmarks.example_banks_text import LANGUAGES, multilingual, sql_questions

Example = dict[str, str]
#: A text, its output, and its kind.
Item = tuple[str, str, str]


@dataclass(frozen=True)
class ExampleBank:
    """A bank and its queries.

    Attributes:
        name: The name of the bank.
        examples: The examples, with `input` and `output`.
        kinds: The kind of each example.
        queries: Pairs of a query and the kind of the examples that help it.
        budget: Tokens for the chosen examples.
        tuned: Whether constants were chosen on this bank; on the others they were only tried.
    """

    name: str
    examples: list[Example]
    kinds: list[str]
    queries: list[tuple[str, str]]
    budget: int
    tuned: bool


def banks(root: Path, limit: int) -> Iterator[ExampleBank]:
    """Yields all banks whose data is there, with at most `limit` queries each."""
    for source in (_clinc, _sgd, _selqa, _math, _tables, _bbh, _squad, _logs, _calls, _generated):
        try:
            yield from source(root, limit)
        except FileNotFoundError:  # noqa: PERF203
            continue


def _bank(
    name: str, items: Iterable[Item], queries: Sequence[tuple[str, str]], budget: int, limit: int, tuned: bool = False
) -> ExampleBank:
    """Shuffles the items, so that nothing depends on how a file is sorted, and takes some of the queries."""
    mixed = list(dict.fromkeys(items))
    random.Random(name).shuffle(mixed)
    known = {kind for _, _, kind in mixed}
    asked = sample([query for query in queries if query[1] in known], limit)
    examples = [{"input": text, "output": output} for text, output, _ in mixed]
    return ExampleBank(name, examples, [kind for _, _, kind in mixed], asked, budget, tuned)


def _clinc(root: Path, limit: int) -> Iterator[ExampleBank]:
    groups: dict[str, list[str]] = defaultdict(list)
    for record in records(root / "clinc150" / "train.jsonl.gz"):
        groups[record["intent"]].append(record["text"])
    queries = [(r["text"], r["intent"]) for r in records(root / "clinc150" / "val.jsonl.gz")]
    random.Random(7).shuffle(queries)

    def drawn(counts: Callable[[str], int], seed: int) -> list[Item]:
        draw = random.Random(seed)
        return [(text, label, label) for label in groups for text in draw.sample(groups[label], counts(label))]

    for count in (2, 5, 8, 10, 15, 30):
        items = drawn(lambda _, count=count: count, count)  # type: ignore[misc]
        yield _bank(f"clinc150, {count} a label", items, queries, 160, limit, count in (5, 15))
    full = [(text, label, label) for label, texts in groups.items() for text in texts]
    yield _bank("clinc150, all 15,000", full, queries, 160, limit, True)
    noise, labels = random.Random(20), list(groups)
    noisy = [
        (t, k, k) if noise.random() > 0.2 else (t, wrong := noise.choice(labels), wrong)
        for t, k, _ in drawn(lambda _: 15, 1)
    ]
    yield _bank("clinc150, 20 % wrong labels", noisy, queries, 160, limit, True)
    head = set(random.Random(3).sample(labels, 20))
    tail = [query for query in queries if query[1] not in head]
    items = drawn(lambda label: 100 if label in head else 3, 4)
    yield _bank("clinc150, imbalanced, tail queries", items, tail, 160, limit)
    edit = random.Random(5)
    items = [(near, k, k) for t, k, _ in drawn(lambda _: 10, 6) for near in [t, *(_edited(t, edit) for _ in range(4))]]
    yield _bank("clinc150, near-duplicates x5", items, queries, 160, limit)


def _edited(text: str, draw: random.Random) -> str:
    """A text with one small edit."""
    words = text.split()
    at = draw.randrange(len(words))
    match draw.randrange(5):
        case 0:
            return f"please {text}"
        case 1:
            return f"{text} thanks"
        case 2 if len(words) > 3:
            return " ".join(words[:at] + words[at + 1 :])
        case 3 if len(words[at]) > 3:
            return " ".join([*words[:at], words[at][0] + words[at][2] + words[at][1] + words[at][3:], *words[at + 1 :]])
        case _:
            return f"hi {text} now"


def _sgd(root: Path, limit: int) -> Iterator[ExampleBank]:
    train, dev = (_requests(root / "sgd" / f"sgd-{part}-subset.jsonl.gz") for part in ("train", "dev"))
    held = [item for item in train if item[3] % 5 == 0]
    bank = [item for item in train if item[3] % 5]
    for name, asked, tuned in (("same", held, True), ("other", dev, False)):
        draw = random.Random(name).sample(asked, min(len(asked), 2_000))
        queries = [(text, kind) for text, _, kind, _ in draw]
        yield _bank(f"sgd intents, {name} split", [(t, k, k) for t, _, k, _ in bank], queries, 160, limit, tuned)
    queries = [(text, kind) for text, _, kind, _ in random.Random(9).sample(held, len(held))]
    yield _bank("sgd, free-text replies", [(t, reply, k) for t, reply, k, _ in bank], queries, 300, limit)


def _requests(path: Path) -> list[tuple[str, str, str, int]]:
    """User turns that begin an intent: text, reply, intent, number of the dialogue."""
    out = []
    for number, dialogue in enumerate(records(path)):
        last = ""
        turns = dialogue["turns"]
        for turn, reply in itertools.pairwise(turns):
            intent = turn["frames"][0].get("active_intent", "NONE") if turn["speaker"] == "USER" else last
            if intent not in (last, "NONE"):
                out.append((turn["utterance"], reply["utterance"], intent, number))
            last = intent
    return out


def _selqa(root: Path, limit: int) -> Iterator[ExampleBank]:
    found = list(records(root / "selqa" / "selqa-ass-dev.jsonl.gz"))
    random.Random(2).shuffle(found)
    bank, asked = found[150:], found[:150]
    queries = [(r["question"], r["topic"]) for r in asked]
    yield _bank(
        "selqa question to topic", [(r["question"], r["topic"], r["topic"]) for r in bank], queries, 160, limit, True
    )

    def long(record: Any) -> str:
        return f"{' '.join(record['candidates'])[:1_400]}\n\n{record['question']}"

    queries = [(long(r), r["topic"]) for r in asked]
    yield _bank("selqa, long examples", [(long(r), r["topic"], r["topic"]) for r in bank], queries, 2_000, limit)


def _math(root: Path, limit: int) -> Iterator[ExampleBank]:
    found = [
        (
            f"{r['Body']} {r['Question']}",
            r["Equation"],
            f"{r['Answer']:g}",
            str(r["Type"]).replace("Divison", "Division"),
        )
        for r in records(root / "icl_math" / "svamp.jsonl.gz")
    ]
    random.Random(2).shuffle(found)
    bank, queries = found[120:], [(text, kind) for text, _, _, kind in found[:120]]
    yield _bank("svamp to equation", [(t, e, k) for t, e, _, k in bank], queries, 300, limit, True)
    yield _bank("svamp to number", [(t, n, k) for t, _, n, k in bank], queries, 300, limit)
    yield _bank("svamp to type", [(t, k, k) for t, _, _, k in bank], queries, 300, limit)


def _tables(root: Path, limit: int) -> Iterator[ExampleBank]:
    found = []
    for number, record in enumerate(records(root / "tatqa" / "tatqa-dev.jsonl.gz")):
        found += [(q["question"], q["derivation"], str(number)) for q in record["questions"] if q["derivation"]]
    random.Random(2).shuffle(found)
    yield _bank("tatqa to derivation", found[150:], [(t, k) for t, _, k in found[:150]], 400, limit)
    found = [
        (r["utterance"], r["targetValue"], r["context"])
        for r in records(root / "wikitablequestions" / "wtq-train-questions.jsonl.gz")
    ]
    random.Random(2).shuffle(found)
    yield _bank("wikitablequestions to answer", found[150:6_150], [(t, k) for t, _, k in found[:150]], 400, limit, True)


def _bbh(root: Path, limit: int) -> Iterator[ExampleBank]:
    found = [(r["input"], r["target"], r["task"]) for r in records(root / "bbh" / "bbh.jsonl.gz")]
    random.Random(2).shuffle(found)
    yield _bank("bbh, tasks mixed", found[150:], [(t, k) for t, _, k in found[:150]], 1_000, limit, True)


def _squad(root: Path, limit: int) -> Iterator[ExampleBank]:
    found = [
        (r["question"], r["answers"][0], r["title"])
        for r in records(root / "squad" / "squad_v1.1_dev.jsonl.gz")
        if r.get("answers")
    ]
    random.Random(2).shuffle(found)
    bank, queries = found[150:2_150], [(t, k) for t, _, k in found[:150]]
    yield _bank("squad to answer", bank, queries, 300, limit, True)
    yield _bank("squad to title, 10 a label", _few([(t, k, k) for t, _, k in bank], 10), queries, 160, limit)


def _few(items: Sequence[Item], count: int) -> list[Item]:
    """The first `count` items of each kind."""
    seen: dict[str, int] = defaultdict(int)
    out = []
    for item in items:
        seen[item[2]] += 1
        if seen[item[2]] <= count:
            out.append(item)
    return out


def _logs(root: Path, limit: int) -> Iterator[ExampleBank]:
    found: list[Item] = []
    for path in sorted((root / "loghub").glob("*_structured.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = random.Random(2).sample(list(csv.DictReader(lines)), 200)
        name = path.name.split("_")[0].lower()
        found += [(row["Content"][:300], kind := f"{name}-{row['EventId']}", kind) for row in rows]
    if found:
        random.Random(2).shuffle(found)
        yield _bank("loghub line to template", found[150:], [(t, k) for t, _, k in found[:150]], 300, limit)


def _calls(root: Path, limit: int) -> Iterator[ExampleBank]:
    name = "BFCL_v4_live_multiple.json.gz"
    answers = {r["id"]: r["ground_truth"] for r in records(root / "bfcl" / "possible_answer" / name)}
    found = []
    for record in records(root / "bfcl" / name):
        call = answers[record["id"]][0]
        text = record["question"][0][-1]["content"][:600]
        found.append((text, json.dumps(call, ensure_ascii=False), next(iter(call))))
    random.Random(2).shuffle(found)
    yield _bank("bfcl request to call", found[150:], [(t, k) for t, _, k in found[:150]], 400, limit)


def _generated(_: Path, limit: int) -> Iterator[ExampleBank]:
    for language in LANGUAGES:
        items, queries = multilingual(language)
        yield _bank(
            f"6 intents x 5, {language}", [(t, k, k) for t, k in items], queries, 45, limit, language in ("de", "zh")
        )
    found, asked = sql_questions()
    yield _bank("questions to SQL", found, asked, 300, limit)
