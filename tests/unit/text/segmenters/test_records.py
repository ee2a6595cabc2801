"""Texts of records: what belongs to which record, by the traits that notations share, and what is no text of "
"records."""

from __future__ import annotations

import re

import numpy as np
import pytest

from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.base import SegmentedText, UnitFlag
from compressor.text.segmenters.record_layout import RecordLayout
from compressor.text.segmenters.records import MAX_RECORD_CHARS, segment_records
from support.property_tests import given, settings, st
from support.record_notations import NOTATIONS, Record, records
from support.segment_tools import units


def layout_of(text: str, headings: bool = False) -> RecordLayout:
    found = segment_records(text, headings)
    assert found is not None, text
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    assert (found.parents < np.arange(len(found.spans))).all()
    return found


def excerpt(text: str, *words: str, headings: bool = False) -> str:
    """What is left of a text if only the units with these words are kept."""
    found = layout_of(text, headings)
    return found.render(np.array([any(w in unit for w in words) for unit in units(found)]))


def heads(found: RecordLayout) -> list[str]:
    """The first units of the records."""
    every = units(found)
    return [every[i].strip() for i in np.unique(found.heads[found.heads >= 0]).tolist()]


# What a value is kept with


CASES = {
    "items": (
        "- name: ada\n  port: 1\n  tags:\n    - red\n- name: bert\n  port: 2\n  tags:\n    - blue\n"
        "- name: cem\n  port: 3\n  tags:\n    - green\n",
        "port: 2",
        "…\n- name: bert\n  port: 2\n  …\n",
    ),
    "items in items": (
        "- name: ada\n  port: 1\n  tags:\n    - red\n    - pink\n- name: bert\n  port: 2\n  tags:\n    - blue\n    "
        "- teal\n"
        "- name: cem\n  port: 3\n  tags:\n    - green\n    - lime\n",
        "teal",
        "…\n- name: bert\n  …\n  tags:\n    - teal\n…\n",
    ),
    "items without indent": (
        "hosts:\n- name: ada\n  port: 1\n- name: bert\n  port: 2\n- name: cem\n  port: 3\nowner: dora\n",
        "port: 2",
        "hosts:\n…\n- name: bert\n  port: 2\n…\n",
    ),
    "map": (
        "ada:\n  port: 1\n  zone: x\nbert:\n  port: 2\n  zone: y\ncem:\n  port: 3\n  zone: z\n",
        "zone: y",
        "…\nbert:\n  …\n  zone: y\n…\n",
    ),
    "sections": (
        "[ada]\nport = 1\nzone = x\n\n[bert]\nport = 2\nzone = y\n\n[cem]\nport = 3\nzone = z\n",
        "port = 2",
        "…\n\n[bert]\nport = 2\n…\n",
    ),
    "documents": (
        "---\nname: ada\nport: 1\nzone: x\n---\nname: bert\nport: 2\nzone: y\n---\nname: cem\nport: 3\nzone: z\n",
        "zone: y",
        "…\n---\nname: bert\n…\nzone: y\n…\n",
    ),
    "paragraphs": (
        "Name: ada\nPort: 1\nZone: x\n\nName: bert\nPort: 2\nZone: y\n\nName: cem\nPort: 3\nZone: z\n",
        "Zone: y",
        "…\n\nName: bert\n…\nZone: y\n\n…\n",
    ),
    "braces": (
        'host "ada" {\n  port = 1\n  zone = "x"\n}\n\nhost "bert" {\n  port = 2\n  zone = "y"\n}\n\n'
        'host "cem" {\n  port = 3\n  zone = "z"\n}\n',
        '"y"',
        '…\n\nhost "bert" {\n  …\n  zone = "y"\n}\n\n…\n',
    ),
    "braces on their own lines": (
        "host ada\n{\n  port 1;\n  zone x;\n}\nhost bert\n{\n  port 2;\n  zone y;\n}\nhost cem\n{\n  port 3;\n  "
        "zone z;\n}\n",
        "port 2",
        "…\nhost bert\n{\n  port 2;\n  …\n}\n…\n",
    ),
    "indexed": (
        "Array\n(\n    [0] => Array\n        (\n            [name] => ada\n            [port] => 1\n        )\n\n"
        "    [1] => Array\n        (\n            [name] => bert\n            [port] => 2\n        )\n\n"
        "    [2] => Array\n        (\n            [name] => cem\n            [port] => 3\n        )\n\n)\n",
        "=> 2",
        None,
    ),
    "from begin to end": (
        "BEGIN:CARD\nFN:ada\nTEL:1\nEND:CARD\nBEGIN:CARD\nFN:bert\nTEL:2\nEMAIL:b@x\nEND:CARD\nBEGIN:CARD\nFN:cem\n"
        "TEL:3\nEND:CARD\n",
        "TEL:2",
        "…\nBEGIN:CARD\nFN:bert\nTEL:2\n…\nEND:CARD\n…\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_field_stands_under_its_record(name: str) -> None:
    text, word, expected = CASES[name]
    out = excerpt(text, word)
    assert "bert" in out and word in out and "ada" not in out and "cem" not in out, out
    if expected is not None:
        assert out == expected


def test_blocks_in_blocks_from_begin_to_end() -> None:
    events = "".join(
        f"BEGIN:EVENT\nSUMMARY:party {i}\nBEGIN:ALARM\nTRIGGER:-PT{i}M\nEND:ALARM\nEND:EVENT\n" for i in (11, 22, 33)
    )
    out = excerpt(f"BEGIN:CALENDAR\nVERSION:2.0\n{events}END:CALENDAR\n", "PT22M")
    assert [line for line in out.splitlines() if line != ELLIPSIS] == [
        "BEGIN:CALENDAR", "BEGIN:EVENT", "SUMMARY:party 22", "BEGIN:ALARM", "TRIGGER:-PT22M", "END:ALARM", "END:EVENT",
        "END:CALENDAR",
    ]  # fmt: skip


def test_fields_named_begin_and_end_are_fields() -> None:
    text = "".join(f"- name: shift {i}\n  begin: {i}:00\n  end: {i + 8}:30\n  place: hall {i}\n" for i in range(1, 5))
    found = layout_of(text)
    assert not any(flag & UnitFlag.NOISE for flag in found.flags.tolist())
    assert excerpt(text, "end: 10:30") == "…\n- name: shift 2\n  …\n  end: 10:30\n… 2 more\n"


@pytest.mark.parametrize("key", ("kind", "apiVersion"))
def test_the_name_may_stand_below_the_first_line(key: str) -> None:
    text = "".join(
        f"---\n{key}: Service\nmetadata:\n  labels:\n    app: web\n  name: {name}\nspec:\n  port: {port}\n  zone: "
        f"z{port}\n"
        for name, port in (("ada", 1), ("bert", 2), ("cem", 3))
    )
    out = excerpt(text, "port: 2")
    assert "name: bert" in out and ": ada" not in out and ": cem" not in out
    assert out.index("bert") < out.index("port: 2")


def test_repeated_section_names_are_parts_of_one_record() -> None:
    text = "".join(
        f"# /etc/units/{name}.service\n[Unit]\nDescription=The {name} service\n\n[Service]\nExecStart=/bin/{name}\n"
        f"User=u{name}\n\n"
        for name in ("ada", "bert", "cem", "dora")
    )
    out = excerpt(text, "User=ubert")
    assert "bert.service" in out and "[Service]" in out and "ada" not in out and "cem" not in out, out


def test_commits() -> None:
    text = "".join(
        f"commit {i}{i}{'0123456789abcdef' * 2}{i}{i}\nAuthor: {who} <{who}@x.org>\nDate:   Mon May {i} 10:00:00 "
        f"2024 +0200\n\n"
        f"    Mend the {what}\n\n    It was broken since the {what} came.\n\n"
        for i, who, what in ((1, "ada", "pump"), (2, "bert", "valve"), (3, "cem", "gauge"), (4, "ada", "hose"))
    )
    found = segment_text(text)
    assert found.kind == "records"
    keep = np.array(["broken since the valve" in unit for unit in units(found)])
    out = found.render(keep)
    assert out.index("commit 22") < out.index("broken since the valve") and "pump" not in out and "gauge" not in out


def test_mails() -> None:
    text = "".join(
        f"From: {who}@x.org\nTo: all@x.org\nSubject: About the {what}\nDate: Mon, {i} May 2024 10:00:00 +0200\n\n"
        f"Hello all,\nthe {what} is {i}0 years old.\n\n"
        for i, who, what in ((1, "ada", "pump"), (2, "bert", "valve"), (3, "cem", "gauge"), (4, "dora", "hose"))
    )
    found = segment_text(text)
    out = found.render(np.array(["20 years" in unit for unit in units(found)]))
    assert "bert@x.org" in out and "ada@" not in out and "cem@" not in out, out


def test_messages_of_programs() -> None:
    text = "".join(f'#: src/a{i}.c:{i}\nmsgid "{word}"\nmsgstr "{word[::-1]}"\n\n'
                   for i, word in enumerate(("harbour", "ferry", "timber", "ledger")))  # fmt: skip
    assert excerpt(text, "yrref") == '…\n\n#: src/a1.c:1\nmsgid "ferry"\nmsgstr "yrref"\n\n… 2 more\n\n'


def test_headings() -> None:
    text = "".join(f"## {name}\n\n- port: {i}\n- zone: z{i}\n\n" for i, name in enumerate(("ada", "bert", "cem")))
    out = excerpt(text, "zone: z1", headings=True)
    assert "## bert" in out and "ada" not in out and "cem" not in out


@pytest.mark.parametrize("mark", ("#", "//", ";"))
def test_a_comment_belongs_to_the_line_after_it(mark: str) -> None:
    text = "".join(
        f"[{name}]\n{mark} must be above {i}00\nlimit = {i}50\nzone = z{i}\n\n"
        for i, name in ((1, "ada"), (2, "bert"), (3, "cem"))
    )
    assert "must be above 200\nlimit = 250" in excerpt(text, "limit = 250")


def test_a_long_comment_is_a_unit_of_its_own() -> None:
    comment = "".join(f"# line {i} of what the makers have to say\n" for i in range(9))
    text = comment + "".join(f"[{n}]\nport = {i}\nzone = z{i}\n\n" for i, n in enumerate(("ada", "bert", "cem")))
    assert "makers" not in excerpt(text, "port = 1")


# Elements


ELEMENTS = {
    "nested": "  <host>\n    <name>{n}</name>\n    <net>\n      <port>{p}</port>\n      <zone>z{p}</zone>\n    "
    "</net>\n  </host>\n",
    "attributes": '  <host name="{n}" kind="x">\n    <port unit="a">{p}</port>\n    <zone>z{p}</zone>\n  </host>\n',
    "one line": "<host><name>{n}</name><port>{p}</port><zone>z{p}</zone></host>",
    "namespaces": '<a:host a:id="{n}">\n<a:port>{p}</a:port>\n<a:zone>z{p}</a:zone>\n</a:host>\n',
    "CDATA": "<host>\n<name>{n}</name>\n<port><![CDATA[{p} < 9 </port>]]></port>\n<zone>z{p}</zone>\n</host>\n",
    "comments": "<!-- of <host> -->\n<host>\n<name>{n}</name>\n<!-- </host> -->\n<port>{p}</port>\n"
    "<zone>z{p}</zone>\n</host>\n",
    "empty ones": '<host name="{n}">\n<up/>\n<port>{p}</port>\n<zone>z{p}</zone>\n</host>\n',
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements(name: str) -> None:
    rows = [ELEMENTS[name].format(n=n, p=p) for n, p in (("ada", 711), ("bert", 722), ("cem", 733))]
    out = excerpt(f"<hosts>\n{''.join(rows)}</hosts>\n", "722 < 9" if name == "CDATA" else ">722<")
    assert "bert" in out and "722" in out and "ada" not in out and "cem" not in out, out
    assert out.endswith("</hosts>\n") and "z722" not in out


# What is no text of records


NO_RECORDS = {
    "prose": "The harbour was closed in the winter: no ferry came. Ada waited.\n\nBert said that it was cold, and "
    "Cem agreed: it was.\n\n"
             "They went home early, had some tea and wrote letters to the others.\n\nNobody answered for a long "
             "while. Then spring came.\n",
    "python": "import os\n\n\nclass Host:\n    name: str = 'x'\n    port: int = 1\n\n    def run(self) -> int:\n   "
    "     total = self.port\n"
              "        return total + 1\n\n\ndef main() -> None:\n    host = Host()\n    print(host.run())\n",
    "javascript": "const a = 1;\nfunction run(x) {\n  const y = x + a;\n  if (y > 2) {\n    return y;\n  }\n  "
    "return 0;\n}\n"
                  "export default run;\nfunction stop(x) {\n  return x - a;\n}\n",
    "go": "package main\n\nimport \"fmt\"\n\nfunc run(x int) int {\n\ty := x + 1\n\tif y > 2 {\n\t\treturn y\n\t}\n"
    "\treturn 0\n}\n\n"
          "func main() {\n\tfmt.Println(run(1))\n}\n",
    "java": "public class A {\n    private int x = 1;\n    public int run() {\n        int y = x + 1;\n        "
    "return y;\n    }\n"
                    "    public void stop() {\n        x = 0;\n    }\n}\n",
    "log": "".join(f"2024-05-06T10:00:{i:02d}Z INFO worker: job={i} state=done\n" for i in range(20)),
    "page": "<!doctype "
    "html><html><head><title>A</title></head><body><div><p>One.</p><p>Two.</p></div><ul><li>a</li><li>b</li></ul></body></html>",
    "markdown": "# The harbour\n\nThe ferry came in the winter. It was cold, and nobody waited for it.\n\n## "
    "History\n\n"
                "In 1990 the old bridge was closed. The new one took ten years to build.\n\n## Today\n\nThere are "
                "two ferries a day, "
                "and a [timetable](https://x.org).\n",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_RECORDS)
def test_what_is_no_text_of_records(name: str) -> None:
    assert segment_text(NO_RECORDS[name]).kind != "records"


@pytest.mark.parametrize("name", [n for n, x in NOTATIONS.items() if x.parted and "JSON" not in n])
@settings(max_examples=4, deadline=None)
@given(found=records())
def test_notations_are_records(name: str, found: list[Record]) -> None:
    cut: SegmentedText = segment_text(NOTATIONS[name].write(found))
    assert cut.kind == "records"
    firsts = np.unique(cut.records[cut.columns >= 0])
    assert len(firsts) == len(found)


# Rendering


TEXT = "".join(f"- name: n{i}\n  port: {i}00\n  zone: z{i}\n  tier: t{i}\n" for i in range(8))


def test_one_sign_a_record() -> None:
    assert excerpt(TEXT, "n0", "zone: z0") == "- name: n0\n  …\n  zone: z0\n… 7 more\n"


def test_records_that_are_missing_are_counted() -> None:
    assert excerpt(TEXT, "n0", "n5") == "- name: n0\n… 4 more\n- name: n5\n… 2 more\n"


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(NOTATIONS)), found=records(), seed=st.integers(0, 2**32 - 1))
def test_every_excerpt_has_the_lines_of_its_parents(name: str, found: list[Record], seed: int) -> None:
    cut = segment_text(NOTATIONS[name].write(found))
    if not isinstance(cut, RecordLayout):
        return
    keep = np.random.default_rng(seed).random(len(cut.spans)) < 0.3
    out = cut.render(keep)
    assert cut.render(cut.closure(keep)) == out
    every = units(cut)
    at = 0
    for i in np.flatnonzero(cut.closure(keep)).tolist():  # all that is kept, in order
        at = out.index(every[i].strip(), at)
    gone = sum(int(n or 1) for n in re.findall(rf"{ELLIPSIS}(?: (\d+) more)?", out))
    assert gone <= len(cut.spans)


def test_large_records_are_scored_by_their_fields() -> None:
    long = "".join(f"- name: n{i}\n  text: {'word ' * 300}\n  zone: z{i}\n" for i in range(4))
    found = layout_of(long)
    assert len(long) / 4 > MAX_RECORD_CHARS and (found.records == np.arange(len(found.spans))).all()
    small = layout_of(TEXT)
    assert len(np.unique(small.records)) == 8
    assert heads(small) == [f"- name: n{i}" for i in range(8)]


def test_fields_are_columns() -> None:
    found = layout_of("".join(f"- name: n{i}\n  net:\n    port: {i}00\n  zone: z{i}\n" for i in range(6)))
    names = [found.column_names[c] if c >= 0 else "" for c in found.columns.tolist()]
    assert names[:4] == ["name", "net", "net.port", "zone"] and names[4:8] == names[:4]


def test_trouble_is_flagged_unless_there_is_none() -> None:
    text = "".join(
        f"- name: n{i}\n  errors: {9 if i == 3 else 0}\n  state: {'failed' if i == 4 else 'running'}\n"
        for i in range(6)
    )
    found = layout_of(text)
    flagged = [u.strip() for u, f in zip(units(found), found.flags.tolist(), strict=True) if f & UnitFlag.ERROR]
    assert flagged == ["errors: 9", "state: failed"]
