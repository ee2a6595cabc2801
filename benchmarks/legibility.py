"""Measures how small text may become, and when a picture may go as text or a text as a picture.

Pages with text of known size are rendered in headless Chromium and read by Tesseract. Four parts:

* scales: what is read at several scales, and at the one that `legible_scale` chooses, with the picture's tokens;
* heights: how far the estimated height of capitals is off, and what the estimate costs;
* text forms: how many pages of each kind `read_as_text` takes, and how many of their numbers are right;
* pictures of text: the tokens of a page of small text as a picture and as text, and what OCR reads of it.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.legibility_pages import FONTS, KINDS, THEMES, Page, ShownWord, find_browser, render
from benchmarks.report import Report, format_fraction
from compressor.context.model import Image
from compressor.images.ocr import OcrWord, TesseractEngine, find_ocr_engine
from compressor.tokens.counter import get_counter

MODELS = ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash")
SIZES = (10, 12, 14, 18)
SCALES = (1.0, 0.85, 0.7, 0.55)
SCALE_THEMES = ("light", "dark")
#: The part of a page that is read at every scale; tokens are those of a whole window.
PART = (640, 400)
WINDOW = (1280, 800)
#: Capitals by size of font: Arial's 1466 of 2048 units, as Liberation Sans has.
CAPITALS = 0.716
#: The largest picture that each model sees without shrinking it, or, for OpenAI's, one of whole tiles.
SHEETS = {
    "gpt-4o": (768, 2048),
    "gpt-5": (768, 2048),
    "claude-sonnet-4-5": (1092, 1092),
    "gemini-2.5-flash": (1536, 1536),
}
#: The font of a sheet has capitals of 9 pixels, the smallest that `legible_scale` allows.
SHEET_FONT = 13
#: The upper rows of a sheet, in pixels, are read by OCR: a whole one takes half a minute.
_READ_ROWS = 400
_TIMEOUT_S = 120.0


def missing() -> str | None:
    """Returns what the benchmark lacks, or None."""
    if find_browser() is None:
        return "Chromium and playwright are needed"
    return None if find_ocr_engine() else "Tesseract and Pillow are needed"


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all parts. `limit` caps the number of pages of each."""
    engine = TesseractEngine(timeout_s=_TIMEOUT_S)
    rows = [
        *_measure_scales(engine, limit),
        *_measure_heights(limit),
        *_measure_text_forms(engine, limit),
        *_measure_sheets(engine, limit),
    ]
    head = ["what", "case", "pictures", "words read", "numbers read", f"tokens ({', '.join(MODELS)})", "ms"]
    return Report("legibility", "Small text on pictures", NOTES, [head, *map(_cells, rows)], rows)


def _measure_scales(engine: TesseractEngine, limit: int | None) -> Iterable[dict[str, Any]]:
    """Yields what is read of pages at each scale, by size of the text and theme."""
    from compressor.images.resizing import legible_scale, resize

    pages = [Page("article", theme, FONTS[0], size, 7) for size in SIZES for theme in SCALE_THEMES][:limit]
    for page, shot, truth in render(pages, PART):
        picture = _picture(shot)
        chosen = round(legible_scale(picture.grey), 3)
        for scale in sorted({*SCALES, chosen}, reverse=True):
            small = resize(picture, round(picture.width * scale), round(picture.height * scale))
            found = engine.read(small, "page")
            whole = Image(round(WINDOW[0] * scale), round(WINDOW[1] * scale))
            yield {
                "what": "scale" if scale != chosen else "chosen scale",
                "case": f"{page.size} px, {page.theme}, {scale:g}",
                "pictures": 1,
                **_recall(found, truth),
                "capitals": round(page.size * CAPITALS * scale, 1),
                "tokens": [get_counter(model).count_image(whole) for model in MODELS],
            }


def _measure_heights(limit: int | None) -> Iterable[dict[str, Any]]:
    """Yields the estimated height of capitals divided by the true one, and the time, by kind of page."""
    from compressor.images.margins import content_box
    from compressor.images.text_height import smallest_text_height

    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS if kind != "code"}
    times, margins = [], []
    themes = list(THEMES)
    pages = [
        Page(kind, themes[(i + j) % len(themes)], FONTS[0], size, 11)
        for i, kind in enumerate(ratios)
        for j, size in enumerate((11, 13, 16, 20))
    ][:limit]
    for page, shot, _ in render(pages, WINDOW):
        grey = _picture(shot).grey
        found = smallest_text_height(grey)
        if found is not None:
            ratios[page.kind].append(found / (page.size * CAPITALS))
        times.append(min(_timed(smallest_text_height, grey) for _ in range(3)))
        margins.append(min(_timed(content_box, grey) for _ in range(3)))
    for kind, values in ratios.items():
        if values:
            case = f"{kind}: estimate / truth {min(values):.2f} to {max(values):.2f}"
            yield {"what": "height", "case": case, "pictures": len(values), "ratios": values}
    if times:
        yield {"what": "height", "case": "time", "pictures": len(times), "ms": statistics.median(times)}
        yield {"what": "margins", "case": "time", "pictures": len(margins), "ms": statistics.median(margins)}


