"""Generates records for notations that nobody tunes on, and asks several kinds of questions about them.

Who works on the compressor reads neither these cases nor what becomes of them, only the numbers: `--look` skips them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.battery_case import BatteryCase, ToolInput
from benchmarks.battery_cases import Source
from benchmarks.battery_held_out_notations import NOTATIONS, Notation
from benchmarks.battery_owners import Record, RecordBounds, RecordScoring
from benchmarks.tokens import count

#: The value of a field in record number i.
MakeValue = Callable[[random.Random, int], str]

PEOPLE = "tolliver abara quist renner okonjo varga lindqvist moreau".split()
BIRDS = "heron plover dunlin avocet curlew godwit osprey petrel siskin wagtail whimbrel redshank".split()
PLACES = "Tromso Bergamo Leuven Porto Gdansk Malmo".split()
FIRST_NAMES = "Ines Tarek Maren Joao Yuki Bram Celia Dario Elif Fenna Goran Hanne".split()
LAST_NAMES = "Castellano Bekele Drummond Eriksen Fukuda Galloway Hossain Ivanova".split()


def one_of(*values: str) -> MakeValue:
    """Returns what makes one of some values."""
    return lambda rng, i: rng.choice(values)


def _words(rng: random.Random, i: int) -> str:
    return " ".join(rng.choice(BIRDS) for _ in range(5)) + f" {rng.randint(100, 999)}x{i}"


@dataclass(frozen=True)
class Domain:
    """A kind of record.

    Attributes:
        one: What a record is called, and `many` several of them.
        person: The field that names a person.
        fields: The other fields.
        flags: Field name, the value that few records have, the value of the others.
    """

    one: str
    many: str
    name: MakeValue
    person: str
    fields: dict[str, MakeValue]
    flags: list[tuple[str, str, str]]


DOMAINS = {
    "hosts": Domain(
        "host",
        "hosts",
        lambda rng, i: f"{BIRDS[i % len(BIRDS)]}{i:02d}.lab",
        "contact",
        {
            "rack": lambda rng, i: f"R{31 + i % 9}-U{100 + i}",
            "address": lambda rng, i: f"10.{rng.randint(20, 99)}.{rng.randint(1, 250)}.{100 + i}",
            "system": one_of("debian-12", "alpine-3.20", "rocky-9"),
            "serial": lambda rng, i: f"SN{rng.randint(100, 999)}{i:03d}",
            "remark": _words,
        },
        [("monitoring", "disabled", "enabled"), ("state", "drained", "serving"), ("disk", "degraded", "healthy")],
    ),
    "orders": Domain(
        "order",
        "orders",
        lambda rng, i: f"ORD-{40211 + 37 * i}",
        "customer",
        {
            "amount": lambda rng, i: f"{rng.randint(100, 999)}.{i:02d} EUR",
            "carrier": one_of("Postnord", "Colissimo", "Hermes"),
            "city": one_of(*PLACES),
            "tracking": lambda rng, i: f"TRK{rng.randint(10000, 99999)}{i:03d}",
            "comment": _words,
        },
        [("payment", "overdue", "settled"), ("parcel", "damaged", "intact")],
    ),
    "jobs": Domain(
        "job",
        "jobs",
        lambda rng, i: f"{('sync', 'export', 'rotate', 'index')[i % 4]}_{BIRDS[i * 5 % len(BIRDS)]}_{i:02d}",
        "operator",
        {
            "queue": one_of("bulk", "express", "overnight"),
            "seconds": lambda rng, i: f"{rng.randint(100, 999)}.{i:03d}",
            "run_id": lambda rng, i: f"{rng.randrange(16**6):06x}{i:04x}",
            "artifact": lambda rng, i: f"s3://builds/{rng.randint(1000, 9999)}/{i:03d}.tar",
            "summary": _words,
        },
        [("outcome", "aborted", "finished"), ("schedule", "paused", "nightly")],
    ),
    "people": Domain(
        "person",
        "people",
        lambda rng, i: f"{FIRST_NAMES[i % 12]} {LAST_NAMES[i * 7 % 8]}-{LAST_NAMES[(i // 12 + i) % 8]}",
        "manager",
        {
            "phone": lambda rng, i: f"+47 {rng.randint(200, 999)} 55 {i:03d}",
            "office": one_of(*PLACES),
            "desk": lambda rng, i: f"D{rng.randint(10, 99)}-{i:03d}",
            "email": lambda rng, i: f"{BIRDS[i % len(BIRDS)]}.{i:02d}@mail.test",
        },
        [("badge", "expired", "current"), ("contract", "suspended", "permanent")],
    ),
    "messages": Domain(
        "message",
        "messages",
        lambda rng, i: f"{('cart', 'login', 'profile')[i % 3]}.{BIRDS[i * 7 % len(BIRDS)]}.t{i:02d}",
        "translator",
        {
            "file": lambda rng, i: f"src/views/{BIRDS[i % len(BIRDS)]}_{i:02d}.tsx:{rng.randint(100, 999)}",
            "version": one_of("2024-spring", "2024-autumn", "2025-spring"),
            "text": _words,
        },
        [("review", "fuzzy", "final"), ("length", "overflowing", "fitting")],
    ),
    "commits": Domain(
        "commit",
        "commits",
        lambda rng, i: f"{rng.randrange(16**7):07x}{i:03x}",
        "author",
        {
            "date": lambda rng, i: f"2025-{1 + i % 12:02d}-{1 + i % 28:02d} {rng.randint(10, 23)}:{i % 60:02d}",
            "ticket": lambda rng, i: f"CORE-{rng.randint(100, 999)}{i:02d}",
            "branch": one_of("release-8", "trunk", "hotfix-7"),
            "subject": _words,
        },
        [("review", "rejected", "approved"), ("build", "broken", "green")],
    ),
}
#: For notations that suit any kind of record.
ANY_DOMAIN = ("hosts", "orders", "jobs")


@dataclass(frozen=True)
class Asked:
    """A question and its answer: values by record name."""

    question: str
    answer: dict[str, str]


def make_records(rng: random.Random, domain: Domain, flag: tuple[str, str, str]) -> list[Record]:
    """Makes 24 to 60 records, of which two or more, but at most a tenth, have the flag's rare value."""
    n = rng.randint(24, 60)
    hits = set(rng.sample(range(n - 1), rng.randint(2, max(2, n // 10))))  # not the last: a notation may be cut there
    chosen = rng.sample(list(domain.fields), rng.randint(2, len(domain.fields)))
    keys = rng.sample([flag[0], domain.person, *chosen], len(chosen) + 2)
    records: list[Record] = []
    for i in range(n):
        values = {
            **{key: domain.fields[key](rng, i) for key in chosen},
            flag[0]: flag[1] if i in hits else flag[2],
            domain.person: rng.choice(PEOPLE),
        }
        records.append({"name": domain.name(rng, i), **{key: values[key] for key in keys}})
    return records


def ask_which(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks which records have the rare value."""
    key, rare, usual = flag
    questions = [
        f"Which {domain.many} have {key} {rare}?",
        f"List all {domain.many} whose {key} is {rare}.",
        f"Are there any {domain.many} where {key} is not {usual}? Which ones?",
        f"I need the names of the {rare} {domain.many}.",
    ]
    return Asked(rng.choice(questions), {r["name"]: rare for r in records if r[key] == rare})


def ask_value(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks for one field of one record."""
    record = rng.choice(records[:-1])
    key = rng.choice([key for key in record if key != "name"])
    question = rng.choice([f"What is the {key} of {record['name']}?", f"{record['name']}: which {key}?"])
    return Asked(question, {record["name"]: record[key]})


def ask_person(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks who belongs to a record."""
    record = rng.choice(records[:-1])
    return Asked(f"Who is the {domain.person} of {record['name']}?", {record["name"]: record[domain.person]})


def ask_reverse(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks which record has a value that no other has."""
    pairs = [(r["name"], key, value) for r in records[:-1] for key, value in r.items() if key != "name"]
    values = [value for r in records for value in r.values()]
    unique = [pair for pair in pairs if values.count(pair[2]) == 1]
    name, key, value = rng.choice(unique or pairs)
    return Asked(f"Which {domain.one} has the {key} {value}?", {name: value})


def ask_two(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks for the same field of two records."""
    one, other = rng.sample(records[:-1], 2)
    key = rng.choice([key for key in one if key != "name"])
    question = f"Compare the {key} of {one['name']} with that of {other['name']}."
    return Asked(question, {one["name"]: one[key], other["name"]: other[key]})


def ask_persons_records(rng: random.Random, domain: Domain, flag: tuple[str, str, str], records: list[Record]) -> Asked:
    """Asks which records belong to the person who has the fewest."""
    of = {p: [r["name"] for r in records if r[domain.person] == p] for p in PEOPLE}
    last = records[-1][domain.person]
    person = min((p for p in PEOPLE if of[p] and p != last), key=lambda p: (len(of[p]), p))
    question = f"Which {domain.many} have {person} as {domain.person}?"
    return Asked(question, dict.fromkeys(of[person], person))


QUESTIONS = [ask_which, ask_value, ask_person, ask_reverse, ask_which, ask_persons_records, ask_two]


def held_out_cases(name: str) -> Source:
    """Asks seven kinds of questions in turn about records in a held-out notation."""
    notation = NOTATIONS[name]
    domains = [notation.domain] if notation.domain else ANY_DOMAIN
    return question_cases(f"held-out-{name}", notation, [DOMAINS[d] for d in domains], list(NOTATIONS).index(name))


def question_cases(name: str, notation: Notation, domains: Sequence[Domain], first: int) -> Source:
    """Asks seven kinds of questions in turn about records in a notation.

    Args:
        name: What the seeds of the cases are made from.
        notation: The notation.
        domains: The kinds of records that may be written in it.
        first: The number of the first kind of question.
    """
    bounds = RecordBounds(
        re.compile(notation.opening, re.MULTILINE) if notation.opening else None,
        re.compile(notation.closing, re.MULTILINE) if notation.closing else None,
    )

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for case in range(max(4, limit // 4)):
            rng = random.Random(f"{seed}-{name}-{case}")
            domain = domains[0] if len(domains) == 1 else rng.choice(domains)
            flag = rng.choice(domain.flags)
            records = make_records(rng, domain, flag)
            asked = QUESTIONS[(first + case) % len(QUESTIONS)](rng, domain, flag, records)
            text = notation.write(records)
            units = re.split(notation.unit, text) if notation.unit else text.splitlines()
            scoring = RecordScoring(records, asked.answer, bounds, unambiguous=True)
            yield BatteryCase(asked.question, ToolInput(text), units, count(text), scoring)

    return cases
