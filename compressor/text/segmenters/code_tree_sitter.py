"""Units of source code by tree-sitter: which rows begin a statement, and whose body it stands in.

Works on rows, not columns: statements that share a row share a unit. Gives None for text that does not parse.
"""

from __future__ import annotations

import importlib
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.code_rows import CodeRows, mark_headers
from compressor.text.segmenters.docstrings import LONG_STATEMENT, SHORT_DOCSTRING, docstring_rows

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MAX_DEPTH = 48  # nested blocks; deeper ones stay in one unit
MAX_NESTING = 200  # nested brackets; the parsers recurse in C and crash the process if the stack overflows
CHARACTERS_A_STEP = (
    50  # the parser reports every 100 operations: code takes one per 70 characters or more, garbage per 30
)
PIECE_BYTES = 1 << 15  # of the source that the parser is given at once


@dataclass(frozen=True, slots=True)
class Grammar:
    """How a language's trees read.

    `blocks` hold statements between an opening and a closing row (Python: without those), `sections` hold statements
    after a first row (`case x:`), `closed` ones end with a row of their own (`#if` with its `#endif`), `prefixes`
    belong to what follows them.
    """

    module: str
    blocks: frozenset[str]
    signatures: frozenset[str]
    imports: frozenset[str]
    sections: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()
    braces: bool = True
    function: str = "language"


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_JS_BLOCKS = "statement_block class_body switch_body interface_body object_type enum_body"
_JS_SIGNATURES = (
    "function_declaration generator_function_declaration class_declaration method_definition interface_declaration "
    "type_alias_declaration enum_declaration abstract_class_declaration function_signature method_signature "
    "export_statement internal_module module public_field_definition arrow_function function_expression"
)
_C_BLOCKS = "compound_statement field_declaration_list declaration_list enumerator_list"
_C_SIGNATURES = (
    "function_definition struct_specifier union_specifier enum_specifier type_definition class_specifier "
    "namespace_definition template_declaration linkage_specification"
)
_C_SECTIONS = "case_statement preproc_else preproc_elif"
_C_CLOSED = "preproc_if preproc_ifdef"
GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        "tree_sitter_python",
        _set("block"),
        _set("function_definition class_definition decorated_definition"),
        _set("import_statement import_from_statement future_import_statement"),
        braces=False,
    ),
    "javascript": Grammar(
        "tree_sitter_javascript",
        _set(_JS_BLOCKS),
        _set(_JS_SIGNATURES),
        _set("import_statement"),
        _set("switch_case switch_default"),
    ),
    "java": Grammar(
        "tree_sitter_java",
        _set(
            "block class_body interface_body enum_body constructor_body switch_block annotation_type_body record_body"
        ),
        _set(
            "class_declaration interface_declaration enum_declaration record_declaration method_declaration "
            "constructor_declaration annotation_type_declaration"
        ),
        _set("import_declaration package_declaration"),
        _set("switch_block_statement_group"),
    ),
    "go": Grammar(
        "tree_sitter_go",
        _set("block field_declaration_list import_spec_list interface_type"),
        _set("function_declaration method_declaration type_declaration"),
        _set("import_declaration package_clause import_spec"),
        _set("expression_case default_case type_case communication_case"),
        _set("expression_switch_statement type_switch_statement select_statement"),
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        _set("block declaration_list field_declaration_list enum_variant_list match_block"),
        _set(
            "function_item struct_item enum_item trait_item impl_item mod_item macro_definition type_item union_item "
            "function_signature_item"
        ),
        _set("use_declaration extern_crate_declaration"),
        prefixes=_set("attribute_item inner_attribute_item"),
    ),
    "c": Grammar(
        "tree_sitter_c",
        _set(_C_BLOCKS),
        _set(_C_SIGNATURES),
        _set("preproc_include"),
        _set(_C_SECTIONS),
        _set(_C_CLOSED),
    ),
    "cpp": Grammar(
        "tree_sitter_cpp",
        _set(_C_BLOCKS),
        _set(_C_SIGNATURES),
        _set("preproc_include using_declaration"),
        _set(_C_SECTIONS),
        _set(_C_CLOSED),
    ),
}
_TS = (_set(_JS_BLOCKS), _set(_JS_SIGNATURES), _set("import_statement"), _set("switch_case switch_default"))
GRAMMARS["typescript"] = Grammar("tree_sitter_typescript", *_TS, function="language_typescript")
GRAMMARS["tsx"] = Grammar("tree_sitter_typescript", *_TS, function="language_tsx")

