"""Words laid out as text."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from compressor.images.ocr import OcrWord
from compressor.images.pixel_boxes import PixelBox
from compressor.images.text_layout import lay_out


def line(text: str, x: int, y: int, height: int = 12) -> list[OcrWord]:
    """Words of 7 pixels a letter with one letter between them."""
    words = []
    for part in text.split():
        words.append(OcrWord(part, PixelBox(x, y, x + 7 * len(part), y + height), 0.9, 0))
        x += 7 * (len(part) + 1)
    return words


def test_a_table_keeps_its_columns() -> None:
    words = [*line("Name", 0, 0), *line("Price", 160, 0), *line("Count", 260, 0)]
    words += [*line("Green tea", 0, 30), *line("4.20", 181, 30), *line("12", 281, 31)]
    words += [*line("Black", 0, 60), *line("7", 281, 61)]
    assert lay_out(words) == "Name | Price | Count\nGreen tea | 4.20 | 12\nBlack |  | 7"


def test_lines_keep_their_indents() -> None:
    words = [*line("def total(rows):", 10, 0), *line("return sum(rows)", 38, 20)]
    assert lay_out(words) == "def total(rows):\n    return sum(rows)"


def test_words_of_one_row_may_be_of_other_heights() -> None:
    words = [*line("Total", 0, 10, 20), *line("of 3", 40, 16, 12), *line("next", 0, 40)]
    assert lay_out(words) == "Total of 3\nnext"


def test_columns_of_prose_have_no_text_form() -> None:
    words = []
    for i in range(10):
        words += line("one two three four five six seven", 0, 20 * i) + line("and six words more here too", 400, 20 * i)
    assert lay_out(words) is None


def test_no_words() -> None:
    assert lay_out([]) == ""


@given(
    st.lists(st.tuples(st.text("ab1", min_size=1, max_size=5), st.integers(0, 300), st.integers(0, 90)), max_size=20)
)
def test_every_word_is_written_once(words: list[tuple[str, int, int]]) -> None:
    text = lay_out([word for text, x, y in words for word in line(text, x, y)])
    if text is not None:
        assert Counter(text.replace("|", " ").split()) == Counter(text for text, _, _ in words)
