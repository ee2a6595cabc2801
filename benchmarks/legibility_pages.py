"""Writes pages with text of known size, and renders them in headless Chromium with the words that they show.

Kinds: an article, a table of numbers, a code listing, a form, a dashboard with icons, and text over a picture. The
words and numbers are drawn from a seed, so that a language model cannot guess them.
"""

from __future__ import annotations

import importlib.util
import io
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FONTS = ("Liberation Sans", "Liberation Serif", "Liberation Mono", "DejaVu Sans", "Liberation Sans Narrow")
#: Background, text, second text, border, accent.
THEMES = {
    "light": ("#ffffff", "#1f2328", "#656d76", "#d0d7de", "#0969da"),
    "dark": ("#0d1117", "#e6edf3", "#8b949e", "#30363d", "#4493f8"),
    "sepia": ("#f4ecd8", "#433422", "#7d6a4f", "#d9c9a5", "#9a3412"),
    "coloured": ("#1e3a8a", "#fef9c3", "#bfdbfe", "#3b5bb5", "#fde047"),
}
KINDS = ("article", "table", "code", "form", "dashboard", "photo")
_WORDS = (
    "account billing carrier customer delivery discount domain engine export filter garden history import invoice "
    "journal kitchen ledger margin market monitor network notice office order package payment permit planet policy "
    "profile project quantity quarter receipt region release request river sample schedule screen season section "
    "server service shipment signal station status storage summer supplier table target ticket traffic update vehicle "
    "version village volume warehouse weather window winter zone"
).split()
_TRUTH = """() => {
  const words = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, size = parseFloat(getComputedStyle(node.parentElement).fontSize);
    for (const match of node.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const box = range.getBoundingClientRect();
      if (box.width && box.bottom <= innerHeight && box.right <= innerWidth)
        words.push([match[0], size, box.left, box.top, box.right, box.bottom]);
    }
  }
  return words;
}"""


@dataclass(frozen=True)
class Page:
    """A page to render.

    Attributes:
        kind: One of `KINDS`, or "sheet": nothing but small text.
        theme: A key of `THEMES`.
        font: The font's family.
        size: The size of the text in CSS pixels.
        seed: The seed of its words.
        density: Device pixels per CSS pixel.
    """

    kind: str
    theme: str = "light"
    font: str = FONTS[0]
    size: int = 14
    seed: int = 0
    density: float = 1.0


@dataclass(frozen=True)
class ShownWord:
    """A word that a page shows.

    Attributes:
        text: The word.
        size: The size of its font in CSS pixels.
        box: Left, top, right and bottom in CSS pixels.
    """

    text: str
    size: float
    box: tuple[float, float, float, float]


def find_browser() -> str | None:
    """Returns Chromium's program, or None if it or playwright is missing."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def render(pages: Iterable[Page], size: tuple[int, int] = (1280, 800)) -> Iterator[tuple[Page, Any, list[ShownWord]]]:
    """Yields each page with its screenshot, a Pillow image, and the words in view.

    Args:
        pages: The pages.
        size: The size of the window in CSS pixels.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(FLAGS))
        try:
            for page in pages:
                context = browser.new_context(
                    viewport={"width": size[0], "height": size[1]}, device_scale_factor=page.density
                )
                tab = context.new_page()
                tab.set_content(write_html(page))
                truth = [ShownWord(text, px, tuple(box)) for text, px, *box in tab.evaluate(_TRUTH)]
                shot = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
                context.close()
                yield page, shot, truth
        finally:
            browser.close()


def write_html(page: Page) -> str:
    """Returns the page's HTML."""
    rng = random.Random(f"{page.kind}/{page.theme}/{page.font}/{page.size}/{page.seed}")
    back, text, second, border, accent = THEMES[page.theme]
    style = (
        f"* {{ box-sizing: border-box }} body {{ margin: 0; padding: 20px; background: {back}; color: {text}; "
        f"font: {page.size}px/1.5 '{page.font}'; overflow: hidden }} h1 {{ font-size: 1.8em; margin: 0 0 .4em }} "
        f"td, th {{ border-bottom: 1px solid {border}; padding: .3em .8em; text-align: left }} "
        f"table {{ border-collapse: collapse; width: 100% }} .n {{ text-align: right }} a {{ color: {accent} }} "
        f".second {{ color: {second} }} input, button {{ font: inherit; color: inherit; background: transparent; "
        f"border: 1px solid {border}; border-radius: 6px; padding: .35em .7em }} button {{ background: {accent}; "
        f"color: {back} }} pre {{ margin: 0; font-family: 'Liberation Mono' }} .card {{ border: 1px solid {border}; "
        f"border-radius: 8px; padding: 1em; display: inline-block; width: 23%; margin: 0 1% 1em 0 }} "
        f".icon {{ display: inline-block; width: 1.2em; height: 1.2em; border-radius: 50%; "
        f"border: 2px solid {accent} }} "
        f".photo {{ height: 760px; padding: 40px; color: #fff; text-shadow: 0 0 4px #000; "
        f"background: radial-gradient(circle at 20% 30%, #7c2d12, transparent 40%), "
        f"radial-gradient(circle at 70% 60%, #365314, transparent 50%), linear-gradient(120deg, #0c4a6e, #a16207) }}"
    )
    body = _BODIES[page.kind](rng)
    return f"<!doctype html><html><head><meta charset='utf-8'><style>{style}</style></head><body>{body}</body></html>"