_STEP = np.zeros(256, np.int8)
_STEP[np.frombuffer(b"([{", np.uint8)] = 1
_STEP[np.frombuffer(b")]}", np.uint8)] = -1
_COMMENTS = _set("comment line_comment block_comment")
_COLLECTIONS = _set(
    "list dictionary set tuple argument_list concatenated_string array object arguments array_initializer "
    "literal_value "
    "array_expression initializer_list"
)
_STRINGS = _set("string template_string raw_string_literal string_literal")
_COMMENT, _SIGNATURE = int(UnitFlag.COMMENT), int(UnitFlag.SIGNATURE)
_local = threading.local()


@cache
def _language(name: str) -> Language:
    from tree_sitter import Language

    grammar = GRAMMARS[name]
    return Language(getattr(importlib.import_module(grammar.module), grammar.function)())


def rows_by_syntax_tree(code: str, language: str) -> CodeRows | None:
    r"""The units of `code`, by rows (0-based, split at `\\n`); None without a grammar or if it does not parse."""
    grammar = GRAMMARS.get(language)
    if grammar is None:
        return None
    source = code.encode("utf-8", "surrogatepass")
    if _nesting(source) > MAX_NESTING:
        return None
    root = _parse(source, language)
    if root is None or root.has_error or not root.named_child_count:
        return None
    return _Walk(grammar, code).run(root)


def _nesting(source: bytes) -> int:
    """How deep brackets nest at most, those in strings included."""
    opening = source.count(b"(") + source.count(b"[") + source.count(b"{")
    if opening <= MAX_NESTING:
        return opening
    return int(np.cumsum(_STEP[np.frombuffer(source, np.uint8)], dtype=np.int32).max(initial=0))


def _parse(source: bytes, language: str) -> Node | None:
    """The root of the syntax tree; None where the parser gets lost in error recovery, which may take it minutes."""
    from tree_sitter import Parser

    parsers: dict[str, Parser] = _local.__dict__.setdefault("parsers", {})  # a parser serves one thread
    parser = parsers.get(language)
    if parser is None:
        parser = parsers[language] = Parser(_language(language))
    calls = 0
    pieces: list[bytearray] = []

    def read(offset: int, _: object) -> bytearray | None:
        if offset >= len(source):
            return None
        pieces.append(bytearray(source[offset : offset + PIECE_BYTES]))
        return pieces[-1]

    def lost(offset: int, has_error: bool) -> bool:
        nonlocal calls
        calls += 1
        return calls > 100 + offset // CHARACTERS_A_STEP

    try:
        return parser.parse(read, encoding="utf8", progress_callback=lost).root_node
    except ValueError:  # how py-tree-sitter reports that `lost` said stop
        parser.reset()
        return None
    finally:
        for piece in pieces:  # py-tree-sitter never frees what `read` returned, so it is emptied
            piece.clear()


def _last_row(node: Node) -> int:
    """The last row a node has characters on (some nodes end with their newline)."""
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point[0] else row


def _long_literal(node: Node) -> Node | None:
    """The outermost collection, call or string of many rows in a statement, if all else in it is short."""
    for _ in range(MAX_DEPTH):
        node_rows = _last_row(node) - node.start_point[0]
        if node_rows <= LONG_STATEMENT:
            return None
        tall = [c for c in node.named_children if _last_row(c) > c.start_point[0]]
        if node.type in _COLLECTIONS and len(node.named_children) > 2:
            return node
        if node.type in _STRINGS:
            inner = [c for c in tall if c.type not in ("string_content", "string_fragment")]
            return None if inner else node
        if len(tall) != 1:
            return None
        node = tall[0]
    return None


