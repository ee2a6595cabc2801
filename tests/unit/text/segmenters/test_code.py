"""Code: statements stay whole, braces stay balanced, windows of files keep their numbers, garbage costs little."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import threading
import tracemalloc

import numpy as np
import pytest

from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code import segment_code
from compressor.text.segmenters.code_lines import rows_by_indentation
from compressor.text.segmenters.code_rows import CodeRows
from compressor.text.segmenters.code_tree_sitter import rows_by_syntax_tree
from compressor.text.segmenters.languages import hint_language, looks_like
from support.cpu_time import cpu_time_below

PYTHON = '''\
"""Doc."""
import os

@dec(
    1)
def foo(a,
        b):
    """One."""
    x = {
        1: 2,
    }
    if a:
        return 1
    elif b:
        y = """
text
"""
    else:
        return 3
    try:
        pass
    except ValueError:
        z = 1

class A(B):
    x = 1
    def m(self): return 2
'''
JAVASCRIPT = """\
import x from 'y';
export class A extends B {
  constructor(a) {
    super(a);
  }
}
const f = async (a) => {
  if (a) {
    b();
  } else if (c) {
    d();
  } else {
    e();
  }
  switch (a) {
    case 1:
      foo();
      break;
  }
};
describe('x', () => {
  it('y', () => {
    z({
      a: 1
    });
  });
});
for (;;) { if (q) {
    w(); }}
"""
JAVA = """\
package a.b;
import java.util.*;
/**
 * Doc
 */
public class A {
    private int x;
    @Override
    public int foo(int a)
    {
        if (a > 1)
        {
            return 1;
        }
        else
        {
            return 2;
        }
    }
}
"""
GO = """\
package main

import (
	"fmt"
)

type A struct {
	X int
}

