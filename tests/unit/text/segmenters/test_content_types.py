"""What each segmenter makes of its own kind of text."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.text.segmenters import detect_content_type, find_pasted_content, segment_text
from compressor.text.segmenters.base import SegmentedText, UnitFlag
from compressor.text.segmenters.diff import segment_diff
from compressor.text.segmenters.html import segment_html
from compressor.text.segmenters.log import segment_log
from compressor.text.segmenters.markdown import segment_markdown
from compressor.text.segmenters.search_results import segment_search_results
from compressor.text.segmenters.sentences import segment_prose
from compressor.text.segmenters.table import segment_table
from compressor.text.segmenters.traceback import segment_traceback
from support.segment_tools import units


def flagged(found: SegmentedText, flag: UnitFlag) -> list[str]:
    return [u for u, f in zip(units(found), found.flags.tolist(), strict=True) if f & flag]


def parent_of(found: SegmentedText, part: str) -> str:
    """The parent of the unit that holds `part`, "" if it has none."""
    said = units(found)
    parent = int(found.parents[next(i for i, u in enumerate(said) if part in u)])
    return said[parent] if parent >= 0 else ""


def only(found: SegmentedText, part: str) -> str:
    """What is left when the unit that holds `part` is all that is asked for."""
    return found.render(np.array([part in u for u in units(found)]))


SAMPLES = {
    "json": ['{"a": 1}', '[{"a": 1}]', "[1, 2]", '{"a":1}\n{"a":2}\n', "[]"],
    "code": [
        "[File: /x.py (3 lines total)]\n1:import os\n2:\n3:x = 1\n",
        "     1\timport os\n     2\tx = 1\n     3\ty = 2\n",
        "12| a = 1\n13| b = 2\n14| c = 3\n15| d\n",
        "import os\nfrom a import b\n\ndef f(x):\n    return x + 1\n\nclass A:\n    pass\n",
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("x")\n\tx := 1\n}\n',
        "const a = require('x');\nfunction f() {\n  return 1;\n}\nmodule.exports = f;\n",
        "#include <stdio.h>\nint main(void) {\n  int x = 1;\n  return 0;\n}\n",
        "use std::io;\n\npub fn main() {\n    let mut x = 1;\n    f(x);\n}\n",
        "public class A {\n    private int x;\n    public int get() {\n        return x;\n    }\n}\n",
    ],
    "diff": [
        "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        "commit abc\nAuthor: x\n\n    msg\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
        "--- a.txt\n+++ b.txt\n@@ -1 +1 @@\n-a\n+b\n",
    ],
    "table": [
        "a,b,c\n1,2,3\n4,5,6\n7,8,9\n",
        "a\tb\n1\t2\n3\t4\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        " id | name\n----+------\n  1 | foo\n(1 row)\n",
        "NAME    READY   STATUS\na-1     1/1     Running\nb-2     0/1     Error\n",
        "[('a', 1), ('b', 2), ('c', 3)]",
        "+----+----+\n| id | nm |\n+----+----+\n|  1 | a  |\n+----+----+\n",
        "[{'id': 1, 'n': 'x'}, {'id': 2, 'n': None}]",
        "[Row(id=1, n='x'), Row(id=2, n=None)]",
        "[<Row id=1 n='x'>, <Row id=2 n=None>]",
        '"id","n"\n"1","x"\n"2","y"\n',
    ],
    "html": [
        "<!DOCTYPE html>\n<html><body><p>x</p></body></html>",
        "<div><p>a</p></div>\n<ul><li>x</li>\n<li>y</li></ul>\n",
    ],
    "markdown": [
        "# Title\n\nText here.\n\n## Sub\n\n- a\n- b\n",
        "Intro.\n\n```python\nx = 1\n```\n\nMore [link](http://x).\n",
    ],
    "search": [
        'Found 2 matches for "x" in /a:\n/a/b.py\n/a/c.py\n',
        "a/b.py:12:foo\na/b.py:14:bar\na/c.py:1:x\n",
        "./a\n./a/b.py\n./a/c.py\n./d/e.txt\n",
        ".\n├── a\n│   └── b\n└── c\n\n1 directory\n",
        "total 12\n-rw-r--r-- 1 a b 12 Jan 1 x.py\ndrwxr-xr-x 1 a b 12 Jan 1 y\n",
        'Found 1 matches for "X" in /a.py:\nLine 307:X = None\nEnd of matches for "X" in /a.py\n',
        "src/a.py\n12:foo\n14:bar\n20:x\n\nsrc/b.py\n1:y\n",
    ],
    "trace": [
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x\nNameError: x\n',
        "============ test session starts ============\ncollected 1 item\n\na.py F\n",
        "test_a (m.B) ... ok\ntest_b (m.B) ... FAIL\n\n----\nRan 2 tests in 0.1s\n",
        "TypeError: x\n    at foo (/a.js:1:2)\n    at bar (/b.js:3:4)\n",
        "panic: x\n\ngoroutine 1 [running]:\nmain.f()\n\t/a.go:1 +0x1\n",
    ],
    "log": [
        "2024-01-01 10:00:00 INFO a\n2024-01-01 10:00:01 ERROR b\n",
        "Jun 18 01:30:59 combo sshd[1]: x\nJun 18 01:31:59 combo sshd[1]: y\n",
        "[2024-01-01T10:00:00Z] INFO [main] a\n[2024-01-01T10:00:00Z] WARN [x]\n",
        "INFO: start\nERROR: bad\nINFO: x\n",
        'a IN TXT "owner=x; zone=1"\nb IN TXT "owner=y; zone=2"\n',
    ],
    "prose": [
        "The quick brown fox. It jumps over the dog.\nIt was nice.",
        "今天天气很好。我们去公园吧！",
        "One line",
        "",
        " \n",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, texts in SAMPLES.items() for t in texts])
def test_detect(kind: str, text: str) -> None:
    assert detect_content_type(text) == kind


def test_what_only_looks_like_json_is_cut_as_what_it_is() -> None:
    assert segment_text("{'a': 1, 'b': None}").render(np.array([True])) == "{'a': 1, 'b': None}"
    assert segment_text("[1] 2024-01-01 x\n[2] y]").kind != "json"


def test_prose_sentences() -> None:
    text = (
        'Dr. Smith et al. paid $3.50 in the U.S. "Really?" she asked. It was 1990. '
        "See https://a.b/c?d=e. J. Doe left! Yes."
    )
    assert units(segment_prose(text)) == [
        'Dr. Smith et al. paid $3.50 in the U.S. "Really?" she asked. ',
        "It was 1990. ",
        "See https://a.b/c?d=e. ",
        "J. Doe left! ",
        "Yes.",
    ]
    assert units(segment_prose("今天天气很好。我们去公园吧！“好吗？”当然。")) == [
        "今天天气很好。",
        "我们去公园吧！",
        "“好吗？”",
        "当然。",
    ]
    assert units(segment_prose("هل أنت بخير؟ نعم. شكرا.")) == ["هل أنت بخير؟ ", "نعم. ", "شكرا."]
    assert units(segment_prose("यह एक वाक्य है। दूसरा वाक्य।")) == ["यह एक वाक्य है। ", "दूसरा वाक्य।"]
    thai = "สวัสดีครับ ผมชื่อสมชาย " * 40
    assert max(map(len, units(segment_prose(thai)))) < 300


def test_prose_lines_and_headers() -> None:
    wrapped = "This is a paragraph that an editor has wrapped at some seventy columns\nand that goes on here. End.\n"
    assert len(units(segment_prose(wrapped))) == 2
    text = "Title: A\nURL: x\nBody one. Body two.\nTitle: B\nBody three.\nTo do:\n- x\n- y\n"
    found = segment_prose(text)
    assert flagged(found, UnitFlag.HEADER) == ["Title: A\n", "URL: x\n", "Title: B\n", "To do:\n"]
    assert parent_of(found, "Body two") == "Title: A\n"
    assert parent_of(found, "Body three") == "Title: B\n"
    assert parent_of(found, "- y") == "To do:\n"
    docs = "Answer.\n\nDocument [1](Title: A. B (film)) One. Two.\nDocument [2](Title: C) Three.\n\nQuestion: who?"
    assert only(segment_prose(docs), "Two") == "…\n\nDocument [1](Title: A. B (film)) … Two.\n…"
    assert parent_of(segment_prose(docs), "who?") == ""
    assert flagged(segment_prose("Error executing query: Table 'x' doesn't exist"), UnitFlag.ERROR)


def test_log_levels_and_continuations() -> None:
    text = (
        "2024-01-01 10:00:00,1 INFO a: fine\n2024-01-01 10:00:01,1 ERROR b: boom\njava.lang.X: y\n\tat z\n"
        "2024-01-01 10:00:02,1 WARN c\n2024-01-01 10:00:03,1 DEBUG heartbeat\n"
        "2024-01-01 10:00:04,1 INFO got exception\n"
    )
    found = segment_log(text)
    assert "boom" in flagged(found, UnitFlag.ERROR)[0]
    assert [u[-3:] for u in flagged(found, UnitFlag.WARNING)] == [" c\n", "on\n"]
    assert "heartbeat" in flagged(found, UnitFlag.NOISE)[0]
    assert "boom" in parent_of(found, "\tat z")
    assert "boom" in only(found, "\tat z")


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("[Sun Dec 04 05:04:03 2005] [error] mod_jk child in error state 7\n", UnitFlag.ERROR),
        ("[Sun Dec 04 05:04:03 2005] [notice] jk2_init() Found child 8763\n", UnitFlag(0)),
        ("Dec 10 07:28:39 LabSZ sshd[24275]: Failed password for root\n", UnitFlag.ERROR),
        ("KERNDTLB 1117838570 2005.06.03 R02 2005-06-03 R02 RAS KERNEL INFO data TLB\n", UnitFlag.ERROR),
        ("- 1117838570 2005.06.03 R02 2005-06-03 R02 RAS KERNEL FATAL data TLB\n", UnitFlag.WARNING),
        ("03-17 16:13:46.145  2227  2227 E PhoneStatusBar: x\n", UnitFlag.ERROR),
        ("03-17 16:13:46.145  2227  2227 D PhoneStatusBar: x\n", UnitFlag.NOISE),
        ('1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /x HTTP/1.0" 503 2326\n', UnitFlag.ERROR),
        ("time=2024 level=warn msg=x\n", UnitFlag.WARNING),
        ('level=info msg="0 problems"\n', UnitFlag(0)),
    ],
)
def test_log_formats(line: str, flag: UnitFlag) -> None:
    assert UnitFlag(int(segment_log(line * 2).flags[0])) == flag


PYTEST = """\
============================= test session starts ==============================
collected 3 items

