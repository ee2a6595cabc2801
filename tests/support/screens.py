"""What tests of pictures share: small screens drawn with Pillow, and Tesseract where it is installed."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from compressor.images.ocr import TesseractEngine, find_ocr_engine

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from PIL import Image, ImageDraw, ImageFont

from compressor.images.picture import Picture

FONTS = ("LiberationSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf")
LIGHT = ("#ffffff", "#1f2328")
DARK = ("#0d1117", "#e6edf3")
WORDS = "planet garden 4821 invoice market 307 window ledger shipment 95.20 kitchen quality report 2026 storage".split()


def need_ocr() -> TesseractEngine:
    """Tesseract. Without it the test is skipped; with COMPRESSOR_REQUIRE_MODELS=1 it fails."""
    engine = find_ocr_engine()
    if engine is None:
        said = "Tesseract is needed: apt-get install tesseract-ocr"
        if os.environ.get("COMPRESSOR_REQUIRE_MODELS"):
            pytest.fail(said)
        pytest.skip(said)
    return engine


def font(size: int) -> Any:
    """A font whose capitals are about 0.72 of its size: one that is installed, or the one that Pillow brings."""
    found = next((name for name in FONTS if _is_installed(name)), None)
    return ImageFont.truetype(found, size) if found else ImageFont.load_default(size)


def _is_installed(name: str) -> bool:
    try:
        ImageFont.truetype(name, 10)
    except OSError:
        return False
    return True


def capital_height(size: int) -> int:
    """The height of a capital letter in pixels."""
    _, top, _, bottom = font(size).getbbox("H", anchor="ls")
    return int(bottom - top)


def make_picture(image: Any) -> Picture:
    """A picture of the pixels of an image."""
    blank = Picture(Image.new("RGB", (1, 1)), "PNG", "")
    return Picture.from_image(image.convert("RGB"), blank)


def draw_lines(
    lines: list[str],
    size: int = 14,
    colours: tuple[str, str] = LIGHT,
    canvas: tuple[int, int] = (640, 400),
    left: int = 20,
    top: int = 20,
) -> Picture:
    """A screen with lines of text."""
    image = Image.new("RGB", canvas, colours[0])
    pen = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        pen.text((left, top + round(i * size * 1.5)), line, fill=colours[1], font=font(size))
    return make_picture(image)


def draw_table(rows: list[list[str]], size: int = 16, colours: tuple[str, str] = LIGHT) -> Picture:
    """A screen with a table. Cells after the first one are set to the right."""
    wide = 170
    image = Image.new("RGB", (wide * len(rows[0]) + 60, round(len(rows) * size * 2) + 40), colours[0])
    pen = ImageDraw.Draw(image)
    for i, row in enumerate(rows):
        y = 20 + i * size * 2
        for j, cell in enumerate(row):
            x, anchor = (20 + j * wide, "la") if j == 0 else (20 + (j + 1) * wide, "ra")
            pen.text((x, y), cell, fill=colours[1], font=font(size), anchor=anchor)
        pen.line((10, y + size * 1.6, image.width - 10, y + size * 1.6), fill="#d0d7de")
    return make_picture(image)


def draw_photo(width: int = 640, height: int = 400, seed: int = 0) -> Picture:
    """A picture with no text and no plain ground: smooth noise, as a photo has."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    return make_picture(small.resize((width, height), Image.Resampling.BICUBIC))


def text_lines(count: int = 12, words: int = 8) -> list[str]:
    """Lines of words and numbers, no two of them alike."""
    return [" ".join(WORDS[(i * 3 + j) % len(WORDS)] for j in range(words)) for i in range(count)]
