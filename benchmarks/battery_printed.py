"""Records as programs print them: what shells, devices, databases and APIs answer, and how languages print lists.

These notations were made up to find faults in and may be looked at, other than those of `battery_held_out`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from benchmarks.battery_cases import Source
from benchmarks.battery_held_out import Domain, one_of, question_cases
from benchmarks.battery_held_out_notations import Notation, Write, rest
from benchmarks.battery_owners import Record

ANIMALS = "otter badger lynx marten stoat weasel beaver moose ibex chamois".split()


def _note(rng: random.Random, i: int) -> str:
    return " ".join(rng.choice(ANIMALS) for _ in range(4)) + f" {rng.randint(100, 999)}k{i}"


DOMAINS = [
    Domain(
        "device",
        "devices",
        lambda rng, i: f"dev-{ANIMALS[i % 10]}-{i:02d}",
        "keeper",
        {
            "firmware": one_of("4.1.9", "4.2.0", "5.0.1"),
            "ip": lambda rng, i: f"172.16.{rng.randint(1, 250)}.{i + 3}",
            "mac": lambda rng, i: f"02:{rng.randrange(256):02x}:{rng.randrange(256):02x}:aa:bb:{i:02x}",
            "site": one_of("Turku", "Split", "Cadiz"),
            "note": _note,
        },
        [("power", "failing", "ok"), ("link", "down", "up")],
    ),
    Domain(
        "ticket",
        "tickets",
        lambda rng, i: f"TCK-{7001 + 13 * i}",
        "assignee",
        {
            "points": lambda rng, i: str(rng.randint(100, 999) * 7 + i),
            "component": one_of("parser", "router", "billing"),
            "opened": lambda rng, i: f"2026-0{1 + i % 9}-{1 + i % 28:02d}T{rng.randint(10, 23)}:{i % 60:02d}:00Z",
            "title": _note,
        },
        [("priority", "urgent", "normal"), ("status", "blocked", "moving")],
    ),
    Domain(
        "vessel",
        "vessels",
        lambda rng, i: f"MV {ANIMALS[i * 3 % 10].title()} {i + 11}",
        "captain",
        {
            "tonnage": lambda rng, i: str(rng.randint(10_000, 99_999)),
            "port": one_of("Bilbao", "Riga", "Ancona"),
            "imo": lambda rng, i: f"IMO{9_100_000 + rng.randint(0, 9_999) * 10 + i % 10}",
            "cargo": _note,
        },
        [("clearance", "denied", "granted"), ("crew", "short", "full")],
    ),
]


def _lines(first: str, field: str, last: str = "", before: str = "", after: str = "") -> Write:
    """Writes each record as a first line, a line of each field, and a last line."""

    def one(record: Record) -> str:
        fields = "".join(field.format(k=key, v=value) for key, value in rest(record))
        return first.format(name=record["name"]) + fields + last

    return lambda records: before + "".join(map(one, records)) + after


def _inline(first: str, field: str, between: str, last: str) -> Callable[[Record], str]:
    """Writes a record in one line, its name among the fields."""
    return lambda record: first + between.join(field.format(k=key, v=value) for key, value in record.items()) + last


def _listed(one: Callable[[Record], str], before: str = "[", between: str = ", ", after: str = "]") -> Write:
    return lambda records: before + between.join(map(one, records)) + after


def _table(separator: str, quote: str = "", before: str = "", after: str = "") -> Write:
    def write(records: list[Record]) -> str:
        rows = [list(records[0]), *([*record.values()] for record in records)]
        return "\n".join(before + separator.join(f"{quote}{cell}{quote}" for cell in row) + after for row in rows)

    return write


def _hits(records: list[Record]) -> str:
    hits = [{"_id": str(i), "_source": record} for i, record in enumerate(records)]
    return json.dumps({"took": 3, "hits": {"total": len(records), "hits": hits}})


def _tags(records: list[Record]) -> str:
    pairs = [{"id": r["name"], "tags": [{"key": k, "value": v} for k, v in rest(r)]} for r in records]
    return json.dumps(pairs)


def _edges(records: list[Record]) -> str:
    edges = [{"cursor": f"c{i}", "node": record} for i, record in enumerate(records)]
    return json.dumps({"data": {"list": {"edges": edges}}}, indent=2)


_AFTER_BRACE, _AFTER_PAREN = r"(?<=\}), ", r"(?<=\)), "
PRINTED: dict[str, Notation] = {
    "interfaces": Notation(_lines("interface {name}\n", " {k} {v}\n", "!\n"), r"^interface ", r"^!"),
    "lists": Notation(_lines('(rec (name "{name}")\n', '     ({k} "{v}")\n', ")\n"), r"\(rec "),
    "drawers": Notation(_lines("* {name}\n:PROPERTIES:\n", ":{k}: {v}\n", ":END:\n"), r"^\* "),
    "keys_above": Notation(_lines("name\n    {name}\n", "{k}\n    {v}\n", "\n"), r"^name$"),
    "devices": Notation(_lines("  *-rec:{name}\n", "       {k}: {v}\n"), r"^  \*-rec"),
    "facts": Notation(_lines("ok: [{name}] => {{\n", '    "{k}": "{v}",\n', "}}\n"), r"ok: \["),
    "manifests": Notation(_lines("  rec {{ '{name}':\n", "    {k} => '{v}',\n", "  }}\n"), r"  rec \{"),
    "bullets": Notation(_lines("- {name}\n", "  - {k}: {v}\n"), r"^- "),
    "cards": Notation(
        _lines('<div class="card"><h3>{name}</h3>\n', "<p><b>{k}:</b> {v}</p>\n", "</div>\n"), r"<div class", r"</div>"
    ),
    "properties": Notation(
        _lines('  <item id="{name}">\n', '    <prop key="{k}" value="{v}"/>\n', "  </item>\n", "<list>\n", "</list>"),
        r"<item ",
        r"</item>",
    ),
    "java": Notation(_listed(_inline("Rec{", "{k}='{v}'", ", ", "}")), r"Rec\{", r"\}", _AFTER_BRACE),
    "rows": Notation(_listed(_inline("Row(", "{k}='{v}'", ", ", ")")), r"Row\(", r"\)", _AFTER_PAREN),
    "objects": Notation(_listed(_inline("<Rec ", "{k}='{v}'", " ", ">"), "", " ", ""), r"<Rec", r">", r"(?<=>) "),
    "values": Notation(lambda records: f"rows = {records!r}", r"\{'", r"\}", _AFTER_BRACE),
    "flow_rows": Notation(_listed(_inline("- {", "{k}: {v}", ", ", "}"), "", "\n", "")),
    "zone": Notation(lambda records: "\n".join(
        f'{r["name"]} IN TXT "{"; ".join(f"{k}={v}" for k, v in rest(r))}"' for r in records)),
    "forms": Notation(_listed(_inline("", "{k}={v}", "&", ""), "", "\n", "")),
    "csv_quoted": Notation(_table(",", '"')),
    "pipes": Notation(_table(" | ")),
    "latex": Notation(_table(" & ", "", "", " \\\\")),
    "wiki": Notation(_table("|", "", "|", "|")),
    "hits": Notation(_hits, r'\{"_id"|\["', r"\}\}", r"(?<=\}\}), "),
    "tags": Notation(_tags, r'\{"id"', r"\]\}", r"(?<=\]\}), "),
    "edges": Notation(_edges, r'\{\s*"cursor"|\["c'),
}  # fmt: skip


def printed_cases(name: str) -> Source:
    """Asks seven kinds of questions in turn about records as a program prints them."""
    return question_cases(f"printed-{name}", PRINTED[name], DOMAINS, 0)
