"""Screens of a made-up program, and small changes of them that a reader of the screen must not miss."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

WIDTH, HEIGHT = 640, 400
HEADER, SIDEBAR, ROW = 36, 110, 22
WORDS = "order invoice account router socket ticket report branch cluster agent filter region customer shipment".split()
STATES = ("green", "orange", "red", "grey")
COLORS = {"green": "#2da44e", "orange": "#d9822b", "red": "#cf222e", "grey": "#c8ccd0"}


@dataclass(frozen=True)
class Row:
    name: str
    note: str  # small, in a light grey
    number: int
    state: str
    is_ticked: bool


@dataclass(frozen=True)
class Screen:
    """What a screen shows."""

    rows: tuple[Row, ...]
    title: str
    badge: int = 3
    is_dark: bool = False
    caret: int | None = None
    field: str = ""
    selected: int | None = None
    is_enabled: bool = True
    shift: tuple[int, int] = (0, 0)
    scroll: int = 0
    links: tuple[str, ...] = ()


def make_screen(source: random.Random) -> Screen:
    """Returns a screen at random."""
    rows = tuple(
        Row(
            f"{source.choice(WORDS)} {source.choice(WORDS)} {source.randrange(100)}",
            " ".join(source.choices(WORDS, k=3)),
            source.randrange(10, 100_000),
            source.choice(STATES),
            source.random() < 0.4,
        )
        for _ in range(60)
    )
    return Screen(
        rows,
        " ".join(source.choices(WORDS, k=2)).title(),
        badge=source.randrange(1, 99),
        is_dark=source.random() < 0.3,
        field=source.choice(WORDS),
        links=tuple(source.sample(WORDS, 8)),
    )


def change_screen(kind: str, screen: Screen, source: random.Random) -> Screen:
    """Returns a screen that differs in one way, see `KINDS`."""
    place = source.randrange(12)  # a row that is in view
    row = screen.rows[place]
    if kind == "digit":
        text = str(row.number)
        at = source.randrange(len(text))
        other = source.choice([d for d in "123456789" if d != text[at]])
        return _with_row(screen, place, replace(row, number=int(text[:at] + other + text[at + 1 :])))
    if kind == "faint letter":
        letters = list(row.note)
        at = source.choice([i for i, letter in enumerate(letters) if letter != " "])
        letters[at] = source.choice([letter for letter in "acegmosux" if letter != letters[at]])
        return _with_row(screen, place, replace(row, note="".join(letters)))
    if kind == "tick":
        return _with_row(screen, place, replace(row, is_ticked=not row.is_ticked))
    if kind == "dot":
        return _with_row(screen, place, replace(row, state=source.choice([s for s in STATES if s != row.state])))
    if kind == "caret":
        return replace(screen, caret=source.randrange(len(screen.field) + 1))
    if kind == "selection":
        return replace(screen, selected=place)
    if kind == "badge":
        return replace(screen, badge=screen.badge + 1)
    if kind == "button":
        return replace(screen, is_enabled=not screen.is_enabled)
    if kind == "shift":
        return replace(screen, shift=source.choice([(0, 1), (1, 0), (-1, 0), (0, -1)]))
    if kind == "swap":
        rows = list(screen.rows)
        rows[place], rows[place + 1] = rows[place + 1], replace(row, number=row.number + 1)
        return replace(screen, rows=tuple(rows))
    if kind == "theme":
        return replace(screen, is_dark=not screen.is_dark)
    if kind == "scroll":
        return replace(screen, scroll=source.randrange(1, 150))
    raise ValueError(kind)


SMALL_KINDS = ("digit", "faint letter", "tick", "dot", "caret", "selection", "badge", "button")
KINDS = (*SMALL_KINDS, "shift", "swap", "theme", "scroll")


def _with_row(screen: Screen, place: int, row: Row) -> Screen:
    return replace(screen, rows=(*screen.rows[:place], row, *screen.rows[place + 1 :]))


def draw_screen(screen: Screen) -> Image.Image:
    """Draws a screen: a header and a side bar, which stay in place, and a list, which scrolls."""
    from PIL import Image, ImageDraw, ImageFont

    fonts = {size: ImageFont.load_default(size) for size in (9, 11, 16)}
    back, ink, faint, line = ("#16181d", "#e6e6e6", "#3a3f47", "#2a2e35") if screen.is_dark else _LIGHT
    image = Image.new("RGB", (WIDTH, HEIGHT), back)
    draw = ImageDraw.Draw(image)
    for i, row in enumerate(screen.rows):
        top = HEADER + 8 + i * ROW - screen.scroll
        if not HEADER - ROW < top < HEIGHT:
            continue
        left = SIDEBAR + 12
        if screen.selected == i:
            draw.rectangle((SIDEBAR + 4, top, WIDTH - 8, top + ROW - 1), fill="#f2f6fc" if not screen.is_dark else line)
        draw.rectangle((left, top + 5, left + 10, top + 15), outline=ink)
        if row.is_ticked:
            draw.line((left + 2, top + 10, left + 5, top + 13, left + 9, top + 7), fill=ink)
        draw.text((left + 22, top + 4), row.name, fill=ink, font=fonts[11])
        draw.text((left + 200, top + 6), row.note, fill=faint, font=fonts[9])
        draw.text((left + 400, top + 6), str(row.number), fill=ink, font=fonts[9])
        draw.ellipse((left + 470, top + 7, left + 477, top + 14), fill=COLORS[row.state])
        draw.line((SIDEBAR, top + ROW - 1, WIDTH, top + ROW - 1), fill=line)
    draw.rectangle((0, 0, WIDTH, HEADER), fill=line)
    draw.rectangle((0, HEADER, SIDEBAR, HEIGHT), fill=line)
    x, y = screen.shift
    draw.text((12 + x, 8 + y), screen.title, fill=ink, font=fonts[16])
    draw.rectangle((300, 8, 420, 28), fill=back)
    draw.text((306, 10), screen.field, fill=ink, font=fonts[11])
    if screen.caret is not None:
        at = 306 + int(fonts[11].getlength(screen.field[: screen.caret]))
        draw.line((at, 10, at, 25), fill=ink)
    draw.rounded_rectangle((440, 8, 500, 28), 4, fill="#1f6feb" if screen.is_enabled else "#8fb3ec")
    draw.text((452, 11), "Save", fill="white", font=fonts[11])
    draw.ellipse((600, 8, 620, 28), fill="#cf222e")
    draw.text((604, 12), str(screen.badge), fill="white", font=fonts[9])
    for i, link in enumerate(screen.links):
        draw.text((12, HEADER + 12 + i * 20), link, fill=ink, font=fonts[11])
    return image


_LIGHT = ("#ffffff", "#1f2328", "#d4d7da", "#eceff1")