def sentence(rng: random.Random) -> str:
    """Returns a sentence of drawn words with a number in it."""
    words = [rng.choice(_WORDS) for _ in range(rng.randrange(8, 16))]
    words.insert(rng.randrange(1, len(words)), number(rng))
    return " ".join(words).capitalize() + "."


def number(rng: random.Random) -> str:
    """Returns a number as pages show them."""
    return rng.choice(
        (
            f"{rng.randrange(10, 100_000)}",
            f"{rng.randrange(1, 10_000)}.{rng.randrange(100):02}",
            f"${rng.randrange(1, 100)},{rng.randrange(1000):03}.{rng.randrange(100):02}",
            f"{rng.randrange(1, 100)}%",
            f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
        )
    )


def _article(rng: random.Random) -> str:
    paragraphs = ("<p>" + " ".join(sentence(rng) for _ in range(5)) + "</p>" for _ in range(12))
    return f"<h1>{rng.choice(_WORDS).capitalize()} {rng.choice(_WORDS)}</h1>" + "".join(paragraphs)


def _sheet(rng: random.Random) -> str:
    """A sheet packed with text, as a text rendered to save tokens would be."""
    style = "margin: -14px; line-height: 1.2"
    return f"<div style='{style}'>{' '.join(sentence(rng) for _ in range(900))}</div>"


def table_rows(rng: random.Random, rows: int = 40, columns: int = 6) -> list[list[str]]:
    """Returns rows of cells: a name, then numbers; the first row is the header."""
    head = [word.capitalize() for word in rng.sample(_WORDS, columns)]
    return [
        head,
        *(
            [f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}", *(number(rng) for _ in range(columns - 1))]
            for _ in range(rows)
        ),
    ]


def _table(rng: random.Random) -> str:
    head, *rows = table_rows(rng)
    cells = "".join("<tr><td>" + "<td class='n'>".join(row) + "</tr>" for row in rows)
    return f"<h1>Orders</h1><table><tr><th>{'<th>'.join(head)}</tr>{cells}</table>"


def _code(rng: random.Random) -> str:
    lines = []
    for _ in range(60):
        name, other = rng.sample(_WORDS, 2)
        lines.append(
            rng.choice(
                (
                    f"def {name}_{other}({other}: int = {rng.randrange(1000)}) -> str:",
                    f"    {name} = {other}.{rng.choice(_WORDS)}[{rng.randrange(100)}] + {rng.randrange(9999)}",
                    f"    if {name} &gt;= {rng.randrange(10_000)}: raise ValueError('{other} {rng.randrange(999)}')",
                    f"    <span class='second'># {sentence(rng)}</span>",
                )
            )
        )
    return "<pre>" + "\n".join(lines) + "</pre>"


def _form(rng: random.Random) -> str:
    rows = (
        f"<p><label>{rng.choice(_WORDS).capitalize()} {rng.choice(_WORDS)}</label> <span class='second'>"
        f"{sentence(rng)}</span><br><input value=''> <button>{rng.choice(_WORDS).capitalize()}</button></p>"
        for _ in range(9)
    )
    return "<h1>Settings</h1>" + "".join(rows)


def _dashboard(rng: random.Random) -> str:
    cards = (
        f"<div class='card'><span class='icon'></span> {rng.choice(_WORDS).capitalize()}<br><b style='font-size:2em'>"
        f"{number(rng)}</b><br><span class='second'>{rng.choice(_WORDS)} {number(rng)}</span></div>"
        for _ in range(16)
    )
    return "<h1>Overview</h1>" + "".join(cards)


def _photo(rng: random.Random) -> str:
    lines = "".join(f"<p>{sentence(rng)}</p>" for _ in range(10))
    return f"<div class='photo'><h1>{rng.choice(_WORDS).capitalize()}</h1>{lines}</div>"


_BODIES = {
    "article": _article,
    "table": _table,
    "code": _code,
    "form": _form,
    "dashboard": _dashboard,
    "photo": _photo,
    "sheet": _sheet,
}
