"""The folds of one text: what they write, what they leave alone, and that nothing is lost."""

from __future__ import annotations

import random

import pytest

from compressor.text.lossless import LOSSLESS_CODECS, decode_losslessly, encode_losslessly, most_saved
from compressor.text.lossless.common_prefix import CommonPrefixCodec
from compressor.text.lossless.line_numbers import LineNumberCodec
from compressor.text.lossless.run_length import RunLengthCodec
from support.property_tests import given, settings, st

CODE = ["def get(self):", "    return self.x", "", "    # 3 of them", "class A:", "        if x[0] == 1:", "\tpass"]


def window(first: int, count: int, form: str = "{}:{}") -> str:
    return "\n".join(form.format(n, CODE[n % len(CODE)] * (n % 3 or 1)) for n in range(first, first + count))


def log(count: int) -> str:
    r = random.Random(1)
    lines = [
        f"2015-07-29 21:{i // 60:02}:{i % 60:02},{r.randrange(999):03} - INFO  [main:Server@595] - "
        + (
            f"Established session 0x{r.randrange(1 << 40):x}"
            if i % 3
            else f"Closed client /10.0.0.{i % 250}:{i + 1000}"
        )
        for i in range(count)
    ]
    lines[count // 2] = "2015-07-29 21:44:28,903 - ERROR [main:Server@180] - Unexpected Exception:"
    return "\n".join(lines)


def listing(count: int) -> str:
    parts = [f"/srv/app/project/module_{i // 12}/sub_{i // 4}/file_{i}.py" for i in range(count)]
    return "Found 66 matches:\n" + "\n".join(parts) + "\nEnd of matches\n"


def matches(count: int) -> str:
    return "\n".join(f"src/module_{i // 8}.py:{10 + i}:    value_{i} = compute({i})" for i in range(count))


def smaller(text: str, name: str) -> str:
    folded, names = encode_losslessly(text)
    assert name in names
    assert len(folded) < len(text)
    assert decode_losslessly(folded, names) == text
    return folded


@pytest.mark.parametrize("form", ["{}:{}", "{:>6}\t{}", "{}|{}", "{:>4} | {}", "{}→{}", "{:>6}→{}", "{} {}"])
def test_numbered_windows(form: str) -> None:
    text = f"[File: a.py]\n{window(95, 40, form)}\nFile updated.\n{window(7, 15, form)}"
    folded = LineNumberCodec().encode(text)
    assert folded is not None
    assert LineNumberCodec().decode(folded) == text
    lines = folded.split("\n")
    assert lines[:3] == ["[File: a.py]", "[lines numbered every 10]", form.format(95, CODE[95 % 7] * 2)]
    for n in (7, 10, 20, 95, 100, 110, 120, 130):  # the first of each window and every tenth can be found
        assert form.format(n, "").rstrip() in "\n".join(line[:12] for line in lines)
    assert lines.count("[end of numbered lines]") == 1
    assert len(folded) < 0.9 * len(text)


def test_numbering_keeps_the_number_of_a_line_that_would_speak() -> None:
    content = ["a = 1", "12:not a number of ours", "[end of numbered lines", "…", "    7", *["pass"] * 60]
    text = "\n".join(f"{n}:{line}" for n, line in enumerate(content, 31))
    folded = LineNumberCodec().encode(text)
    assert folded is not None
    assert "32:12:not" in folded and "34:…" in folded
    assert LineNumberCodec().decode(folded) == text


def test_a_cut_or_a_repeat_ends_a_window_without_a_word() -> None:
    text = window(1, 20) + "\n…\n" + window(50, 20) + "\n[lines 80-99 of tool result 3 again]\n" + window(100, 20)
    folded = LineNumberCodec().encode(text)
    assert folded is not None
    assert "[end of numbered lines]" not in folded
    assert LineNumberCodec().decode(folded) == text


def test_log_templates() -> None:
    text = log(200)
    folded = smaller(text, "templates")
    assert len(folded) < 0.6 * len(text)
    lines = folded.split("\n")
    assert lines[0].startswith("[log lines by template:")
    assert lines[1].startswith("[A: 2015-07-29 <1> - INFO  [main:Server@595] - ")
    assert "2015-07-29 21:44:28,903 - ERROR [main:Server@180] - Unexpected Exception:" in lines
    assert len(lines) == 200 + 3  # a line stays a line, in order


def test_log_with_slots_of_its_own_stays_exact() -> None:
    text = "\n".join(f"2015-07-29 21:44:{i % 60:02} {{x}} %s <1> <{i}> <0> done 10{i}" for i in range(60))
    folded, names = encode_losslessly(text)
    assert decode_losslessly(folded, names) == text


def test_listing() -> None:
    text = listing(60)
    folded = smaller(text, "prefix")
    assert "[next " in folded and " lines start with /srv/app/project/" in folded
    assert CommonPrefixCodec().encode(listing(8)) is None  # paths stay whole where one of few is about to be used


def test_matches_keep_their_path_whole() -> None:
    folded = smaller(matches(24), "prefix")
    assert folded.split("\n")[:2] == ["[next 8 lines start with src/module_0.py:]", "10:    value_0 = compute(0)"]


def test_runs() -> None:
    text = "begin\n" + "Cloning test database ...\n" * 45 + "\n" * 90 + "|" + "─" * 400 + "|" + " " * 300 + "end"
    folded = RunLengthCodec().encode(text)
    assert folded is not None
    assert folded == ("begin\nCloning test database ...\n[line above ×45]\n[90 blank lines]\n|[─ ×400]|[space ×300]end")
    assert RunLengthCodec().decode(folded) == text


NOTES = [
    "[lines numbered every 10]",
    "[end of numbered lines]",
    "[next 999999 lines start with a/b/]",
    '[log lines by template: "A: x y" is A with <1> = x, <2> = y]',
    "[A: 2015-07-29 <1> <0> <77>]",
    "A: 1 2",
    "[line above ×999999999]",
    "[999999999 blank lines]",
    "[= ×999999999]",
    "[lines 1-9999999 of tool result 1 again]",
    "[lines 2-6 of tool result 1 again, now 4-8]",
    "[9 lines of tool result 1 again, from its line 1]",
    "[tool result 1 again]",
    "…",
]
TEXTS = [window(1, 60), window(95, 60, "{:>6}\t{}"), log(60), listing(60), matches(40), "a\n" * 300 + "=" * 500]


@pytest.mark.moderate
@pytest.mark.parametrize("note", NOTES)
@pytest.mark.parametrize("text", TEXTS)
def test_notes_in_the_data_are_never_taken_for_ours(text: str, note: str) -> None:
    at = text.index("\n", len(text) // 2) + 1
    for bait in (f"{note}\n{text}", f"{text}\n{note}", f"{text[:at]}{note}\n{text[at:]}", f"{text} {note}"):
        folded, names = encode_losslessly(bait)
        assert decode_losslessly(folded, names) == bait
        again, more = encode_losslessly(folded)  # what a fold wrote may come back as data
        assert decode_losslessly(again, more) == folded


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("odd", ["\r\n", "\0\n", "\ud800\n", "\x1b[31m\n", "\u2028\n", "\n\n", "\x85\n", "٣\n"])
def test_odd_characters(text: str, odd: str) -> None:
    for variant in (text.replace("\n", odd), odd + text, text + odd, text + "\n"):
        folded, names = encode_losslessly(variant)
        assert decode_losslessly(folded, names) == variant


@pytest.mark.moderate
@pytest.mark.parametrize(
    "text",
    [
        *["", "\n", "x", "x" * 1_000_000, "a." * 100_000, "a/" * 100_000, "7 " * 100_000, " " * 300_000],
        *["\n" * 200_000, "0:" * 100_000, "[" * 200_000, "1:\n" * 50_000, "a/b:1:\n" * 30_000, "<1>" * 50_000],
    ],
)
def test_monotonous_input_takes_linear_time(text: str) -> None:
    folded, names = encode_losslessly(text)
    assert decode_losslessly(folded, names) == text


def test_count_decides() -> None:
    text = window(1, 60)
    assert encode_losslessly(text, len)[1] == ("numbering",)
    assert encode_losslessly(text, lambda t: 7) == (text, ())


def test_small_texts_and_nothing_to_gain() -> None:
    prose = "It was the best of times, it was the worst of times.\n" + "\n".join(f"word {'x' * i}." for i in range(40))
    assert encode_losslessly(prose) == (prose, ())
    assert most_saved(prose) == 0 < most_saved(window(1, 60)) < len(window(1, 60)) // 2
    assert encode_losslessly("1:a\n2:b\n3:c") == ("1:a\n2:b\n3:c", ())


def test_names_are_unique_and_known() -> None:
    names = [f.name for f in LOSSLESS_CODECS]
    assert len(set(names)) == len(names)
    with pytest.raises(KeyError):
        decode_losslessly("x", ["no such fold"])


pieces = st.one_of(
    st.builds(window, st.integers(0, 1200), st.integers(1, 30), st.sampled_from(["{}:{}", "{:>4}|{}", "{:>6}\t{}"])),
    st.builds(log, st.integers(4, 40)),
    st.builds(listing, st.integers(1, 60)),
    st.builds(matches, st.integers(1, 30)),
    st.builds(str.__mul__, st.sampled_from(["a\n", "\n", "=", " ", "line 1\n", "12:\n"]), st.integers(1, 300)),
    st.sampled_from(NOTES),
    st.text(max_size=30),
    st.text(alphabet="12:|[]×A<> /.\n\r\t…", max_size=40),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(pieces, st.sampled_from(["\n", "", "\r\n", "\n\n"])), min_size=1, max_size=6))
def test_round_trip(parts: list[tuple[str, str]]) -> None:
    text = "".join(piece + end for piece, end in parts)
    folded, names = encode_losslessly(text)
    assert decode_losslessly(folded, names) == text
    assert 0 <= len(text) - len(folded) <= most_saved(text) <= len(text)
    assert bool(names) == (folded != text)
    for f in LOSSLESS_CODECS:
        alone = f.encode(text)
        assert len(text) - len(text if alone is None else alone) <= f.most_saved(text)
        assert alone is None or (len(alone) < len(text) and f.decode(alone) == text)
