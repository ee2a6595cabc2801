"""Generates records in 18 notations, and asks which of them have a rare value."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.battery_case import BatteryCase, ToolInput
from benchmarks.battery_cases import Source, write_table
from benchmarks.battery_owners import Record, RecordScoring
from benchmarks.tokens import count

WORDS = (
    "amber birch cedar delta ember fjord grove haven iris juniper kestrel lotus maple nectar onyx pine quartz ridge "
    "sable tundra umber violet willow yarrow zephyr"
).split()
OWNERS = "mira jonas edda piotr".split()
REGIONS = "eu-west us-east ap-south".split()
#: Field name, and its value in record number i.
FIELDS: list[tuple[str, Callable[[random.Random, int], str]]] = [
    ("owner", lambda rng, i: rng.choice(OWNERS)),
    ("region", lambda rng, i: rng.choice(REGIONS)),
    ("memory", lambda rng, i: f"{3 * i + 128}Mi"),
    ("image", lambda rng, i: f"registry.local/{WORDS[i % len(WORDS)]}-{i}:v1.{i}.{rng.randint(0, 9)}"),
    ("port", lambda rng, i: str(7000 + i * 13)),
    ("note", lambda rng, i: " ".join(rng.choice(WORDS) for _ in range(6))),
]
#: Field name, the value asked for, and the value of all other records.
FLAGS = [
    ("tls", "false", "true"),
    ("status", "failed", "ok"),
    ("backup", "never", "daily"),
    ("phase", "CrashLoopBackOff", "Running"),
]


def _rest(record: Record) -> list[tuple[str, str]]:
    """Returns the fields without the name."""
    return [(key, value) for key, value in record.items() if key != "name"]


#: Notations that write one record after the other.
ONE_RECORD: dict[str, Callable[[Record], str]] = {
    "yaml": lambda r: "- " + "\n  ".join(f"{k}: {v}" for k, v in r.items()),
    "yaml_map": lambda r: f"{r['name']}:\n" + "\n".join(f"  {k}: {v}" for k, v in _rest(r)),
    "ini": lambda r: f"[{r['name']}]\n" + "\n".join(f"{k} = {v}" for k, v in _rest(r)) + "\n",
    "blocks": lambda r: "\n".join(f"{k.title()}: {v}" for k, v in r.items()) + "\n",
    "markdown": lambda r: f"- **{r['name']}**\n" + "\n".join(f"  - {k}: {v}" for k, v in _rest(r)),
    "logfmt": lambda r: " ".join(f'{k}="{v}"' if " " in v else f"{k}={v}" for k, v in r.items()),
    "xml": lambda r: "  <service>\n" + "\n".join(f"    <{k}>{v}</{k}>" for k, v in r.items()) + "\n  </service>",
    "xml_attr": lambda r: "  <service " + " ".join(f'{k}="{v}"' for k, v in r.items()) + " />",
    "toml": lambda r: "[[service]]\n" + "\n".join(f'{k} = "{v}"' for k, v in r.items()) + "\n",
    "sql": lambda r: "INSERT INTO services VALUES (" + ", ".join(f"'{v}'" for v in r.values()) + ");",
    "python": repr,
    "describe": lambda r: (
        f"Name:         {r['name']}\nSpec:\n" + "\n".join(f"  {k.title() + ':':<14}{v}" for k, v in _rest(r)) + "\n"
    ),
    "jsonl": json.dumps,
}


def _columns(records: list[Record]) -> str:
    widths = {key: max(len(key), *(len(r[key]) for r in records)) + 2 for key in records[0]}
    rows = [{key: key.upper() for key in widths}, *records]
    return "\n".join("".join(row[key].ljust(widths[key]) for key in widths).rstrip() for row in rows)


#: Notations of all records.
ALL_RECORDS: dict[str, Callable[[list[Record]], str]] = {
    "json": json.dumps,
    "json_indent": lambda rs: json.dumps(rs, indent=2),
    "json_wrapped": lambda rs: "Result of list_services:\n```json\n" + json.dumps(rs) + "\n```\nDone in 0.3 s",
    "csv": lambda rs: write_table("csv", list(rs[0]), [list(r.values()) for r in rs])[1],
    "columns": _columns,
}
NOTATIONS = (
    "json json_indent json_wrapped jsonl yaml yaml_map ini blocks markdown logfmt xml xml_attr toml sql python "
    "describe csv columns"
).split()


def write_records(notation: str, records: list[Record]) -> str:
    """Writes records in a notation."""
    if notation in ALL_RECORDS:
        return ALL_RECORDS[notation](records)
    text = "\n".join(map(ONE_RECORD[notation], records))
    if notation.startswith("xml"):
        return f"<services>\n{text}\n</services>"
    return "services:\n" + text if notation == "yaml" else text


def record_cases(notation: str) -> Source:
    """Asks which of 18 to 45 services have a value that two to five of them have."""

    def cases(root: Path, limit: int, seed: int) -> Iterator[BatteryCase]:
        for case in range(max(4, limit // 4)):
            rng = random.Random(f"{seed}-{notation}-{case}")
            n = rng.randint(18, 45)
            flag, yes, no = rng.choice(FLAGS)
            names = [f"svc-{WORDS[(i * 7 + case) % len(WORDS)]}-{i}" for i in range(n)]
            hits = set(rng.sample(range(n), rng.randint(2, 5)))
            fields = rng.sample(FIELDS, rng.randint(3, 5))
            services: list[Record] = []
            for i, name in enumerate(names):
                before = {key: make(rng, i) for key, make in fields[:2]}
                after = {key: make(rng, i) for key, make in fields[2:]}
                services.append({"name": name, **before, flag: yes if i in hits else no, **after})
            text = write_records(notation, services)
            questions = [
                f"Which services have {flag} {yes}?",
                f"List every service whose {flag} is {yes}.",
                f"Which ones are {yes}?",
            ]
            question = rng.choice(questions)
            units = text.splitlines() if "\n" in text else text.split("}, ")
            scoring = RecordScoring(services, {names[i]: yes for i in sorted(hits)})
            yield BatteryCase(question, ToolInput(text), units, count(text), scoring)

    return cases
