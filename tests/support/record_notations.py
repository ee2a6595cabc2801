"""Records of names and fields, and the notations that they can be written in.

    from support.record_notations import NOTATIONS, records

Every value occurs once in a text, so a reader can tell whose it is: `strays` finds the values that stand under the name
of another record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from support.property_tests import st

KEYS = ("region", "owner", "port", "limit", "version", "status", "zone", "memory", "disk", "backup", "tier", "contact")
WORDS = "amber basil cedar delta ember fjord grove hazel indigo juniper kelp lotus maple nettle onyx pearl".split()


@dataclass(frozen=True)
class Record:
    """A name and its fields. The names of fields are single words; each value is a word that occurs once."""

    name: str
    fields: tuple[tuple[str, str], ...]

    def value(self, key: str) -> str:
        return dict(self.fields).get(key, "")


@dataclass(frozen=True)
class Notation:
    """How records are written.

    Attributes:
        write: Writes a text of records.
        begins: A pattern that begins a record, if its name comes later in it; "" if the name comes first.
        parted: Whether fields can leave one by one; otherwise a record is one line.
        label: What a reader knows a record by.
    """

    write: Callable[[Sequence[Record]], str]
    begins: str = ""
    parted: bool = True
    label: Callable[[Record], str] = lambda record: record.name


@st.composite
def records(draw: st.DrawFn, least: int = 5, most: int = 14) -> list[Record]:
    """Records that share most of their fields."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=3, max_size=6, unique=True))
    count = draw(st.integers(least, most))
    first = draw(st.integers(100, 900))
    shape = draw(st.sampled_from(("{word}{n}", "{n}", "{word}-{n}", "{word}_{n}.x", "v{n}.{k}")))
    out = []
    for i in range(count):
        name = f"{WORDS[(first + 5 * i) % len(WORDS)]}-{WORDS[(first + 3 * i) % len(WORDS)]}-{first + i}"
        fields = []
        for k, key in enumerate(keys):
            n = 100_000 + 100 * (first * 7 + i) + k
            fields.append((key, shape.format(word=WORDS[(i + k) % len(WORDS)], n=n, k=k)))
        if len(keys) > 3 and draw(st.integers(0, 3)) == 0:
            del fields[draw(st.integers(1, len(fields) - 1))]
        out.append(Record(name, tuple(fields)))
    return out


def _each(template: str, line: str, end: str = "", begin: str = "", finish: str = "") -> Callable[..., str]:
    """Writes each record by a template of its first lines, one of each field's line, and its end."""

    def write(given: Sequence[Record]) -> str:
        parts = [begin]
        for i, record in enumerate(given):
            parts.append(template.format(name=record.name, i=i, sha=hash_of(record)))
            parts += [line.format(key=k, Key=k.title(), value=v) for k, v in record.fields]
            parts.append(end)
        return "".join(parts) + finish

    return write


def hash_of(record: Record) -> str:
    """A commit's hash, the same in each run."""
    return hashlib.sha1(record.name.encode()).hexdigest()


def _json(indent: int | None) -> Callable[[Sequence[Record]], str]:
    return lambda given: json.dumps([{"name": r.name, **dict(r.fields)} for r in given], indent=indent)


def _xml_attributes(given: Sequence[Record]) -> str:
    rows = "".join(f'  <host name="{r.name}" ' + " ".join(f'{k}="{v}"' for k, v in r.fields) + "/>\n" for r in given)
    return f"<hosts>\n{rows}</hosts>\n"


def _csv(given: Sequence[Record]) -> str:
    keys = list(dict.fromkeys(k for r in given for k, _ in r.fields))
    return "\n".join([",".join(["name", *keys]), *(",".join([r.name, *map(r.value, keys)]) for r in given)]) + "\n"


def _quoted_csv(given: Sequence[Record]) -> str:
    return re.sub(r"[^,\n]+", r'"\g<0>"', _csv(given))


