"""Units of source code by lines and indentation alone: for windows of files, unknown languages and large inputs.

A line begins a unit unless it continues a short bracket or string, only closes something, or follows a bare `else`. Its
parent is the definition that it is indented under: no other line above it is needed to read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compressor.native import load_kernel
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code_rows import CodeRows, mark_headers
from compressor.text.segmenters.docstrings import LONG_STATEMENT, SHORT_DOCSTRING, docstring_rows, literal_rows

MAX_OPENER_CHARS = 12  # a longer line is worth a unit of its own

#: Words that no bracket can hold: what is open where a line begins with one was never closed.
_PYTHON_WORDS = "def class return raise import try while with pass break continue assert".split()
_BRACE_WORDS = "public private protected function class def func fn pub return import package static export".split()
_PYTHON_TOKENS = re.compile(
    r'"""[\s\S]*?(?:"""|\Z)|\'\'\'[\s\S]*?(?:\'\'\'|\Z)|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|\'[^\'\\\n]*(?:\\.[^\'\\\n]*)*\'?'
    r"|\#[^\n]*|[()\[\]{}]|\\\r?\n"
    rf"|\n[ \t]*(?=(?:{'|'.join(_PYTHON_WORDS)})\b)"
)
_BRACE_TOKENS = re.compile(
    r"//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)|\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"?|'(?:\\.[^'\n]{0,8}|[^'\\\n])'|'[^'\\\n(){}\[\]]*'"
    r"|`[^`\\]*(?:\\[\s\S][^`\\]*)*(?:`|\Z)|[()\[\]{}]"
    rf"|\n[ \t]*(?=(?:{'|'.join(_BRACE_WORDS)})\b)"
)
_HASH = frozenset("ruby shell perl r yaml toml ini make elixir terraform".split())
_DASHES = frozenset("sql lua haskell".split())
_INDENTED = _HASH | _DASHES | {"python"}

_IMPORTS = "import use using package require mod".split()
_MODIFIERS = (
    "export default public private protected internal static final abstract async unsafe extern virtual inline "
    "override const suspend local operator infix fileprivate mutating readonly partial open sealed data"
).split()
_DEFINERS = (
    "def defp defmacro defmacrop defmodule defimpl defprotocol defdelegate defguard sub proc fun class func fn "
    "interface struct enum trait impl type namespace module record object union protocol extension"
).split()
_BLOCKS = "constructor init describe it test".split()
_HEAD = re.compile(
    rf"(?P<import>(?:{'|'.join(_IMPORTS)}|from [\w.]+ import|#\s*include)\b)"
    r"|(?P<signature>(?:@\w[\w.]*(?=\(|\s*$|\s+(?:@|public|private|protected|internal|static|final|abstract|open|async|export|class"
    r"|interface|def|fun|func|va[lr])\b)"
    rf"|(?:(?:{'|'.join(_MODIFIERS)}|pub(?:\(\w+\))?|template[ \t]?<[^\n>]{{0,80}}>)[ \t]+){{0,6}}"
    rf"(?:{'|'.join(_DEFINERS)}|function[*!]?)\b"
    rf"|(?:{'|'.join(_BLOCKS)})\(|(?i:CREATE|ALTER)[ \t]+(?:\w+[ \t]+){{0,4}}(?:TABLE|VIEW"
    r"|FUNCTION|PROCEDURE|TRIGGER)\b))"
    r"|(?P<comment>//|/\*|\*[ /]|\*\s*$|\"\"\"|\'\'\'|[rRuU]\"\"\"|--[ \t-])"
)
_CONTROLS = "if for while switch catch else do try return with synchronized match loop".split()
_C_FUNCTION = re.compile(rf"(?!(?:{'|'.join(_CONTROLS)})\b)[\w\s*&:<>,~\[\].]{{2,160}}\([^;\n]*$")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSING_WORDS = (
    "end endif endfor endwhile endfunction endfunc endforeach endswitch endcase enddef endclass endmodule fi done esac"
).split()
_CLOSER = re.compile(rf"(?:[}})\](>;,:]+|{'|'.join(_CLOSING_WORDS)})[;,)]*\s*$")
_TABLE = re.compile(
    r"(?:=|=>|:|<-)\s*(?:%[wWiI])?[\[({]\s*$"
)  # a named literal that goes on below: it owns its entries
_OPENER = re.compile(r"(?:\}\s*)?(?:else|begin|do|try|then|finally|ensure|default)?\s*[:{]?\s*$")
_COMMENT, _SIGNATURE = int(UnitFlag.COMMENT), int(UnitFlag.SIGNATURE)
_FLAGS = {"import": int(UnitFlag.IMPORT), "signature": _SIGNATURE, "comment": _COMMENT}


@dataclass(frozen=True, slots=True)
class CodeLinePatterns:
    """What the kernel takes from here: words, flags, and the patterns for lines that it has not told by their words."""

    python_words: frozenset[str]
    brace_words: frozenset[str]
    imports: frozenset[str]
    definers: frozenset[str]
    heads: frozenset[str]
    controls: frozenset[str]
    closers: frozenset[str]
    head_flag: Callable[[str], int]
    is_opener: Callable[[str], bool]
    opens_table: Callable[[str], bool]
    docstring_rows: Callable[[Sequence[str], int, int], list[int]] = docstring_rows
    literal_rows: Callable[[Sequence[str], int, int], list[int]] = literal_rows
    max_opener: int = MAX_OPENER_CHARS
    short_docstring: int = SHORT_DOCSTRING
    long_statement: int = LONG_STATEMENT
    comment_flag: int = _COMMENT
    import_flag: int = int(UnitFlag.IMPORT)
    signature_flag: int = _SIGNATURE
    header_flag: int = int(UnitFlag.HEADER)


def _head_flag(body: str) -> int:
    """The flag of a line by how it begins: import, signature or comment; 0 for other lines."""
    m = _HEAD.match(body)
    return _FLAGS[m.lastgroup] if m and m.lastgroup else 0


def _is_opener(body: str) -> bool:
    """Whether a line is a bare `else` or `{`."""
    return _OPENER.match(body) is not None


def _opens_table(body: str) -> bool:
    """Whether a line opens a literal with a name."""
    return _TABLE.search(body) is not None


PATTERNS = CodeLinePatterns(
    frozenset(_PYTHON_WORDS),
    frozenset(_BRACE_WORDS),
    frozenset(_IMPORTS),
    frozenset(("function", *_DEFINERS)),
    frozenset(("from", "pub", "template", "create", "alter", *_MODIFIERS, *_BLOCKS)),
    frozenset(_CONTROLS),
    frozenset(_CLOSING_WORDS),
    _head_flag,
    _is_opener,
    _opens_table,
)
_kernel = load_kernel("code_rows")


def rows_by_indentation(code: str, language: str | None) -> CodeRows:
    r"""The units of `code`, by rows (0-based, split at `\\n`). Never fails."""
    if _kernel is None:
        return rows_by_indentation_slowly(code, language)
    python = language == "python"
    start = _tail_of_docstring(code) if python else 0
    follows = None if language in _INDENTED and not python else python
    hash_comments = python or language in _HASH
    return CodeRows(
        *_kernel.rows_by_indentation(code, start, follows, hash_comments, language not in _INDENTED, PATTERNS)
    )


def rows_by_indentation_slowly(code: str, language: str | None) -> CodeRows:
    """The same in Python."""
    lines = code.split("\n")
    inside = _inside(code, lines, language)
    hash_comments = language in _HASH or language == "python"
    braces = language not in _INDENTED
    out = CodeRows()
    stack: list[tuple[int, int]] = []  # (indentation, unit) of the definitions that are open
    indents: list[int] = []
    decorated = -1  # indentation of a decorator whose definition is still to come
    opened = False  # whether the line before is a bare `else` or `{`, which says nothing alone
    for row, line in enumerate(lines):
        body = line.lstrip()
        if not body:
            continue
        indent = len(line) - len(body)
        first = body[0]
        state = inside[row]
        if out.rows:
            if state == 2 or (state == 1 and (indent > indents[-1] or first in ")]}")):
                continue
            if _CLOSER.match(body) or (first == "{" and len(body.rstrip()) == 1):
                continue
            if decorated == indent and first != "@":
                decorated = -1
                continue
        flag = _head_flag(body)
        if first == "#" and (hash_comments or body[1:2] in " #!"):
            flag = _COMMENT
        elif braces and not flag and "(" in body and body.rstrip()[-1:] in "{)" and _C_FUNCTION.match(body):
            flag = _SIGNATURE if body.rstrip()[-1] == "{" or lines[row + 1 : row + 2] == [line[:indent] + "{"] else 0
        decorated = indent if first == "@" and flag else -1
        while stack and stack[-1][0] >= indent:
            stack.pop()
        if opened and not flag:
            opened = False
            continue
        opened = len(body) < MAX_OPENER_CHARS and not flag and _OPENER.match(body) is not None
        parent = stack[-1][1] if stack else -1
        unit = out.add(row, parent, flag)
        indents.append(indent)
        if flag & _SIGNATURE or (not braces and _TABLE.search(body)):
            stack.append((indent, unit))
        _inner(out, lines, inside, row, unit, indents)
    mark_headers(out)
    if out.rows:
        out.rows[0] = 0
    else:
        out.add(0, -1)
    return out


def _inner(out: CodeRows, lines: list[str], inside: list[int], row: int, unit: int, indents: list[int]) -> None:
    """Cuts what begins at `row` and goes on for rows: a docstring into its lines, a literal into its entries."""
    end = row + 1
    state = 2 if inside[row] == 3 else 1
    while end < len(lines) and (inside[end] == state or not lines[end].strip()):
        end += 1
    while end > row + 1 and not lines[end - 1].strip():
        end -= 1
    if state == 1 and end < len(lines) and lines[end].lstrip()[:1] in (")", "]", "}"):
        end += 1
    if out.flags[unit] & _COMMENT:
        if state == 2 and end - row > SHORT_DOCSTRING:
            rows = docstring_rows(lines, row, end - 1)
            for i in rows:
                out.add(i, unit, _COMMENT)
            out.add(end - 1, unit, _COMMENT, closes=unit)
            indents += [indents[unit]] * (len(out.rows) - len(indents))
    elif end - row > LONG_STATEMENT and len(rows := _entries(lines, row, end - 1, state)) > 1:
        for i in rows:
            out.add(i, unit)
        out.add(end - 1, unit, closes=unit)
        indents += [indents[unit]] * (len(out.rows) - len(indents))


def _entries(lines: list[str], row: int, end: int, state: int) -> list[int]:
    """The rows at which the entries of a long literal, or the lines of a long string, begin."""
    return docstring_rows(lines, row, end) if state == 2 else literal_rows(lines, row, end)


def _inside(code: str, lines: list[str], language: str | None) -> list[int]:
    """[rows] where each row begins: 0 in a statement, 1 in a bracket, 2 in a string or comment from an earlier row.

    3 is 0 with a string or comment of several rows that begins on the row.
    """
    if language in _INDENTED and language != "python":
        return [0] * len(lines)
    python = language == "python"
    start = _tail_of_docstring(code) if python else 0
    where, states = [-1], [0]  # from where[i] + 1 on, brackets are in states[i]
    spans: list[tuple[int, int]] = [(0, start)] if start else []
    opened: list[str] = []
    for m in (_PYTHON_TOKENS if python else _BRACE_TOKENS).finditer(code, start):
        token = m.group()
        first = token[0]
        if first in "([{":
            opened.append(first)
        elif first in ")]}":
            if python or (opened and opened[-1] == _PAIRS[first]):
                del opened[-1:]
            elif first == "}" and "{" in opened:
                while opened.pop() != "{":
                    pass
        elif first == "\n":  # what follows cannot stand in a bracket: whatever is open was never closed
            while opened and (python or opened[-1] != "{"):
                opened.pop()
        else:
            if "\n" in token:
                spans.append(m.span())
            continue
        state = 1 if opened and (python or opened[-1] != "{") else 0
        if state != states[-1]:
            where.append(m.start())
            states.append(state)
    begins = np.cumsum([0, *(len(line) + 1 for line in lines[:-1])])
    rows = np.array(states)[np.searchsorted(where, begins, "left") - 1]
    for a, b in spans:
        i, j = np.searchsorted(begins, (a, b - 1), "right").tolist()
        if rows[i - 1] == 0 and code[a] != "\\":
            rows[i - 1] = 3
        rows[i:j] = 2
    return [int(state) for state in rows.tolist()]


def _tail_of_docstring(code: str) -> int:
    """Where the string ends in which a window of Python begins; 0 if it begins in code.

    An odd number of triple quotes means that one string is cut; the first quotes tell on which side.
    """
    marks = list(re.finditer('"""', code))
    if len(marks) % 2 == 0:
        return 0
    at = marks[0].start()
    line = code[code.rfind("\n", 0, at) + 1 : at].strip()
    if line:
        # `x = """` and `r"""` open, `end of a sentence."""` closes
        return 0 if line[-1] in "=(,[{+%:" or len(line) <= 2 else marks[0].end()
    before = code[:at].rstrip()
    return 0 if not before or before[-1] in ":\"'" or "import " in before[-200:] else marks[0].end()
