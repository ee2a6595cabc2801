"""The kernel `code_rows` against its twin: code put together from parts that decide something, and any text."""

from __future__ import annotations

import pytest

from compressor.text.segmenters.code_lines import rows_by_indentation, rows_by_indentation_slowly
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.recorded_texts import recorded_texts

NATIVE = kernel_or_skip("code_rows")

LANGUAGES = ("python", "javascript", None, "ruby", "sql", "c")
PARTS = [
    *"\n\n\n\n    \t\r\x0b\x1c()[]{}\"'`\\#/*;,:=<>&|!@~.\u2028\xa0\ud800\U0001f600",
    *"aZéſ中٣",
    *'"""¦\'\'\'¦\\\n¦\\\r\n¦\n    ¦\n        ¦//¦/*¦*/¦"abc"¦"a\\"b"¦\'(\'¦\'\\\'\'¦\'\\x41\'¦\'it'.split("¦"),
    *(
        "def f(¦class A:¦return x¦import os¦from x import y¦public void ¦pub(crate) fn x() {¦"
        "function* g¦function¦@dec¦@dec("
    ).split("¦"),
    *(
        "static ¦else:¦else {¦} else {¦end¦endif;¦done¦fi¦;;¦esac¦= [¦=> {¦<- (¦%w[¦x = {¦"
        "CREATE TABLE¦Alter  view t¦Create"
    ).split("¦"),
    *(
        "template<T> class¦# ¦#!¦#include¦# include¦* ¦-- ¦r\"\"\"¦u'''¦int f(int a) {¦if (a) {¦"
        "foo(bar)¦~A()¦try¦with x:¦pass"
    ).split("¦"),
    *(
        "export default ¦describe(¦it(¦test('x'¦\n{\n¦\n    {\n¦"
        "A sentence of a docstring that is wrapped and goes on in the next line"
    ).split("¦"),
]  # fmt: skip
any_text = st.text(st.characters(), max_size=200)


def check(text: str, language: str | None) -> None:
    assert rows_by_indentation(text, language) == rows_by_indentation_slowly(text, language)


@settings(max_examples=400)
@given(st.one_of(st.lists(st.sampled_from(PARTS), max_size=60).map("".join), any_text), st.sampled_from(LANGUAGES))
def test_same_rows(text: str, language: str | None) -> None:
    check(text, language)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from((0, 2, 4, 8)), st.lists(st.sampled_from(PARTS), max_size=5)), max_size=25),
    st.sampled_from(LANGUAGES),
)
def test_same_rows_of_indented_lines(lines: list[tuple[int, list[str]]], language: str | None) -> None:
    check("\n".join(" " * indent + "".join(parts) for indent, parts in lines), language)


def test_same_rows_of_recorded_texts() -> None:
    for text in recorded_texts():
        for language in ("python", None):
            check(text, language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text", ["", "\n", " \n\n", "(" * 3000, "'" * 3001, '"' * 3001, "`\\", "'\\", '"\\', "{\n" * 900, "/*" * 900]
)
def test_same_rows_of_long_runs(text: str, language: str | None) -> None:
    check(text, language)
    check(f"x\n{text}\nreturn\n{text}", language)