def _object(record: Record, first: str, field: str, end: str) -> str:
    return first.format(record.name) + "".join(field.format(*pair) for pair in record.fields) + end.replace("}}", "}")


def _json_pairs(given: Sequence[Record]) -> str:
    pairs = [{"id": r.name, "tags": [{"key": k, "value": v} for k, v in r.fields]} for r in given]
    return json.dumps(pairs)


def _json_lines(given: Sequence[Record]) -> str:
    return "".join(json.dumps({"name": r.name, **dict(r.fields)}) + "\n" for r in given)


NOTATIONS: dict[str, Notation] = {
    "yaml items": Notation(_each("- name: {name}\n", "  {key}: {value}\n")),
    "yaml items below a key": Notation(_each("  - name: {name}\n", "    {key}: {value}\n", begin="hosts:\n")),
    "yaml map": Notation(_each("{name}:\n", "  {key}: {value}\n")),
    "yaml nested": Notation(_each("  {name}:\n    spec:\n", "      {key}: {value}\n", begin="services:\n")),
    "yaml documents": Notation(
        _each("---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n", "  {key}: {value}\n"), r"---\n"
    ),
    "sections": Notation(_each("[{name}]\n", "{key} = {value}\n", "\n")),
    "array of tables": Notation(_each('[[host]]\nname = "{name}"\n', '{key} = "{value}"\n', "\n")),
    "paragraphs": Notation(_each("Name: {name}\n", "{Key}: {value}\n", "\n")),
    "paragraphs without colons": Notation(_each("{name}\n", "    {Key}: {value}\n", "\n")),
    "rules": Notation(_each("Name:    {name}\n", "{Key}:    {value}\n", "-" * 40 + "\n")),
    "blocks": Notation(_each('resource "host" "{name}" {{\n', '  {key} = "{value}"\n', "}\n\n")),
    "braces on their own lines": Notation(_each("host {name}\n{{\n", "    {key} {value};\n", "}\n\n")),
    "elements": Notation(
        _each("  <host>\n    <name>{name}</name>\n", "    <{key}>{value}</{key}>\n", "  </host>\n",
              '<?xml version="1.0"?>\n<hosts>\n', "</hosts>\n"), r"<host>"),
    "elements in one line": Notation(
        _each("<host><name>{name}</name>", "<{key}>{value}</{key}>", "</host>", "<hosts>", "</hosts>"), r"<host>"
    ),
    "elements with names": Notation(
        _each('<c:host id="{name}">\n', '  <c:{key} unit="x">{value}</c:{key}>\n', "</c:host>\n",
              '<c:hosts xmlns:c="urn:c">\n', "</c:hosts>\n")),
    "attributes": Notation(_xml_attributes, parted=False),
    "arrays of PHP": Notation(
        _each("    [{i}] => Array\n        (\n            [name] => {name}\n", "            [{key}] => {value}\n",
              "        )\n\n", "Array\n(\n", ")\n"), r"=> Array\n\s+\("),
    "cards": Notation(_each("BEGIN:CARD\nFN:{name}\n", "X-{key}:{value}\n", "END:CARD\n"), "BEGIN:CARD"),
    "directory entries": Notation(_each("dn: cn={name},dc=x\n", "{key}: {value}\n", "\n")),
    "entries": Notation(_each("@misc{{{name},\n", "  {key} = {{{value}}},\n", "}\n\n")),
    "headings": Notation(_each("## {name}\n\n", "- **{Key}**: {value}\n", "\n")),
    "numbered": Notation(_each("{i}. {name}\n", "   {Key}: {value}\n")),
    "words and values": Notation(_each("Host {name}\n", "    {Key} {value}\n", "\n")),
    "numbered rules": Notation(
        _each("-[ RECORD {i} ]-----\nname    | {name}\n", "{key}    | {value}\n"), r"-\[ RECORD"
    ),
    "rows of a console": Notation(
        _each("*************** {i}. row ***************\n     name: {name}\n", "     {key}: {value}\n"),
        r"\*{15} \d+\. row",
    ),
    "tabs": Notation(_each("{name}\n", "\t{key}\t{value}\n")),
    "tables of Lua": Notation(
        _each('  {{ name = "{name}",\n', '    {key} = "{value}",\n', "  },\n", "return {\n", "}\n"),
        r"\{ name",
    ),
    "comments that name blocks": Notation(
        _each('  # host.{name} will be created\n  + resource "host" {{\n', '      + {key} = "{value}"\n', "    }\n\n")
    ),
    "titles with a rule": Notation(_each("{name}\n==========\n", "{Key}: {value}\n", "\n")),
    "full-width colons": Notation(_each("名称：{name}\n", "{key}：{value}\n", "\n")),
    "lines of objects": Notation(_each("Host(name='{name}'", ", {key}='{value}'", ")\n"), parted=False),
    "commits": Notation(
        _each("commit {sha}\nAuthor: {name}\nDate:   Mon May 6 2024\n"
              "\n", "    {key} is {value}\n", "\n"), label=hash_of),
    "interfaces": Notation(_each("interface {name}\n", " {key} {value}\n", "!\n")),
    "outline without blank lines": Notation(_each("pool {name}\n", "  {key} {value}\n")),
    "list expressions": Notation(_each('(host (name "{name}")\n', '      ({key} "{value}")\n', ")\n")),
    "drawers": Notation(_each("* {name}\n:PROPERTIES:\n", ":{key}: {value}\n", ":END:\n")),
    "names of fields on lines of their own": Notation(
        _each("name\n    {name}\n", "{key}\n    {value}\n", "\n"), r"name\n"
    ),
    "CSV with quotes": Notation(_quoted_csv, parted=False),
    "objects in one line": Notation(
        lambda given: "[" + ", ".join(_object(r, "Host{{name='{}'", ", {}='{}'", "}}") for r in given) + "]",
        r"Host\{", parted=False),
    "objects in angle brackets": Notation(
        lambda given: "[" + ", ".join(_object(r, "<Host name='{}'", " {}='{}'", ">") for r in given) + "]",
        r"<Host", parted=False),
    "JSON": Notation(_json(None)),
    "JSON with lists of keys and values": Notation(_json_pairs),
    "indented JSON": Notation(_json(2)),
    "JSON lines": Notation(_json_lines),
    "CSV": Notation(_csv, parted=False),
}  # fmt: skip


