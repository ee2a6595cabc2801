"""Repeats across the tool outputs of a context."""

from __future__ import annotations

import pytest

from compressor.text.lossless import decode_losslessly, encode_losslessly
from compressor.text.lossless.back_references import BackReferenceCodec, BackReferencedText, BackReferenceSource
from support.property_tests import given, settings, st

FILE = [f"    value_{i} = compute(argument_{i * 7 % 13}, {i})" if i % 5 else "" for i in range(400)]


def numbered_lines(lines: list[str], first: int, last: int, form: str = "{}:{}") -> str:
    return "\n".join(form.format(n, lines[n - 1]) for n in range(first, last + 1))


def after(*outputs: str) -> tuple[BackReferenceCodec, dict[int, str]]:
    repeats = BackReferenceCodec()
    for label, text in enumerate(outputs, 1):
        repeats.add(label, text)
    return repeats, dict(enumerate(outputs, 1))


def encoded(text: str, *outputs: str) -> BackReferencedText:
    repeats, originals = after(*outputs)
    folded = repeats.encode(text)
    assert folded is not None
    assert repeats.decode(folded.text, originals.__getitem__) == text
    for source in folded.sources:
        assert source.stop <= len(originals[source.label].split("\n"))
    return folded


def test_the_same_output_again() -> None:
    text = numbered_lines(FILE, 1, 30)
    assert encoded(text, "other", text) == BackReferencedText("[tool result 2 again]", (BackReferenceSource(2, 0, 30),))
    assert encoded(text, text, text).text == "[tool result 1 again]"
    assert after("short")[0].encode("short") is None


@pytest.mark.parametrize("form", ["{}:{}", "{:>6}\t{}", "{}|{}", "{:>5}→{}"])
def test_a_window_again_after_an_edit(form: str) -> None:
    edited = [*FILE[:150], "    new = 1", "    newer = 2", *FILE[151:]]
    old, new = numbered_lines(FILE, 90, 210, form), numbered_lines(edited, 100, 200, form)
    folded = encoded(f"[File: a.py]\n{new}\nFile updated.", "ls", old)
    assert folded.text.split("\n") == [
        "[File: a.py]",
        "[lines 100-150 of tool result 2 again]",
        form.format(151, "    new = 1"),
        form.format(152, "    newer = 2"),
        "[lines 152-199 of tool result 2 again, now 153-200]",
        "File updated.",
    ]
    assert folded.sources == (BackReferenceSource(2, 10, 61), BackReferenceSource(2, 62, 110))


def test_numbers_that_stand_twice_in_the_source() -> None:
    other = [f"    other_{i} = {i}" for i in range(400)]
    source = numbered_lines(FILE, 10, 40) + "\n-----\n" + numbered_lines(other, 10, 40)
    assert encoded(numbered_lines(other, 20, 30), source).text == "[11 lines of tool result 1 again, from its line 43]"
    assert after(source)[0].encode(numbered_lines(["", *other], 21, 31)) is None  # no note could tell which


def test_lines_without_numbers() -> None:
    trace = "\n".join(f'  File "/srv/app/module_{i}.py", line {i * 31}, in call_{i}' for i in range(20))
    text = f"Traceback (most recent call last):\n{trace}\nValueError: two"
    folded = encoded(text, f"ran\n{trace}\nKeyError: one")
    assert folded.text == (
        "Traceback (most recent call last):\n[20 lines of tool result 1 again, from its line 2]\nValueError: two"
    )


def test_small_or_empty_repeats_are_left() -> None:
    repeats, _ = after("\n" * 50 + "}\n" * 50 + "a\nb\nc\nd\ne")
    assert repeats.encode("begin\n" + "\n" * 40 + "end") is None
    assert repeats.encode("x\na\nb\nc\nd\ny") is None


def test_the_longest_place_is_taken_and_the_newest_of_equals() -> None:
    assert (
        encoded(numbered_lines(FILE, 5, 60) + "\nx", numbered_lines(FILE, 1, 40), numbered_lines(FILE, 1, 99))
        .sources[0]
        .label
        == 2
    )
    assert (
        encoded(numbered_lines(FILE, 5, 60) + "\nx", numbered_lines(FILE, 1, 99), numbered_lines(FILE, 1, 98))
        .sources[0]
        .label
        == 2
    )


def test_folds_of_one_text_go_on_top() -> None:
    old, new = numbered_lines(FILE, 1, 100), numbered_lines([*FILE[:50], "    new = 1", *FILE[50:]], 20, 130)
    repeats, originals = after(old)
    first = repeats.encode(new)
    assert first is not None
    second, names = encode_losslessly(first.text)
    assert names == ("numbering",)
    assert "[end of numbered lines]" not in second
    assert repeats.decode(decode_losslessly(second, names), originals.__getitem__) == new


@pytest.mark.parametrize(
    "bait",
    [
        "[tool result 1 again]",
        "[lines 2-9 of tool result 1 again]",
        "[lines 2-9 of tool result 1 again, now 3-10]",
        "[9 lines of tool result 1 again, from its line 1]",
    ],
)
def test_notes_in_the_data_are_never_taken_for_ours(bait: str) -> None:
    text = numbered_lines(FILE, 1, 40)
    repeats, originals = after(text)
    for variant in (bait, f"{bait}\n{text}", f"{text}\n{bait}\n{text}", f"{text}\n{bait}"):
        assert repeats.encode(variant) is None
    quoted = f"he wrote {bait}\n{text}"  # within a line it is no note
    folded = repeats.encode(quoted)
    assert folded is not None
    assert repeats.decode(folded.text, originals.__getitem__) == quoted


def test_a_label_is_used_once() -> None:
    repeats, _ = after("a")
    with pytest.raises(ValueError):
        repeats.add(1, "b")


@pytest.mark.moderate
def test_endless_repetition_takes_linear_time() -> None:
    repeats = BackReferenceCodec()
    text = "the very same line, again and again\n" * 20_000
    for label in range(1, 6):
        variant = f"{label}\n{text}{label}"
        folded = repeats.encode(variant)
        assert (folded is None) == (label == 1)
        repeats.add(label, variant)


lines = st.one_of(st.sampled_from(FILE[:30]), st.sampled_from(["", "}", "\r", "a\0b", "\ud800", "…", "9:x", "[x]"]))
texts = st.lists(
    st.one_of(
        st.builds(
            numbered_lines,
            st.just(FILE),
            st.integers(1, 60),
            st.integers(61, 120),
            st.sampled_from(["{}:{}", "{:>6}\t{}", "{:>3}|{}", "{} {}"]),
        ),
        st.builds(lambda n, skip: numbered_lines(FILE[skip:], n, n + 30), st.integers(1, 60), st.integers(1, 9)),
        st.lists(lines, max_size=40).map("\n".join),
        st.lists(lines, max_size=40).map("\r\n".join),
    ),
    max_size=4,
).map("\n".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, min_size=1, max_size=6))
def test_round_trip(outputs: list[str]) -> None:
    repeats = BackReferenceCodec()
    originals: dict[int, str] = {}
    for label, text in enumerate(outputs, 1):
        folded = repeats.encode(text)
        if folded is not None:
            assert len(folded.text) < len(text)
            short, names = encode_losslessly(folded.text)
            assert repeats.decode(decode_losslessly(short, names), originals.__getitem__) == text
            assert all(source.label < label for source in folded.sources)
        repeats.add(label, text)
        originals[label] = text
