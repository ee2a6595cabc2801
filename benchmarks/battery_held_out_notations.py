"""Writes records in the held-out notations; see `battery_held_out.py`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.battery_owners import Record

Write = Callable[[list[Record]], str]


@dataclass(frozen=True)
class Notation:
    """A way to write records.

    Attributes:
        opening: What a record starts with where that is not its name; a regular expression, see `RecordBounds`.
        closing: What a record ends with, if anything; a regular expression.
        unit: Where the baselines split a text that has no lines; a regular expression.
        domain: The kind of record that it is used for.
    """

    write: Write
    opening: str = ""
    closing: str = ""
    unit: str = ""
    domain: str = ""


def _each(one: Callable[[Record], str], before: str = "", between: str = "\n", after: str = "") -> Write:
    """Writes one record after the other."""
    return lambda records: before + between.join(map(one, records)) + after


def rest(record: Record) -> list[tuple[str, str]]:
    """Returns the fields without the name."""
    return [(key, value) for key, value in record.items() if key != "name"]


def _joined(template: str, separator: str, pairs: list[tuple[str, str]]) -> str:
    """Writes pairs by a template with {k} and {v}, and joins them."""
    return separator.join(template.format(k=key, v=value) for key, value in pairs)


def _fields(template: str, separator: str = "\n") -> Callable[[Record], str]:
    """Writes all fields, the name too."""
    return lambda record: _joined(template, separator, list(record.items()))


def _titled(title: str, template: str, separator: str = "\n", end: str = "") -> Callable[[Record], str]:
    """Writes a title with {name}, then the other fields, then an end."""
    return lambda r: title.format(name=r["name"]) + _joined(template, separator, rest(r)) + end


def _tsv(records: list[Record]) -> str:
    return "\n".join("\t".join(row) for row in [list(records[0]), *(list(r.values()) for r in records)])


def _semicolon_csv(records: list[Record]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(records[0])
    writer.writerows(r.values() for r in records)
    return file.getvalue()


def _html_table(records: list[Record]) -> str:
    head = "".join(f"<th>{key}</th>" for key in records[0])
    rows = ["<tr>" + "".join(f"<td>{value}</td>" for value in r.values()) + "</tr>" for r in records]
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"


def _box_table(records: list[Record]) -> str:
    widths = {key: max(len(key), *(len(r[key]) for r in records)) for key in records[0]}
    rule = "+" + "+".join("-" * (width + 2) for width in widths.values()) + "+"
    rows = [dict(zip(widths, widths, strict=True)), *records]
    lines = ["| " + " | ".join(row[key].ljust(width) for key, width in widths.items()) + " |" for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def _query_result(records: list[Record]) -> str:
    widths = {key: max(len(key), *(len(r[key]) for r in records)) for key in records[0]}
    rows = [dict(zip(widths, widths, strict=True)), *records]
    lines = [" " + " | ".join(row[key].ljust(width) for key, width in widths.items()).rstrip() for row in rows]
    rule = "-+-".join("-" * width for width in widths.values())
    return "\n".join([lines[0], f"-{rule}-", *lines[1:], f"({len(records)} rows)"])


def _ldif(record: Record) -> str:
    return f"dn: cn={record['name']},ou=staff,dc=corp,dc=test\nobjectClass: inetOrgPerson\n" + _joined(
        "{k}: {v}", "\n", rest(record)
    )


def _vcard(record: Record) -> str:
    fields = "\n".join(f"X-{k.upper()}:{v}" for k, v in rest(record))
    return f"BEGIN:VCARD\nVERSION:4.0\nFN:{record['name']}\n{fields}\nEND:VCARD"


def _ical(record: Record) -> str:
    return (
        f"BEGIN:VEVENT\nCLASS:PRIVATE\nSUMMARY:{record['name']}\n"
        + "\n".join(f"X-{k.upper().replace('_', '-')}:{v}" for k, v in rest(record))
        + "\nEND:VEVENT"
    )


def _gettext(record: Record) -> str:
    *comments, (key, value) = rest(record)
    return _joined("#. {k}: {v}", "\n", comments) + f'\nmsgid "{record["name"]}"\nmsgstr ""\n"{key}: {value}"\n'


def _commit(record: Record) -> str:
    first, *others = rest(record)
    head = f"commit {record['name']}\n{first[0].title()}: {first[1]}\n\n"
    return head + "\n".join(f"    {k.title()}: {v}" for k, v in others) + "\n"


def _mail(record: Record) -> str:
    (key, value), *others = rest(record)
    head = f"From robot@lists.test Mon Mar  3 09:12:44 2025\nX-{key.title()}: {value}\nSubject: {record['name']}\n"
    return head + "Content-Type: text/plain\n\n" + _joined("The {k} is {v} now.", " ", others) + "\nRegards\n"


def _kubernetes(record: Record) -> str:
    (key, value), *others = rest(record)
    return (
        f"apiVersion: lab.test/v1\nkind: Item\nmetadata:\n  labels:\n    {key}: {value}\n  name: {record['name']}\n"
        f"  namespace: default\nspec:\n" + _joined("  {k}: {v}", "\n", others)
    )


def _systemd(record: Record) -> str:
    fields = "\n".join(f"X-{k.title().replace('_', '')}={v}" for k, v in rest(record))
    return f"# /etc/systemd/system/{record['name']}.service\n[Unit]\nAfter=network.target\n\n[Service]\n{fields}\n"


def _sentence(record: Record) -> str:
    first, *others = rest(record)
    later = " ".join(f"Its {k.replace('_', ' ')} was noted as {v} by the clerk." for k, v in others)
    return f"{record['name']} is listed with {first[0]} {first[1]} in the register. {later}"


def _namespaced_xml(record: Record) -> str:
    fields = "\n".join(
        f"  <inv:{k}><![CDATA[{v}]]></inv:{k}>" if " " in v else f"  <inv:{k}>{v}</inv:{k}>" for k, v in rest(record)
    )
    return f'<inv:item xml:lang="en">\n{fields}\n  <inv:name>{record["name"]}</inv:name>\n</inv:item>'


def _commented_json(record: Record) -> str:
    return "    {\n      // from the inventory\n" + _fields('      "{k}": "{v}",')(record) + "\n    },"


def _cut_json(records: list[Record]) -> str:
    """Cuts the last record off in its middle."""
    last = json.dumps(records[-1])
    return json.dumps(records)[: -1 - len(last) // 2]


def _print_r(records: list[Record]) -> str:
    items = (
        f"    [{i}] => Array\n        (\n" + _fields("            [{k}] => {v}")(r) + "\n        )\n"
        for i, r in enumerate(records)
    )
    return "Array\n(\n" + "\n".join(items) + "\n)"


def _numbered(records: list[Record]) -> str:
    return "\n----\n".join(f"#{i + 1}\n" + _fields("{k} .... {v}")(r) for i, r in enumerate(records))


def _json_columns(records: list[Record]) -> str:
    return json.dumps({"columns": list(records[0]), "rows": [list(r.values()) for r in records]})


NOTATIONS = {
    "hcl": Notation(
        _each(_titled('resource "inventory_item" "{name}" {{\n', '  {k} = "{v}"', end="\n}\n")), "^resource", r"^\}"
    ),
    "properties": Notation(
        _each(lambda r: "\n".join(f"inventory.{r['name']}.{k}={v}" for k, v in rest(r)), "# generated\n"),
    ),
    "nginx": Notation(
        _each(_titled("    item {name} {{\n", '        {k} "{v}";', end="\n    }"), "items {\n", after="\n}"),
        "^    item",
        r"^    \}",
    ),
    "ldif": Notation(_each(_ldif, between="\n\n"), "^dn:", domain="people"),
    "vcard": Notation(_each(_vcard), "^BEGIN:VCARD", "^END:VCARD", domain="people"),
    "ical": Notation(
        _each(_ical, "BEGIN:VCALENDAR\nVERSION:2.0\n", after="\nEND:VCALENDAR"),
        "^BEGIN:VEVENT",
        "^END:VEVENT",
        domain="jobs",
    ),
    "bibtex": Notation(_each(_titled("@misc{{{name},\n", "  {k} = {{{v}}},", end="\n}\n")), "^@misc", r"^\}"),
    "gettext": Notation(_each(_gettext), r"^#\..*(?:\n(?:#\.|\[?…).*)*", domain="messages"),
    "rst_fields": Notation(_each(_fields(":{k}: {v}"), between="\n\n"), "^:name:"),
    "textproto": Notation(_each(lambda r: "item {\n" + _fields('  {k}: "{v}"')(r) + "\n}"), r"^item \{", r"^\}"),
    "git_log": Notation(_each(_commit), "^commit", domain="commits"),
    "mbox": Notation(_each(_mail), "^From |^X-", "^Regards", domain="orders"),
    "tsv": Notation(_tsv),
    "csv_semicolon": Notation(_semicolon_csv),
    "html_table": Notation(_html_table, "<tr>", "</tr>"),
    "html_definitions": Notation(
        _each(_titled("<dt>{name}</dt>\n", "<dd>{k}: {v}</dd>"), "<dl>\n", after="\n</dl>"), "<dt>"
    ),
    "yaml_one_line": Notation(_each(lambda r: "- " + _fields("{k}: {v}", ", ")(r), "items:\n"), "^- "),
    "markdown_headings": Notation(_each(_titled("## {name}\n\n", "* **{k}**: {v}", end="\n")), "^## "),
    "ruled": Notation(_numbered, r"^#\d+$", "^----$"),
    "php": Notation(_print_r, r"^ *\[\d+\] => Array", r"^        \)"),
    "go": Notation(
        lambda rs: "[" + " ".join("{" + " ".join(f"{k.title()}:{v}" for k, v in r.items()) + "}" for r in rs) + "]",
        r"\{",
        r"\}",
        r"(?<=\}) ",
    ),
    "ruby": Notation(_each(lambda r: "  {" + _fields(':{k}=>"{v}"', ", ")(r) + "}", "[\n", ",\n", "\n]"), r"\{", r"\}"),
    "lua": Notation(
        _each(lambda r: "  {\n" + _fields('    {k} = "{v}",')(r) + "\n  },", "return {\n", after="\n}"),
        r"^  \{",
        r"^  \}",
    ),
    "yaml_flow": Notation(_each(lambda r: "- {" + _fields('{k}: "{v}"', ", ")(r) + "}"), r"\{", r"\}"),
    "kubernetes": Notation(_each(_kubernetes, between="\n---\n"), "^apiVersion|^kind|^metadata", "^---"),
    "systemd": Notation(_each(_systemd), "^# /etc", domain="jobs"),
    "sentences": Notation(_each(_sentence)),
    "xml_namespaces": Notation(
        _each(_namespaced_xml, '<?xml version="1.0"?>\n<inv:list xmlns:inv="urn:inv">\n', after="\n</inv:list>"),
        "^<inv:item|(?<=</inv:name>)",  # the name comes last
    ),
    "xml_one_line": Notation(
        _each(lambda r: "<item>" + _fields("<{k}>{v}</{k}>", "")(r) + "</item>", "<items>", "", "</items>"),
        "<item>",
        "</item>",
        "(?=<item>)",
    ),
    "json_prefix": Notation(lambda rs: f"{len(rs)} items found: " + json.dumps(rs), r"\{", r"\}", r"(?<=\}), "),
    "json_by_name": Notation(lambda rs: json.dumps({r["name"]: dict(rest(r)) for r in rs}, indent=1), '^ "', r"^ \}"),
    "json_columns": Notation(_json_columns, r'\["', r'"\]', r"(?<=\]), "),
    "json_cut": Notation(_cut_json, r"\{", r"\}", r"(?<=\}), "),
    "json_comments": Notation(_each(_commented_json, '{\n  "items": [\n', after="\n  ],\n}"), r"^    \{", r"^    \}"),
    "events": Notation(_each(lambda r: "event: item\ndata: " + json.dumps(r) + "\n"), "^event:", r"\}$"),
    "python_one_line": Notation(
        lambda rs: repr([tuple(r.values()) for r in rs]) + "\nfields: " + ", ".join(rs[0]), r"\('", r"'\)", r"(?<=\)), "
    ),
    "key_values": Notation(_each(_fields("{k}: {v}", "; ")), "^name:"),
    "query_result": Notation(_query_result),
    "box_table": Notation(_box_table),
}