tests/a.py ..F.                                                          [ 50%]
tests/b.py ....                                                          [100%]
tests/b.py::test_x PASSED [ 10%]

=================================== FAILURES ===================================
___________________________________ test_foo ___________________________________

    def test_foo():
>       assert x == 2
E       assert 1 == 2

tests/a.py:12: AssertionError
=========================== short test summary info ============================
FAILED tests/a.py::test_foo - assert 1 == 2
========================= 1 failed, 3 passed in 0.12s ==========================
"""


def test_pytest_output() -> None:
    found = segment_traceback(PYTEST)
    errors = "".join(flagged(found, UnitFlag.ERROR))
    for part in ("..F.", "assert x == 2", "E       assert", "a.py:12", "FAILED tests", "test_foo ___"):
        assert part in errors
    assert "1 failed, 3 passed" in "".join(flagged(found, UnitFlag.SUMMARY))
    noise = "".join(flagged(found, UnitFlag.NOISE))
    assert "tests/b.py ...." in noise and "PASSED" in noise and "F" not in noise
    assert "test_foo" in parent_of(found, "E       assert")


def test_tracebacks() -> None:
    python = (
        "======\nFAIL: test_c (m.B)\n------\nTraceback (most recent call last):\n"
        '  File "/a.py", line 1, in f\n    foo()\n    ^^^^^\n  File "/b.py", line 2, in g\n    bar(\n'
        '  File "/c.py", line 3, in h\n    raise X("x")\nmy.BadThing: x\n\n------\n'
        "Ran 19 tests in 0.5s\n\nFAILED (failures=1)\n"
    )
    found = segment_traceback(python)
    assert '  File "/a.py", line 1, in f\n    foo()\n    ^^^^^\n' in units(found)
    errors = flagged(found, UnitFlag.ERROR)
    assert "my.BadThing: x\n" in errors and any("/c.py" in e for e in errors) and not any("/a.py" in e for e in errors)
    assert only(found, "/c.py").startswith("…\nFAIL: test_c (m.B)\n…\nTraceback")
    java = (
        'Exception in thread "main" a.B: c\n\tat a.c(B.java:1)\n\tat a.d(B.java:2)\n\tat a.e(B.java:3)\nCaused by: x\n'
    )
    assert len(flagged(segment_traceback(java), UnitFlag.ERROR)) == 4
    go = "panic: x\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:12 +0x1d\nexit status 2\n"
    assert "main.f(0x1)\n\t/a.go:12 +0x1d\n" in flagged(segment_traceback(go), UnitFlag.ERROR)
    rust = (
        "running 1 test\ntest a::b ... ok\nthread 'a::c' panicked at src/lib.rs:5:9:\nleft == right\n"
        "test result: FAILED. 1\n"
    )
    assert "left == right" in flagged(segment_traceback(rust), UnitFlag.ERROR)[0]
    assert len(flagged(segment_traceback(rust), UnitFlag.NOISE)) == 2


def test_diff() -> None:
    text = (
        "commit 1234567890\nAuthor: A\n\ndiff --git a/x.py b/x.py\nindex c5..5c 100644\n--- a/x.py\n+++ b/x.py\n"
        "@@ -5,3 +5,3 @@ def f\n a\n-b\n+c\n \n"
        "@@ -126,2 +126,3 @@ class B:\n x\n--- z\n+++ z\n+q\n\\ No newline at end of file\n"
    )
    found = segment_diff(text)
    assert "-b\n+c\n" in units(found)
    assert "--- z\n+++ z\n+q\n\\ No newline at end of file\n" in units(found)
    assert parent_of(found, "-b\n").startswith("@@ -5,3")
    assert parent_of(found, "@@ -126").startswith("diff --git")
    assert only(found, "-b\n").startswith("commit 1234567890\n…\n\ndiff --git a/x.py")


def test_tables() -> None:
    found = segment_table('id,name\n1,"a\nb"\n2,c\nTotal,3\n')
    assert units(found) == ["id,name\n", '1,"a\nb"\n', "2,c\n", "Total,3\n"]
    assert parent_of(found, "2,c") == "id,name\n" and flagged(found, UnitFlag.SUMMARY) == ["Total,3\n"]
    found = segment_table("See:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nEnd.\n")
    assert parent_of(found, "| 3") == "| a | b |\n" and parent_of(found, "End") == ""
    assert "|---|---|\n" in flagged(found, UnitFlag.NOISE)
    found = segment_table(" id | n\n----+---\n  1 | f\n(1 row)\n")
    assert parent_of(found, "f") == " id | n\n" and flagged(found, UnitFlag.SUMMARY) == ["(1 row)\n"]
    box = "+----+----+\n"
    found = segment_table(f"{box}| id | nm |\n{box}|  1 | a  |\n|  2 | b  |\n{box}2 rows in set\n")
    assert parent_of(found, "| b") == f"{box}| id | nm |\n{box}"
    found = segment_table("NAME   STATUS\na-1    Running\nb-2    CrashLoopBackOff\n")
    assert flagged(found, UnitFlag.ERROR) == ["b-2    CrashLoopBackOff\n"]
    assert units(segment_table("[(1, 'a'), (2, 'b')]")) == ["[(1, 'a'), ", "(2, 'b')]"]


def test_search() -> None:
    found = segment_search_results(
        'Found 2 matches for "X" in /b.py:\nLine 1:class X:\nLine 2: x=X,\nEnd of matches for "X" in /b.py\n'
    )
    assert only(found, "Line 2") == 'Found 2 matches for "X" in /b.py:\n…\nLine 2: x=X,\n…\n'
    found = segment_search_results("src/a.py\n12:foo\n--\n20:x\n\nsrc/b.py\n1:y\n")
    assert parent_of(found, "20:x") == "src/a.py\n" and parent_of(found, "1:y") == "src/b.py\n"
    found = segment_search_results(".\n├── a\n│   ├── b.py\n│   └── c\n│       └── d.py\n└── e\n")
    assert only(found, "d.py") == ".\n├── a\n│   …\n".replace("│   …", "…") + "│   └── c\n│       └── d.py\n…\n"
    found = segment_search_results(
        "./x:\ntotal 12\n-rw-r--r-- 1 a b 12 Jan 1 x.py\n\n./y:\n-rw-r--r-- 1 a b 12 Jan 1 z.py\n"
    )
    assert parent_of(found, "z.py") == "./y:\n"


def test_markdown() -> None:
    text = (
        "# T\nOne. Two.\n\n## S\n- item\n  more\n  - nested\n\n```python\ndef f():\n    return 1\n```\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "Under\n-----\nText.\n\n# U\nLast.\n"
    )
    found = segment_markdown(text)
    assert (
        parent_of(found, "Two") == "# T\n"
        and parent_of(found, "## S") == "# T\n"
        and parent_of(found, "Last") == "# U\n"
    )
    assert parent_of(found, "nested") == "- item\n  more\n"
    assert parent_of(found, "| 1") == "| a | b |\n|---|---|\n"
    assert parent_of(found, "Text.") == "Under\n-----\n"
    assert only(found, "return 1") == "# T\n…\n\n## S\n…\n\n```python\ndef f():\n    return 1\n```\n\n…\n"


PAGE = """<!DOCTYPE html><html><head><title>Cats</title><script>if (a < b) x("</p>")</script></head><body>
<nav><ul><li><a href="/">Home</a></li></ul></nav><div class="cookie-banner"><p>We use cookies.</p></div>
<h1>Cats</h1><p title="a > b">Cats sleep. They purr.</p>
<h2>Food</h2><ul><li>Fish</li><li>Mice</li></ul><!-- <p>hidden</p> -->
<p>{}</p><footer>All rights reserved</footer></body></html>"""


def test_html() -> None:
    text = PAGE.format("A long sentence about cats and <b>what. They</b> eat stands here. " * 10)
    found = segment_html(text)
    noise = "".join(flagged(found, UnitFlag.NOISE))
    for part in ("x(", "Home", "We use cookies", "hidden", "All rights"):
        assert part in noise
    for part in ("Cats sleep", "Fish", "A long sentence"):
        assert part not in noise
    assert "<h2>Food</h2>" in parent_of(found, "Fish") and "<h1>Cats</h1>" in parent_of(found, "Food")
    assert all(
        u.count("<") == u.count(">") for u in units(found) if "script" not in u and "title=" not in u and "!--" not in u
    )
    assert any('<p title="a > b">Cats sleep. They purr.</p>' in u for u in units(found))
    assert len([u for u in units(found) if "A long sentence" in u]) > 5


LOG = "".join(f"2024-01-01 10:00:{i:02d} INFO request {i} served in {i * 7} ms\n" for i in range(30))
JSON = "[" + ", ".join(f'{{"id": {i}, "name": "n{i}"}}' for i in range(60)) + "]"
CODE = "".join(f"def f{i}(x):\n    return x + {i}\n\n\n" for i in range(40))


@pytest.mark.parametrize(
    ("text", "material"),
    [
        (f"Why is this slow?\n\n{LOG}\n\nAnswer in one line.", LOG.strip()),
        (f"Summarise:\n```json\n{JSON}\n```\nThanks.", JSON),
        (f"Here it is: \n{JSON}\nWhat is id 7?", JSON),
        (f"Use this.\n<document index='1'>\n{LOG}</document>\nGo.", LOG.strip()),
        (f"Fix it\n\n```python\n{CODE}```\nplease", CODE.strip()),
        ("Do this. " * 200, None),
        (f"Please read {'a ' * 100}", None),
        ("You must obey:\n" + "".join(f"{i}. Never do thing number {i}\n" for i in range(60)), None),
        (
            "It fails. I call it so:\nf(x)\n"
            + "I expected another thing here and it is odd.\n" * 30
            + "def f(x):\n    pass\n",
            None,
        ),
    ],
)
def test_material(text: str, material: str | None) -> None:
    found = [text[a:b].strip() for a, b in find_pasted_content(text)]
    assert found == ([material] if material else [])


def test_numbered_documents_are_material_and_the_question_is_not() -> None:
    docs = "\n".join(f"Document [{i}](Title: T{i}) " + "Some text about it. " * 20 for i in range(1, 6))
    text = f"Write an answer using the documents.\n\n{docs}\n\nQuestion: who?\nAnswer:"
    assert [text[a:b] for a, b in find_pasted_content(text)] == [docs]
