"""The kernels `content_lines` and `numbered_lines` against their twins: lines of deciding parts, and any text."""

from __future__ import annotations

from compressor.text.segmenters import content_lines
from compressor.text.segmenters.numbered_lines import (
    leading_numbers,
    leading_numbers_slowly,
    number_lines,
    number_lines_slowly,
    without_numbers,
    without_numbers_slowly,
)
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.recorded_texts import recorded_texts

for _name in ("content_lines", "numbered_lines"):
    kernel_or_skip(_name)

TESTS = (
    content_lines.count_log_heads,
    content_lines.count_tested,
    content_lines.count_listed,
    content_lines.count_numbered,
    content_lines.count_header_fields,
    content_lines.markdown_marks,
    content_lines.count_statements,
)
PARTS = [
    *'    \t\r\xa0│|:*"<(){}[];,./\\->#%_@éſ٣\u2028\x0b\ud800\U0001f600',
    *"├──¦└──¦|--¦`--¦+--¦+---¦-rw-r--r-- ¦drwxsStT-x ¦a.log ¦x | ¦2024-01-02 03:04:05 ¦[2024-01-02T03:04".split("¦"),
    *"Jan  3 10:11:12 ¦INFO: ¦[WARN] ¦ts=¦level=¦1234567890 ¦- 1234567890 ¦I0102 03:04:05¦V/tag(¦12:34:56 ".split("¦"),
    *"1.2.3.4 - - [10/¦[ 12.3456] ¦ ... ok¦::x PASSED¦PASSED x.py¦PASS x¦✓ a¦  ✗ b¦ok 1 - ¦not ok 1¦.py ..F".split("¦"),
    *"  at f (x:12¦[INFO] ¦a/b.c:12:¦x-12-y¦C:\\a¦./¦../¦a/¦12 a/b¦Line 12:¦12-¦From ¦X-Mailer: ¦To: ¦# h¦```".split(
        "¦"
    ),
    *'](http¦](/¦**b¦- ¦1. ¦> ¦) {¦"] {¦do¦then¦ do¦) :¦):¦],¦=>¦&&¦||¦};¦end¦endif ¦fi¦else x¦set x¦my $a'.split("¦"),
    *"let¦function!¦function¦import x;¦return¦return a¦if the abc¦call a foo¦//¦/*¦if x:¦class¦→¦12→¦  7\t".split("¦"),
    *"99|¦ 5 │ ¦12345678:¦12:3¦۱۲:¦abc".split("¦"),
]
lines_of_parts = st.lists(st.lists(st.sampled_from(PARTS), min_size=1, max_size=8).map("".join), max_size=12)
any_lines = st.lists(st.text(st.characters(exclude_characters="\n"), max_size=30), max_size=8)


def check(lines: list[str]) -> None:
    filled = [line for line in lines if line.strip()]
    found = [test(filled) for test in TESTS]
    kernel, content_lines._kernel = content_lines._kernel, None
    try:
        assert found == [test(filled) for test in TESTS]
        marks = content_lines.count_code_marks("\n".join(lines))
    finally:
        content_lines._kernel = kernel
    assert content_lines.count_code_marks("\n".join(lines)) == marks
    assert leading_numbers(lines) == leading_numbers_slowly(lines)
    text = "\n".join(lines)
    starts, numbers = number_lines(text)
    assert (starts, numbers) == number_lines_slowly(text)
    ends = [*starts[1:], len(text)][: len(starts)]
    for start, end, number in zip(starts, ends, numbers, strict=True):
        if number >= 0:
            assert without_numbers(text, start, end) == without_numbers_slowly(text, start, end)
    if numbers and min(numbers) >= 0:
        assert without_numbers(text, 0, len(text)) == without_numbers_slowly(text, 0, len(text))


@settings(max_examples=500)
@given(st.one_of(lines_of_parts, any_lines))
def test_same_counts(lines: list[str]) -> None:
    check(lines)
    for line in lines:
        check([line])
    check([f"{i}: {line}" for i, line in enumerate(lines)])


def test_same_counts_in_recorded_texts() -> None:
    for text in recorded_texts(6000):
        lines = text.split("\n")
        check(lines)
        for i in range(0, len(lines), 9):
            check(lines[i : i + 3])


def test_same_counts_of_long_lines() -> None:
    for sign in " \t12:|.-a(*#é":
        for end in ("", ":", "a", "\r", " ... ok", "::x PASSED"):
            check([sign * 3000 + end])
