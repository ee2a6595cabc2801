"""Reads the words on a picture with an OCR engine, where one is installed: Tesseract's program.

Text on screens is small, and Tesseract reads capitals of 20 to 30 pixels best (willus.org, "Tesseract accuracy"), so
pictures are enlarged for it. Its program runs with a timeout, on one thread, and gets the pixels through a pipe.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from compressor.caches import LruCache, held_bytes
from compressor.errors import OcrError
from compressor.images.pixel_boxes import PixelBox

if TYPE_CHECKING:
    from compressor.images.picture import Picture

#: "screen": words are anywhere, among icons and photos. "page": lines of text or rows of a table fill the picture.
Layout = Literal["screen", "page"]
#: Pages of 10 to 14 px text: 0.97 of all words at 2, 0.87 at 1, 0.96 at 3, which takes a third longer.
DEFAULT_ENLARGEMENT = 2
#: A picture is not enlarged past these pixels: memory and time grow with them.
MAX_PIXELS = 12_000_000
#: A page full of small text takes 4 seconds on an idle core.
DEFAULT_TIMEOUT_S = 30.0
_CACHE_BYTES = 4 << 20
#: Tesseract's page segmentation modes. On real screens, 11 finds 1.8 times as many words that it is sure of as 3, and
#: 1.3 times as many as 6. On a table in a fixed-pitch font, 6 reads 0.99 of the numbers, 3 and 11 0.88.
_SEGMENTATION: dict[Layout, str] = {"screen": "11", "page": "6"}
#: Shorter lines are left out of `largest_texts`: large icons and logos are read as one or two letters.
_MIN_CHARS = 3
_WORD_LEVEL = "5"
_LINE_COLUMNS = slice(1, 5)  # page, block, paragraph, line
_PROGRAM = "tesseract"


@dataclass(frozen=True, slots=True)
class OcrWord:
    """A word on a picture.

    Attributes:
        text: The word as it was read.
        box: Where it is, in pixels of the picture.
        confidence: How sure the engine is, 0 to 1.
        line: The number of its line. Words of one line follow each other.
    """

    text: str
    box: PixelBox
    confidence: float
    line: int

    @property
    def height(self) -> int:
        """The height of its box in pixels."""
        return self.box.height

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return 300 + len(self.text)


class OcrEngine(Protocol):
    """Reads the words on pictures."""

    def read(self, picture: Picture, layout: Layout = "screen") -> list[OcrWord]:
        """Returns the words on a picture, line by line.

        Args:
            picture: The picture.
            layout: Where to look for words. An engine that has no such choice ignores it.

        Raises:
            OcrError: The picture could not be read.
        """
        ...


class TesseractEngine:
    """Reads pictures with the program of Tesseract. It remembers what it read.

    Args:
        languages: Tesseract's names of the languages, such as "eng" or "eng+deu". They must be installed.
        enlargement: How many times a picture is enlarged before it is read.
        timeout_s: Seconds after which reading a picture is given up.
        program: The path of Tesseract's program.
    """

    def __init__(
        self,
        languages: str = "eng",
        enlargement: int = DEFAULT_ENLARGEMENT,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        program: str = _PROGRAM,
    ) -> None:
        self._languages = languages
        self._enlargement = enlargement
        self._timeout_s = timeout_s
        self._program = program
        self._known: LruCache[tuple[str, str], tuple[OcrWord, ...]] = LruCache(_CACHE_BYTES, size_of=held_bytes)

    def read(self, picture: Picture, layout: Layout = "screen") -> list[OcrWord]:
        """Returns the words on a picture, line by line; see `OcrEngine.read`."""
        key = picture.digest, layout
        words = self._known.get(key)
        if words is None:
            words = tuple(self._read(picture, layout))
            self._known.put(key, words)
        return list(words)

    def _read(self, picture: Picture, layout: Layout) -> list[OcrWord]:
        from PIL import Image

        grey = picture.image.convert("L")
        most = (MAX_PIXELS / (grey.width * grey.height)) ** 0.5
        times = max(1.0, min(float(self._enlargement), most))
        if times != 1:
            size = max(1, round(grey.width * times)), max(1, round(grey.height * times))
            grey = grey.resize(size, Image.Resampling.LANCZOS)
        scale = picture.width / grey.width, picture.height / grey.height
        return _parse(self._run(b"P5\n%d %d\n255\n" % grey.size + grey.tobytes(), layout), scale)

    def _run(self, data: bytes, layout: Layout) -> str:
        dpi = str(96 * self._enlargement)  # without it Tesseract guesses, and says so
        options = ["--psm", _SEGMENTATION[layout], "--dpi", dpi, "-l", self._languages]
        command = [self._program, "stdin", "stdout", *options, "tsv"]
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=self._timeout_s, env=environment)
        except subprocess.TimeoutExpired:
            raise OcrError(f"{self._program} took more than {self._timeout_s:g} s") from None
        except OSError as error:
            raise OcrError(f"{self._program} cannot be run: {error}") from error
        if done.returncode:
            raise OcrError(f"{self._program} failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return done.stdout.decode(errors="replace")


def _parse(table: str, scale: tuple[float, float]) -> list[OcrWord]:
    """Reads Tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, confidence, text."""
    words: list[OcrWord] = []
    lines: dict[tuple[str, ...], int] = {}
    for row in table.split("\n")[1:]:
        cells = row.split("\t", 11)
        if len(cells) < 12 or cells[0] != _WORD_LEVEL or not cells[11].strip():
            continue
        left, top, width, height = map(int, cells[6:10])
        across, down = scale
        box = PixelBox(
            round(left * across),
            round(top * down),
            round((left + width) * across),
            round((top + height) * down),
        )
        line = lines.setdefault(tuple(cells[_LINE_COLUMNS]), len(lines))
        words.append(OcrWord(cells[11].strip(), box, max(0.0, float(cells[10])) / 100, line))
    return words


def is_tesseract_installed() -> bool:
    """Returns whether Tesseract's program is found. Does not run it."""
    return shutil.which(_PROGRAM) is not None


@functools.lru_cache(maxsize=8)
def find_ocr_engine(languages: str = "eng") -> TesseractEngine | None:
    """Returns an OCR engine, or None if Tesseract's program, its language data or Pillow is missing. Never raises.

    Args:
        languages: Tesseract's names of the languages. Those that are not installed are left out.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        return None
    program = shutil.which(_PROGRAM)
    if program is None:
        return None
    try:
        listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=DEFAULT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    installed = set(listed.stdout.split())
    chosen = [language for language in languages.split("+") if language in installed]
    return TesseractEngine("+".join(chosen), program=program) if chosen else None


def join_lines(words: Iterable[OcrWord]) -> list[str]:
    """Returns the texts of the lines, the words of each from left to right, and the lines in reading order."""
    return [" ".join(word.text for word in line) for line in group_lines(words)]


def group_lines(words: Iterable[OcrWord]) -> list[list[OcrWord]]:
    """Returns the words of each line from left to right, in the engine's order of the lines."""
    lines: dict[int, list[OcrWord]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    return [sorted(line, key=lambda word: word.box.left) for line in lines.values()]
