"""Reading words on pictures."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

pytest.importorskip("PIL")

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compressor.errors import OcrError
from compressor.images import ocr
from compressor.images.ocr import (
    OcrWord,
    TesseractEngine,
    find_ocr_engine,
    group_lines,
    join_lines,
)
from compressor.images.pixel_boxes import PixelBox
from support.screens import draw_lines, make_picture, need_ocr

TABLE = (
    "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
    "1\t1\t0\t0\t0\t0\t0\t0\t640\t400\t-1\t\n"
    '5\t1\t1\t1\t1\t2\t100\t20\t60\t20\t91.5\t"total\n'
    "5\t1\t1\t1\t1\t1\t40\t20\t50\t20\t96\tGrand\n"
    "5\t1\t1\t1\t2\t1\t40\t60\t50\t20\t-1\t   \n"
    "5\t1\t2\t1\t1\t1\t40\t80\t30\t10\t55\t48.20\n"
)


def word(text: str, left: int = 0, top: int = 0, height: int = 10, confidence: float = 0.9, line: int = 0) -> OcrWord:
    return OcrWord(text, PixelBox(left, top, left + 8 * len(text), top + height), confidence, line)


def program(folder: Path, script: str) -> str:
    """A program that stands at Tesseract's place."""
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_words_lines_and_boxes_are_read() -> None:
    engine = need_ocr()
    screen = draw_lines(["Order 4821 of 2026", "Total $1,204.50"], 16, canvas=(400, 100))
    words = engine.read(screen)
    assert join_lines(words) == ["Order 4821 of 2026", "Total $1,204.50"]
    assert [w.line for w in words] == [0, 0, 0, 0, 1, 1]
    first = words[0]
    assert 15 <= first.box.left <= 25 and 15 <= first.box.top <= 30 and 8 <= first.height <= 16
    assert all(0.5 < w.confidence <= 1 for w in words)
    assert engine.read(make_picture(screen.image)) == words
    assert engine.read(make_picture(Image.new("RGB", (60, 40), "white"))) == []


def test_the_table_of_tesseract_is_parsed(tmp_path: Path) -> None:
    lines = "".join(f"printf '%s\\n' '{line}'\n" for line in TABLE.splitlines())
    engine = TesseractEngine(enlargement=2, program=program(tmp_path, "cat > /dev/null\n" + lines))
    words = engine.read(make_picture(Image.new("RGB", (320, 200))))
    assert [(w.text, w.line) for w in words] == [('"total', 0), ("Grand", 0), ("48.20", 1)]
    assert words[0].box == (50, 10, 80, 20) and words[0].confidence == pytest.approx(0.915)
    assert join_lines(words) == ['Grand "total', "48.20"]


def test_a_reading_is_remembered_and_runs_on_one_thread(tmp_path: Path) -> None:
    script = f"cat > /dev/null\necho $OMP_THREAD_LIMIT >> {tmp_path}/runs\necho level"
    engine = TesseractEngine(program=program(tmp_path, script))
    picture = make_picture(Image.new("RGB", (32, 20)))
    assert engine.read(picture) == engine.read(picture) == []
    assert (tmp_path / "runs").read_text() == "1\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [("cat > /dev/null; echo no language >&2; exit 1", "no language"), ("exec sleep 9", "more than 0.2 s")],
)
def test_a_failure_is_said(tmp_path: Path, script: str, said: str) -> None:
    engine = TesseractEngine(program=program(tmp_path, script), timeout_s=0.2 if "sleep" in script else 20)
    with pytest.raises(OcrError, match=said):
        engine.read(make_picture(Image.new("RGB", (32, 20))))


def test_a_missing_program_is_said(tmp_path: Path) -> None:
    with pytest.raises(OcrError, match="cannot be run"):
        TesseractEngine(program=str(tmp_path / "none")).read(make_picture(Image.new("RGB", (32, 20))))


def test_an_engine_is_found_only_where_its_program_and_language_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    find_ocr_engine.cache_clear()
    try:
        assert find_ocr_engine() is None
        program(tmp_path, "echo 'List of available languages (2):'; echo deu; echo eng")
        find_ocr_engine.cache_clear()
        found = find_ocr_engine("eng+fra")
        assert found is not None and found is find_ocr_engine("eng+fra")
        assert find_ocr_engine("fra") is None
        program(tmp_path, "exit 3")
        find_ocr_engine.cache_clear()
        assert find_ocr_engine() is None
    finally:
        find_ocr_engine.cache_clear()


@given(st.lists(st.tuples(st.text(max_size=12), st.integers(0, 50), st.integers(0, 4)), max_size=12))
def test_lines_hold_all_words(given_words: list[tuple[str, int, int]]) -> None:
    words = [word(text, left, 20 * line, line=line) for text, left, line in given_words]
    assert sum(map(len, group_lines(words))) == len(words)


def test_large_pictures_are_not_enlarged_past_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "MAX_PIXELS", 1000)
    engine = TesseractEngine(program=program(tmp_path, f"head -c 12 > {tmp_path}/head\ncat > /dev/null\necho level"))
    engine.read(make_picture(Image.new("RGB", (40, 20))))
    width, height = map(int, (tmp_path / "head").read_bytes().split()[1:3])
    assert 40 < width < 80 and width * height <= 1100