class _Walk:
    def __init__(self, grammar: Grammar, code: str) -> None:
        self.grammar = grammar
        self.lines = code.split("\n")
        self.out = CodeRows()
        self.reach = -1  # the last row of the last statement: what begins on it belongs to that
        self.kinds = (
            dict.fromkeys(grammar.signatures, _SIGNATURE)
            | dict.fromkeys(grammar.imports, int(UnitFlag.IMPORT))
            | dict.fromkeys(_COMMENTS, _COMMENT)
        )

    def run(self, root: Node) -> CodeRows:
        self.statements(root, -1, 0)
        mark_headers(self.out)
        return self.out

    def add(self, row: int, parent: int, flag: int = 0, closes: int = -1) -> int:
        return self.out.add(row, parent, flag, closes) if row > self.reach else len(self.out.rows) - 1

    def statements(self, holder: Node, parent: int, depth: int) -> None:
        """Units for the statements right under `holder`."""
        add, kinds, prefixes = self.add, self.kinds, self.grammar.prefixes
        comment = _COMMENT
        first = -1  # row of an attribute that belongs to the next statement
        docstrings = not self.grammar.braces
        for node in holder.named_children:
            kind = node.type
            begin = node.start_point[0]
            row = first if first >= 0 else begin
            if kind in prefixes:
                first = row
                continue
            if kind == "statement_list":  # Go: a node between a block and its statements
                self.statements(node, parent, depth)
                continue
            first = -1
            end, column = node.end_point
            if column == 0 and end > begin:
                end -= 1
            flag = kinds.get(kind, 0)
            if docstrings and kind == "expression_statement" and self._string(node):
                flag = comment
            unit = add(row, parent, flag)
            if begin < end:
                if flag == comment:
                    self._comment(unit, begin, end)
                else:
                    self._compound(node, unit, depth)
            self.reach = max(self.reach, end)

    def _string(self, node: Node) -> bool:
        child = node.named_child(0)
        return child is not None and child.type in ("string", "concatenated_string")

    def _comment(self, unit: int, row: int, end: int) -> None:
        """A docstring or block comment, a unit a line or sentence; its last row closes its first."""
        if end - row < SHORT_DOCSTRING:
            return
        for i in docstring_rows(self.lines, row, end):
            self.out.add(i, unit, _COMMENT)
        self.out.add(end, unit, _COMMENT, closes=unit)

    def _literal(self, unit: int, node: Node) -> None:
        """A long statement without a body, such as a table of constants: a unit an entry; its last rows close it."""
        holder = _long_literal(node)
        if holder is None:
            return
        first, end = holder.start_point[0], _last_row(holder)
        rows: list[int] = []
        if holder.type in _STRINGS:
            rows = docstring_rows(self.lines, first, end)
        else:
            reach = first
            for child in holder.named_children:
                if reach < child.start_point[0] < end:
                    rows.append(child.start_point[0])
                reach = max(reach, _last_row(child))
        if len(rows) > 1 and self.lines[end].lstrip()[:1]:
            for i in rows:
                self.out.add(i, unit)
            self.out.add(end, unit, closes=unit)

    def _compound(self, node: Node, unit: int, depth: int) -> None:
        """The bodies of a statement of several rows whose first row is `unit`."""
        if depth >= MAX_DEPTH:
            return
        closed = node.type in self.grammar.closed
        if closed or node.type in self.grammar.sections:
            self.statements(node, unit, depth + 1)
            if closed:
                self._close(_last_row(node), unit, unit)
            return
        blocks: list[tuple[Node, Node]] = []
        if node.type in self.grammar.blocks:
            blocks.append((node, node))
        else:
            self._blocks(node, blocks, 0)
        if not blocks:
            first, end = node.start_point[0], _last_row(node)
            if end - first > LONG_STATEMENT and unit == len(self.out.rows) - 1 and self.out.rows[unit] == first:
                self._literal(unit, node)
            return
        head, last = unit, -1  # the unit whose body comes, the row where the last body ended
        for block, holder in blocks:
            begin, end = block.start_point[0], _last_row(block)
            if last >= 0:
                # `} else {` opens on the row that closed; `else:` and `else\n{` on a row of their own
                row = last if begin == last else max(last + 1, min(holder.start_point[0], begin))
                if begin != last and not self.grammar.braces:
                    row = self._header_row(last, begin)
                if row == last:
                    head = len(self.out.rows) - 1
                    if self.out.closes[head] == unit and self.out.rows[head] == last:
                        self.out.closes[head], self.out.parents[head] = -1, unit  # closes one, opens one: balanced
                else:
                    head = self.add(row, unit)
            if holder.type in self.grammar.signatures:
                self.out.flags[head] |= _SIGNATURE
            self.statements(block, head, depth + 1)
            if self.grammar.braces:
                self._close(end, head, unit)
            last = end

    def _header_row(self, last: int, begin: int) -> int:
        """Python: the row of the `else:` or `except:` between two bodies."""
        for row in range(last + 1, begin):
            text = self.lines[row].lstrip()
            if text and not text.startswith("#"):
                return row
        return last + 1

    def _close(self, row: int, head: int, unit: int) -> None:
        """The row of a closing brace. If a statement of the body already holds it, that must stay with the head."""
        closer = self.add(row, head, closes=unit)
        if closer <= head or self.out.closes[closer] == unit:
            return
        mate = self.out.closes[closer]
        self.out.closes[closer] = unit
        if mate > unit:  # `}}` closes an inner head too
            self.out.closes[mate] = unit

    def _blocks(self, node: Node, out: list[tuple[Node, Node]], depth: int) -> None:
        for child in node.named_children:
            if child.start_point[0] == _last_row(child):
                if child.type in self.grammar.blocks and not self.grammar.braces:
                    out.append((child, node))
                continue
            if child.type in self.grammar.blocks:
                out.append((child, node))
            elif depth < MAX_DEPTH:
                self._blocks(child, out, depth + 1)