def pieces(given: Sequence[Record], notation: Notation, out: str) -> list[tuple[str, str]]:
    """The parts of `out` as a reader sees them, each with the name it stands under, "" for none."""
    names = sorted(map(notation.label, given), key=len, reverse=True)
    pattern = "|".join(map(re.escape, names))
    if not notation.begins:
        parts = re.split(f"({pattern})", out)
        return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    found = []
    for piece in re.split(f"(?={notation.begins})", out):
        name = re.search(pattern, piece)
        found.append((name.group() if name else "", piece))
    return found


def strays(given: Sequence[Record], notation: Notation, out: str) -> list[tuple[str, str]]:
    """The values in `out` that a reader would take for another record's, each with the name it stands under."""
    owner = {value: notation.label(r) for r in given for _, value in r.fields if is_unique(value)}
    return [
        (value, name)
        for name, piece in pieces(given, notation, out)
        for value in owner
        if value in piece
        if owner[value] != name
    ]


def is_unique(value: str) -> bool:
    """Whether a value is one of those that occur once; words of a few letters may be shared by records."""
    return any(c.isdigit() for c in value)


def with_state(given: Sequence[Record], which: set[int], value: str, other: str) -> list[Record]:
    """The records with one more field, `state`, second: `value` in some of them."""
    return [
        Record(r.name, (r.fields[0], ("state", value if i in which else other), *r.fields[1:]))
        for i, r in enumerate(given)
    ]
