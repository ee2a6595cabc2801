"""Units of source code by indentation and brackets alone: for windows of files, unknown languages and large inputs.

A line begins a unit unless it continues a bracket, a string or a comment. What is indented below it stands under it.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code_tree_sitter import LONG_DOCSTRING, CodeRows

_PYTHON_TOKENS = re.compile(
    r'"""[\s\S]*?(?:"""|\Z)|\'\'\'[\s\S]*?(?:\'\'\'|\Z)|"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|\'[^\'\\\n]*(?:\\.[^\'\\\n]*)*\'?'
    r"|\#[^\n]*|[()\[\]{}]|\\\r?\n"
    r"|\n[ \t]*(?=(?:def|class|return|raise|import|try|while|with|pass|break|continue|assert)\b)"
)
_BRACE_TOKENS = re.compile(
    r"//[^\n]*|/\*[\s\S]*?(?:\*/|\Z)|\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"?|'(?:\\.[^'\n]{0,8}|[^'\\\n])'|'[^'\\\n(){}\[\]]*'"
    r"|`[^`\\]*(?:\\[\s\S][^`\\]*)*(?:`|\Z)|[()\[\]{}]"
    r"|\n[ \t]*(?=(?:public|private|protected|function|class|def|func|fn|pub|return|import|package|static|export)\b)"
)
_HASH = frozenset("ruby shell perl r yaml toml ini make elixir terraform".split())
_DASHES = frozenset("sql lua haskell".split())
_INDENTED = _HASH | _DASHES | {"python"}

_HEAD = re.compile(
    r"(?P<import>(?:import|from [\w.]+ import|#\s*include|use|using|package|require|mod)\b)"
    r"|(?P<signature>(?:@\w|(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\(\w+\))?"
    r"|unsafe|extern|virtual|inline|override|const|suspend|open|sealed|data|template[ \t]?<[^\n>]{0,80}>)[ \t]+){0,6}"
    r"(?:def|class|function\*?|func|fn|interface|struct|enum|trait|impl|type|namespace|module|record|object|union|protocol|extension)\b"
    r"|(?:constructor|describe|it|test)\())"
    r"|(?P<comment>//|/\*|\*[ /]|\*\s*$|\"\"\"|'''|[rRuU]\"\"\"|--[ \t-])"
)
_C_FUNCTION = re.compile(
    r"(?!(?:if|for|while|switch|catch|else|do|try|return|with|synchronized|match|loop)\b)[\w\s*&:<>,~\[\].]{2,160}\([^;\n]*$"
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLOSER = re.compile(r"[})\]]|(?:end|fi|done|esac)\b")
_BRANCH = re.compile(
    r"(?:\}\s*)?(?:else|elif|elsif|elseif|except|finally|catch|rescue|ensure|case|default|when)\b|\}.*[{(\[]\s*$"
)
_FLAGS = {"import": int(UnitFlag.IMPORT), "signature": int(UnitFlag.SIGNATURE), "comment": int(UnitFlag.COMMENT)}


def rows_by_indentation(code: str, language: str | None) -> CodeRows:
    r"""The units of `code`, by rows (0-based, split at `\\n`). Never fails."""
    lines = code.split("\n")
    inside = _inside(code, lines, language)
    hash_comments = language in _HASH or language == "python"
    braces = language not in _INDENTED
    out = CodeRows()
    stack: list[tuple[int, int]] = []  # (indentation, unit) of the units that are open
    indents: list[int] = []
    decorated = -1  # indentation of a decorator whose definition is still to come
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
            if (first == "{" and len(body.rstrip()) == 1) or (decorated == indent and first != "@"):
                decorated = -1
                continue
        m = _HEAD.match(body)
        flag = _FLAGS[m.lastgroup] if m and m.lastgroup else 0
        if first == "#" and hash_comments:
            flag = int(UnitFlag.COMMENT)
        elif braces and not flag and "(" in body and body.rstrip()[-1:] in "{)" and _C_FUNCTION.match(body):
            flag = (
                int(UnitFlag.SIGNATURE)
                if body.rstrip()[-1] == "{" or lines[row + 1 : row + 2] == [line[:indent] + "{"]
                else 0
            )
        decorated = indent if first == "@" and flag else -1
        sibling = -1
        while stack and stack[-1][0] >= indent:
            level, unit = stack.pop()
            if level == indent:
                sibling = unit
        parent = stack[-1][1] if stack else -1
        closes = -1
        if sibling >= 0:
            if _BRANCH.match(body):
                # later branches of a chain are children of the first
                parent = out.parents[sibling] if out.flags[sibling] & _CHAINED else sibling
                flag |= _CHAINED
            elif _CLOSER.match(body):
                closes = out.parents[sibling] if out.flags[sibling] & _CHAINED else sibling
                parent = sibling
        unit = out.add(row, parent, flag, closes)
        indents.append(indent)
        stack.append((indent, unit))
        if state == 3:
            _paragraphs(out, lines, inside, row, unit, indents)
    for i, flag in enumerate(out.flags):
        out.flags[i] = flag & ~_CHAINED
    if out.rows:
        out.rows[0] = 0
    else:
        out.add(0, -1)
    return out


_CHAINED = 1 << 12  # only within this module: a branch (`else`) of the statement that is its parent


def _paragraphs(out: CodeRows, lines: list[str], inside: list[int], row: int, unit: int, indents: list[int]) -> None:
    """Cuts the long string or comment that begins at `row` at its blank lines; its last row closes its first."""
    end = row + 1
    while end < len(lines) and inside[end] == 2:
        end += 1
    if end - row <= LONG_DOCSTRING or not out.flags[unit] & UnitFlag.COMMENT:
        return
    for i in range(row + 1, end - 2):
        if not lines[i].strip() and lines[i + 1].strip():
            out.add(i + 1, unit, UnitFlag.COMMENT)
            indents.append(indents[unit])
    out.add(end - 1, unit, UnitFlag.COMMENT, closes=unit)
    indents.append(indents[unit])


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