func (a *A) Foo(x int) error {
	switch x {
	case 1:
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	go func() {
		x()
	}()
	return nil
}
"""
RUST = """\
use std::io;
/// Doc
#[derive(Debug)]
pub struct A {
    x: i32,
}
impl A {
    #[inline]
    pub fn f<'a>(&'a self) -> i32 {
        match self.x {
            1 => {
                2
            }
            _ => 3,
        }
    }
}
"""
C = """\
#include <stdio.h>
#ifdef FOO
int y;
#else
int z;
#endif
static int foo(int a)
{
  for (;;) {
    x(); }
  do {
    q();
  } while (1);
  return 0;
}
"""
SOURCES = {
    "python": PYTHON,
    "javascript": JAVASCRIPT,
    "typescript": JAVASCRIPT,
    "java": JAVA,
    "go": GO,
    "rust": RUST,
    "c": C,
    "cpp": C,
}


def row_texts(source: str, rows: CodeRows) -> list[str]:
    lines = source.splitlines(keepends=True)
    return ["".join(lines[a:b]) for a, b in zip(rows.rows, [*rows.rows[1:], len(lines)], strict=True)]


@pytest.mark.parametrize("language", SOURCES)
def test_braces_stay_balanced_whatever_is_kept(language: str) -> None:
    source = SOURCES[language]
    assert rows_by_syntax_tree(source, language) is not None
    found = segment_code(source, language)
    assert found.kind == "code"
    random = np.random.default_rng(0)
    for _ in range(200):
        out = found.render(random.random(len(found.spans)) < random.random())
        for opening, closing in ("()", "[]", "{}"):
            assert out.count(opening) == out.count(closing), out


@pytest.mark.parametrize("language", ["javascript", "java", "go", "rust", "c"])
def test_the_line_segmenter_has_no_units_of_braces_alone(language: str) -> None:
    source = SOURCES[language].split("for (;;) {")[0]
    rows = rows_by_indentation(source, language)
    texts = row_texts(source, rows)
    assert "".join(texts) == source
    assert all(any(c.isalnum() for c in unit) for unit in texts)
    assert [p for i, p in enumerate(rows.parents) if p >= i] == []
    assert all(p < 0 or rows.flags[p] & UnitFlag.SIGNATURE for p in rows.parents)


def test_python_statements_are_whole() -> None:
    rows = rows_by_syntax_tree(PYTHON, "python")
    assert rows is not None
    units = row_texts(PYTHON, rows)
    assert "@dec(\n    1)\ndef foo(a,\n        b):\n" in units
    assert "    x = {\n        1: 2,\n    }\n" in units
    assert '        y = """\ntext\n"""\n' in units
    flags = {u.strip().split("\n")[0]: f for u, f in zip(units, rows.flags, strict=True)}
    assert flags["@dec("] == flags["class A(B):"] == UnitFlag.SIGNATURE | UnitFlag.HEADER
    assert flags["import os"] == UnitFlag.IMPORT and flags['"""Doc."""'] == flags['"""One."""'] == UnitFlag.COMMENT
    up = {u.strip(): units[p].strip() if p >= 0 else "" for u, p in zip(units, rows.parents, strict=True)}
    assert up["return 3"] == "else:" and up["else:"] == up["elif b:"] == "if a:" and up["if a:"].startswith("@dec")


def test_what_is_kept_of_python_still_parses() -> None:
    source = inspect.getsource(textwrap)
    found = segment_code(source, "textwrap.py")
    random = np.random.default_rng(1)
    for _ in range(30):
        out = found.render(random.random(len(found.spans)) < 0.3)
        # a gap stands where statements stood: as a statement it must fit, except where a branch (`elif`) went
        out = re.sub(rf"^( *){ELLIPSIS}\n+(?=\1(?:elif|else)\b)", "", out, flags=re.M)
        ast.parse(out.replace(ELLIPSIS, "..."))


def test_lines_and_tree_agree_on_python() -> None:
    source = inspect.getsource(textwrap)
    tree = rows_by_syntax_tree(source, "python")
    lines = rows_by_indentation(source, "python")
    assert tree is not None
    assert len(set(tree.rows) & set(lines.rows)) > 0.8 * len(set(tree.rows) | set(lines.rows))


def test_a_docstring_is_cut_at_its_lines_and_sentences() -> None:
    source = (
        'def fetch(url, tries):\n    """Fetches a page.\n\n    Args:\n        url: Where it is.\n'
        "        tries: 0 means for ever, and a larger number is how often it is tried\n            again.\n"
        '    """\n    return 1\n'
    )
    for rows in (rows_by_syntax_tree(source, "python"), rows_by_indentation(source, "python")):
        assert rows is not None
        units = [" ".join(unit.split()) for unit in row_texts(source, rows)]
        assert units[2:6] == [
            "Args:",
            "url: Where it is.",
            "tries: 0 means for ever, and a larger number is how often it is tried again.",
            '"""',
        ]
        assert rows.parents[1:6] == [0, 1, 1, 1, 1] and rows.closes[5] == 1
        short = 'def f():\n    """One.\n    Two.\n    """\n    return 1\n'
        assert len(rows_by_indentation(short, "python").rows) == 3


@pytest.mark.parametrize("name", ["a.py", "a.js", "a.rb"])
def test_a_long_literal_is_cut_at_its_entries(name: str) -> None:
    entries = "".join(f'  "key{i}": "value {i}",\n' for i in range(20))
    source = f"TABLE = {{\n{entries}}}\nother = 1\n"
    found = segment_code(source, name)
    out = found.render(np.array(["key7" in source[a:b] for a, b in found.spans.tolist()]))
    assert "TABLE = {" in out and '"key7": "value 7"' in out and "key8" not in out


def test_without_a_grammar_only_definitions_are_parents() -> None:
    source = (
        "require 'x'\n\nmodule Shop\n  class Cart\n    LIMIT = 20\n\n    def add(item)\n      if item.ok?\n"
        "        items.each do |i|\n          total += i.price\n        end\n      else\n        warn 'bad'\n "
        "     end\n"
        "    end\n  end\nend\n"
    )
    found = segment_code(source, "cart.rb")
    texts = [source[a:b] for a, b in found.spans.tolist()]
    out = found.render(np.array(["total" in t for t in texts]))
    assert "module Shop" in out and "class Cart" in out and "def add(item)" in out
    assert "item.ok?" not in out and "items.each" not in out
    assert "      else\n        warn 'bad'\n      end\n    end\n  end\nend\n" in texts