def _measure_text_forms(engine: TesseractEngine, limit: int | None) -> Iterable[dict[str, Any]]:
    """Yields how many pages of each kind may go as text, and which of their numbers are right."""
    from compressor.images.text_form import read_as_text

    themes = list(THEMES)
    pages = [
        Page(kind, themes[(i + j) % len(themes)], FONTS[j % 4], size, 23)
        for i, kind in enumerate(KINDS)
        for j, size in enumerate((12, 13, 14, 16) if kind in ("table", "code", "article") else (13, 16))
    ][:limit]
    counter = get_counter(MODELS[0])
    rows = {kind: {"taken": 0, "pictures": 0, "right": 0, "written": 0, "shown": 0, "ms": 0.0} for kind in KINDS}
    tokens: list[int] = []
    for page, shot, truth in render(pages, WINDOW):
        row = rows[page.kind]
        start = time.perf_counter()
        form = read_as_text(_picture(shot), engine, lambda text: counter.count_many([text])[0])
        row["ms"] += 1e3 * (time.perf_counter() - start)
        row["pictures"] += 1
        if form is None:
            continue
        row["taken"] += 1
        tokens.append(form.tokens)
        written, shown = _numbers(re.split(r"[\s|]+", form.text)), _numbers(word.text for word in truth)
        row["right"] += (written & shown).total()
        row["written"] += written.total()
        row["shown"] += shown.total()
    for kind, row in rows.items():
        if row["pictures"]:
            case = f"{kind}: {row['taken']} of {row['pictures']} go as text"
            if row["written"]:
                case += f"; {format_fraction(int(row['right']), int(row['written']))} of the numbers written are right"
            numbers = [row["right"], row["shown"]]
            yield {**row, "what": "text form", "case": case, "numbers": numbers, "ms": row["ms"] / row["pictures"]}
    if tokens:
        whole = [get_counter(model).count_image(Image(*WINDOW)) for model in MODELS]
        case = f"text: {round(statistics.mean(tokens)):,} tokens on average; the picture:"
        yield {"what": "text form", "case": case, "pictures": len(tokens), "tokens": whole, "text_tokens": tokens}


def _measure_sheets(engine: TesseractEngine, limit: int | None) -> Iterable[dict[str, Any]]:
    """Yields the tokens of a sheet full of text, as a picture and as text, for each model."""
    for model, size in list(SHEETS.items())[:limit]:
        page = Page("sheet", "light", FONTS[0], SHEET_FONT, 5)
        for _, shot, truth in render([page], size):
            counter = get_counter(model)
            text = counter.count_many([" ".join(word.text for word in truth)])[0]
            drawn = counter.count_image(Image(*size))
            part = engine.read(_picture(shot.crop((0, 0, size[0], _READ_ROWS))), "page")
            upper = [word for word in truth if word.box[3] <= _READ_ROWS]
            yield {
                "what": "picture of text",
                "case": f"{model}, {size[0]} x {size[1]}: text {text:,} tokens, picture {drawn:,} ({drawn / text:.2f})",
                "pictures": 1,
                **_recall(part, upper),
                "text_tokens": text,
                "picture_tokens": drawn,
            }


def _picture(shot: Any) -> Any:
    from compressor.images.picture import Picture

    return Picture.from_image(shot, Picture(shot, "PNG", ""))


def _timed(function: Any, grey: Any) -> float:
    start = time.thread_time()
    function(grey)
    return 1e3 * (time.thread_time() - start)


def _recall(found: Sequence[OcrWord], truth: Sequence[ShownWord]) -> dict[str, list[int]]:
    """Returns how many words, and words with a digit, were read of how many that are shown."""
    read, shown = _plain(word.text for word in found), _plain(word.text for word in truth)
    digits = Counter({word: count for word, count in shown.items() if any(map(str.isdigit, word))})
    return {
        "words": [(read & shown).total(), shown.total()],
        "numbers": [(read & digits).total(), digits.total()],
    }


def _plain(words: Iterable[str]) -> Counter[str]:
    """Counts words without case and punctuation."""
    return Counter(filter(None, (re.sub(r"\W+", "", word).lower() for word in words)))


def _numbers(words: Iterable[str]) -> Counter[str]:
    """Counts words with a digit, exactly as written but for punctuation at their ends."""
    return Counter(word.strip(".,;:()'") for word in words if any(map(str.isdigit, word)))


def _cells(row: dict[str, Any]) -> list[str]:
    words, numbers, tokens = row.get("words"), row.get("numbers"), row.get("tokens")
    return [
        row["what"],
        row["case"],
        str(row["pictures"]),
        format_fraction(*words) if words else "–",
        format_fraction(*map(int, numbers)) if numbers else "–",
        ", ".join(f"{count:,}" for count in tokens) if tokens else "–",
        f"{row['ms']:.1f}" if "ms" in row else "–",
    ]


NOTES = [
    "Pages rendered in Chromium with drawn words, read by Tesseract at twice their size.",
    "*scale*, *chosen scale*: font and theme of an article, and the factor of its size; tokens are those of a window "
    "of 1280 x 800 pixels at that factor. *height*: CPU time on such a window; estimates below 1 keep text larger.",
    "*text form*: pages that `read_as_text` takes, and numbers on them that are written exactly; time of the clock.",
    "*picture of text*: words without case in a font of 13 px (capitals of 9), on the largest sheet that a model sees "
    "unshrunk. It is measured only: no text is sent as a picture.",
]
