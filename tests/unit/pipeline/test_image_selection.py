"""Ten runs of agents whose question needs one of six to ten screenshots, and a budget for two of them and some text.

Nobody looks at the pixels here: the titles, addresses and texts beside the images say what they show.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from compressor import Compressor
from compressor.images.policy import ImagePolicy

SIZE = (1280, 800)
IMAGE_TOKENS = 1105  # of this size, for gpt-4o
#: Nothing is done to images but keeping some and dropping the rest.
CHOOSE = ImagePolicy(fold_repeats=False, shrink=False, drop_stale=False, read_as_text=False, ocr=False)
DROP_OLDER = replace(CHOOSE, drop_stale=True)
PAGES = {
    "shop.example": (
        "Home|Scarves|Blue wool scarf|Leather gloves|Delivery times|Returns|Cart|Checkout",
        "What colours does the wool scarf come in?",
        2,
    ),
    "docs.example": (
        "Getting started|Authentication|Timeouts|Retries and backoff|Rate limits|Changelog",
        "How long is the first backoff between retries?",
        3,
    ),
    "ops.example": (
        "Dashboard|Orders|Order 20931|Payments|Payment provider settings|Users|Logs|Alerts|Queue",
        "Which webhook is entered in the payment provider settings?",
        4,
    ),
    "visa.example": (
        "1: Personal data|2: Passport|3: Travel dates|4: Accommodation|5: Employment|6: Insurance|7: Review",
        "Which passport number did we enter?",
        1,
    ),
    "charts.example": (
        "Revenue by month|Revenue by region|Customers by age|Churn by quarter|Stock levels|Refunds by product",
        "In which quarter was churn highest?",
        3,
    ),
    "flat.example": (
        "Kitchen|Living room with sofa|Bedroom|Bathroom with window|Balcony|Hallway with wardrobe|Cellar",
        "Would a washing machine fit beside the window in the bathroom?",
        3,
    ),
    "bahn.example": (
        "Startseite|Verbindungen nach Hamburg|Sitzplatz wählen|Zahlung|Fahrgastrechte|BahnCard|Meine Reisen|Hilfe",
        "Welcher Sitzplatz ist am Fenster frei?",
        2,
    ),
    "phone.example": (
        "Settings|Display|Battery|Battery saver schedule|Sound|Apps|Storage|About phone|System update|Network",
        "Which options does the battery saver schedule offer?",
        3,
    ),
    "report.example": (
        "Title|Letter to shareholders|Income statement|Balance sheet|Cash flow statement|Risk factors|Outlook",
        "What are the total liabilities on the balance sheet?",
        3,
    ),
    "desk.example": (
        "Inbox|#5120 Login fails|#5121 Invoice shows wrong VAT|#5122 App crashes|#5124 Cannot change avatar|Macros",
        "Which VAT rate does the invoice in ticket 5121 show?",
        2,
    ),
}


def draw_png(shade: int) -> str:
    """Returns the base64 text of a picture of one shade of grey."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes([shade]) * SIZE[0]) * SIZE[1]
    head = struct.pack(">IIBBBBB", *SIZE, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def list_elements(rng: random.Random, count: int) -> str:
    names = ("Menu", "Help", "Contact", "Imprint", "Search", "Language", "Next", "Previous", "More", "Share", "Print")
    kinds = ("link", "button", "text", "heading", "listitem")
    return "\n".join(
        f'- {rng.choice(kinds)} "{rng.choice(names)} {rng.randrange(100)}" [ref=e{i}]' for i in range(count)
    )


def tool_round(number: int, words: str, content: Any) -> list[dict[str, Any]]:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "browser_open", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": words, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": content},
    ]


def make_run(site: str, question: str, rounds_after: int = 0, line: str = "") -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the messages, and the images.

    Args:
        site: The key in `PAGES`.
        question: What the user asks.
        rounds_after: The rounds that the agent works on after the question.
        line: A line among the texts beside the last image but two.
    """
    titles = PAGES[site][0]
    rng = random.Random(site)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Look through all pages, and I will ask."}]
    images = []
    pages = titles.split("|")
    for i, title in enumerate(pages):
        images.append(draw_png(255 - 10 * i))
        elements = list_elements(rng, 30) + (f"\n{line}\n" if i == len(pages) - 3 else "\n") + list_elements(rng, 30)
        text = f"Page Title: {title} – {site}\nPage URL: https://{site}/{i}\n{elements}"
        url = f"data:image/png;base64,{images[-1]}"
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
        messages += tool_round(i, f"Step {i + 1}.", parts)
    messages += [{"role": "assistant", "content": "That is all."}, {"role": "user", "content": question}]
    for i in range(rounds_after):
        messages += tool_round(100 + i, f"I look that up: {question}", list_elements(rng, 15))
    return messages, images


def kept(messages: list[Any], images: list[str]) -> list[int]:
    text = json.dumps(messages)
    return [i for i, image in enumerate(images) if image in text]


def compress(messages: list[dict[str, Any]], images: list[str], policy: ImagePolicy = CHOOSE) -> list[Any]:
    """With a budget for two images and three tenths of the texts."""
    compressor = Compressor(store="memory", images=policy)
    whole = compressor.compress(messages, budget=10**7, model="gpt-4o").tokens_before
    texts = whole - len(images) * IMAGE_TOKENS
    return list(compressor.compress(messages, budget=2 * IMAGE_TOKENS + int(0.3 * texts), model="gpt-4o").messages)


@pytest.mark.parametrize("policy", [CHOOSE, DROP_OLDER], ids=["choose", "drop older"])
@pytest.mark.parametrize("rounds_after", [0, 2, 6])
def test_the_image_that_the_question_needs_stays(rounds_after: int, policy: ImagePolicy) -> None:
    lost = []
    for site, (_, question, needed) in PAGES.items():
        messages, images = make_run(site, question, rounds_after)
        if needed not in kept(compress(messages, images, policy), images):
            lost.append(site)
    assert len(lost) <= 1, lost


def test_a_line_that_the_question_needs_stays_beside_the_images() -> None:
    lost = []
    for i, site in enumerate(PAGES):
        line = f'- text "Reference: KX-{4000 + 7 * i}"'
        messages, images = make_run(site, "What is the reference?", line=line)
        if f"KX-{4000 + 7 * i}" not in json.dumps(compress(messages, images)):
            lost.append(site)
    assert not lost