@pytest.mark.parametrize("number", ["{}:", "{:6d}\t", "{}| ", "{}→"])
def test_windows_keep_their_numbers(number: str) -> None:
    inside = PYTHON.split("\n")[7:23]
    body = "".join(number.format(i) + line + "\n" for i, line in enumerate(inside, 8))
    text = f"[File: /x/y.py (99 lines total)]\n(7 more lines above)\n{body}(76 more lines below)\nFile updated.\n"
    found = segment_code(text)
    units = [text[a:b] for a, b in found.spans.tolist()]
    assert units[0].startswith("[File") and found.flags[0] == UnitFlag.HEADER
    assert found.flags[1] == UnitFlag.SUMMARY
    assert any(u.count("\n") == 3 and "x = {" in u for u in units)
    keep = np.array(["return 3" in u for u in units])
    out = found.render(keep)
    assert "[File: /x/y.py" in out and "return 3" in out and "else:" in out and "pass" not in out
    assert found.render(np.ones(len(units), np.bool_)) == text


def test_a_window_that_begins_in_a_docstring() -> None:
    source = '        of the thing.\n        """\n        if x:\n            return """a"""\n        return 2\n'
    units = [u.strip() for u in row_texts(source, rows_by_indentation(source, "python"))]
    assert units[1:] == ["if x:", 'return """a"""', "return 2"]


def test_an_unclosed_bracket_does_not_swallow_the_rest() -> None:
    source = "class A:\n    x = foo(\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n"
    assert len(rows_by_indentation(source, "python").rows) == 6
    source = "class A {\n  x = foo(\n  public f() {\n    return 1;\n  }\n}\n"
    assert len(rows_by_indentation(source, "javascript").rows) == 4


@pytest.mark.moderate
@pytest.mark.parametrize(
    "source",
    [
        "(" * 90_000,
        "[{" * 45_000,
        "x=>" * 30_000,
        "a\n" * 45_000,
        'f"{' * 30_000,
        "x => \n" * 15_000,
        "if (a) {} else " * 6_000,
    ],
    ids=lambda s: repr(s[:5]),
)
@pytest.mark.parametrize("language", ["python", "java", "c", "go"])
def test_garbage_is_given_up_on_quickly(source: str, language: str) -> None:
    with cpu_time_below(5):
        segment_code(source, language)


def test_deep_nesting() -> None:
    source = "".join("    " * i + "if x:\n" for i in range(150)) + "    " * 150 + "y\n"
    found = segment_code(source, "python")
    assert found.render(np.ones(len(found.spans), np.bool_)) == source
    segment_code("{" * 5000 + "}" * 5000, "javascript")


def test_threads_do_not_share_parsers() -> None:
    failures: list[int] = []

    def work() -> None:
        for _ in range(20):
            rows = rows_by_syntax_tree(PYTHON, "python")
            if rows is None or len(rows.rows) != expected:
                failures.append(1)

    first = rows_by_syntax_tree(PYTHON, "python")
    assert first is not None
    expected = len(first.rows)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


@pytest.mark.parametrize(
    ("hint", "language"),
    [
        ('{"command": "open django/utils/x.py\\n"}', "python"),
        ("/a/b/c.py", "python"),
        ("a.js", "javascript"),
        ("python", "python"),
        ("js {1,3}", "javascript"),
        ("python reproduce.py", None),
        ('{"command": "python reproduce.py"}', None),
        ("cat Makefile", "make"),
        ('{"path": "/src/x.rs"}', "rust"),
        ("", None),
        ('{"command": "grep -n foo a.py"}', None),
        ("cat -n src/a.tsx | head", "tsx"),
    ],
)
def test_hints(hint: str, language: str | None) -> None:
    assert hint_language(hint) == language


def test_looks() -> None:
    for language in ("python", "javascript", "java", "go", "rust", "c"):
        assert looks_like(SOURCES[language]) == language
    assert looks_like("Some prose about a class of its own.\nIt imports nothing from anywhere.\n" * 5) is None


def test_a_syntax_tree_that_was_read_keeps_no_memory() -> None:
    code = "".join(f"def name_{i}(x):\n    return x + {i}\n\n\n" for i in range(2_000))
    assert rows_by_syntax_tree(code, "python") is not None
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(5):
            rows_by_syntax_tree(f"{code}# {i}\n", "python")
        assert tracemalloc.get_traced_memory()[0] - before < len(code)
    finally:
        tracemalloc.stop()
