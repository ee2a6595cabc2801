"""The kernel `record_lines` against its twins: lines put together from parts that decide something, and any text."""

from __future__ import annotations

import pytest

from compressor.text.segmenters import record_lines
from compressor.text.segmenters.record_lines import (
    CODE_SAMPLE,
    are_statements,
    read_data_lines,
    read_lines_slowly,
    read_record_lines,
    record_kinds,
)
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.recorded_texts import recorded_texts

NATIVE = kernel_or_skip("record_lines")

PARTS = [
    *"\n\n\n\t\r\x0b ()[]{}\"'`*_:=;,.#%+-~&|!@$\\/<>\ufeff\u2028\xa0\ud800\U0001f600",
    *"aZéßſİ中٣²•：─",
    *(
        "key|: |::|:=|=>|==|  |(a b)|- |1. |12)|12345.|# |## h|//|/*|*/|* |--|-- |..|.. note:: x|"
        "rem |<!--|\\\"|%%|...|[3]|#12"
    ).split("|"),
    *(
        "end|fi|done|END:x|begin:x|BEGIN: x|http|git:|://|return|def |def x|function|->|&&|class |"
        "import |if |public|for :"
    ).split("|"),
    *(
        "---|===|--- 3 of 4 ---|-- --|-[ RECORD 1 ]-|[a] => b|\"a\",|\"b\"; c|'c' # d|@x{|"
        "@entry{a,|{a: 1},|[section]|[[t]]|x \"y\"|x y;|x  ;"
    ).split("|"),
    "word " * 6,
    "x" * 205,
]  # fmt: skip
texts = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)
any_text = st.text(st.characters(), max_size=200)


def check(text: str) -> None:
    for headings in (False, True):
        lines = list(read_lines_slowly(text, headings))
        assert read_record_lines(text, headings) == lines
        assert record_kinds(text, headings) == [line.kind for line in lines]
        assert read_data_lines(text, headings) == ([] if are_statements(text, lines[:CODE_SAMPLE]) else lines)


@settings(max_examples=400)
@given(st.one_of(texts, any_text))
def test_same_lines(text: str) -> None:
    check(text)


@settings(max_examples=200)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), max_size=12))
def test_same_short_lines(lines: list[str]) -> None:
    check("\n".join(lines))


def test_same_lines_of_recorded_texts() -> None:
    for text in recorded_texts():
        check(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\r\n",
        "\ufeff",
        "a" * 5000,
        "(" * 5000,
        "- " * 5000,
        ":" * 5000,
        "a " * 5000,
        "a(" * 3000,
        "key" + " " * 20_000,
        "key" + "\t " * 9000,
        "key" + " \t" * 9000 + "x",
        '"' * 5000,
    ],
)
def test_same_lines_of_long_runs(text: str) -> None:
    check(text)
    check(f"{text}\n{text}: x\n  {text} {{\n")


def test_blocks_from_begin_to_end_are_left_to_the_twin() -> None:
    text = "BEGIN:VCARD\nFN: x\nEND:VCARD\n"
    assert NATIVE is not None
    assert NATIVE.record_kinds(text, False, 9, record_lines._read, record_lines.is_rule) is None
    check(text * 3)
