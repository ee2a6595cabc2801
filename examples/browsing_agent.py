"""A browsing agent that sees a screenshot after each call: what its model is sent once the screenshots have a budget.

The pages are drawn here. No model, browser or network is needed, only Pillow.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from compressor import Compressor, CompressorError

MODEL = "claude-sonnet-4-5"
WIDTH, HEIGHT = 1280, 800
LAMPS = (
    ("Kestrel desk lamp", "155.10", "4.3 of 5, 1,430 reviews"),
    ("Heron floor lamp", "212.00", "4.7 of 5, 88 reviews"),
    ("Wren clip lamp", "39.90", "3.9 of 5, 412 reviews"),
    ("Plover table lamp", "84.50", "4.1 of 5, 276 reviews"),
)


class Page(NamedTuple):
    """What the shop's browser window shows.

    Attributes:
        url: The page's address.
        title: Its title.
        lines: Its lines of text.
        cart: The number that the badge in its upper right corner shows.
    """

    url: str
    title: str
    lines: tuple[str, ...]
    cart: int = 0


RESULTS = Page(
    "https://shop.example/list?q=lamp", "Lamps", tuple(f"{name}  EUR {price}  {stars}" for name, price, stars in LAMPS)
)
PRODUCT = Page(
    "https://shop.example/lamps/heron",
    "Heron floor lamp",
    ("EUR 212.00", "4.7 of 5, 88 reviews", "Height 148 cm, base of oak, cable of 2.5 m", "Delivered within 3 days"),
)
CART = Page("https://shop.example/cart", "Your cart", ("1 x Heron floor lamp  EUR 212.00", "Total EUR 212.00"), 1)
CHECKOUT = Page("https://shop.example/checkout", "Checkout", ("Name", "Street", "Postcode and city", "Pay"), 1)
ORDER = Page("https://shop.example/order", "Order placed", ("1 x Heron floor lamp  EUR 212.00", "Order 40-7713"))
#: What the agent says, its tool, and what it sees then.
STEPS = (
    ("I search for lamps.", "browser_navigate", RESULTS),
    ("The second one has the best rating. I open it.", "browser_click", PRODUCT),
    ("I look at the page again.", "browser_take_screenshot", PRODUCT),  # a repeat
    ("I put it into the cart.", "browser_click", PRODUCT._replace(cart=1)),  # a near repeat: the badge
    ("Is there a better one? Back to the list.", "browser_navigate_back", RESULTS._replace(cart=1)),  # step 1 is stale
    ("No. I open the cart.", "browser_click", CART),
    ("On to the checkout.", "browser_click", CHECKOUT),
    ("I fill it in and pay.", "browser_click", ORDER),
)


def draw(page: Page) -> bytes:
    """Returns a page as a PNG file."""
    from PIL import Image, ImageDraw, ImageFont

    def write(x: int, y: int, text: str, size: int, fill: str = "black") -> None:
        pen.text((x, y), text, fill, ImageFont.load_default(size))

    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, WIDTH, 56), "#24406b")
    write(24, 14, "Fjordhaus", 24, "white")
    write(1120, 16, f"Cart {page.cart}", 20, "white")
    write(24, 80, page.title, 32)
    for i, line in enumerate(page.lines):
        top = 150 + 110 * i
        pen.rectangle((24, top, 110, top + 86), shade(page.title, i))
        write(140, top + 18, line, 20)
        write(140, top + 52, "All prices with taxes. Returns are free within 30 days.", 12)
    write(24, 772, "Fjordhaus Lighting, Harbour Street 14. Imprint, terms of sale, privacy.", 12)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def shade(title: str, row: int) -> str:
    """Returns the colour of the picture beside a line."""
    tone = (sum(map(ord, title)) * 37 + row * 71) % 200
    return f"#{tone:02x}{(tone * 3) % 256:02x}{255 - tone:02x}"


def rounds() -> Iterator[list[dict[str, Any]]]:
    """Yields the messages of the task, then those of each step, as Anthropic's API takes them."""
    yield [{"role": "user", "content": "Put the lamp with the best rating into the cart and buy it."}]
    for i, (words, tool, page) in enumerate(STEPS, 1):
        call = {"type": "tool_use", "id": f"call_{i}", "name": tool, "input": {}}
        data = base64.b64encode(draw(page)).decode("ascii")
        seen = [
            {"type": "text", "text": f"Page URL: {page.url}\nPage Title: {page.title}"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        ]
        yield [
            {"role": "assistant", "content": [{"type": "text", "text": words}, call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"call_{i}", "content": seen}]},
        ]


def screenshots(messages: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yields what each step's result holds where its screenshot was: the screenshot, a note, or a note and a part."""
    for message in messages:
        if message["role"] == "user" and isinstance(message["content"], list):
            _page, *seen = message["content"][0]["content"]
            yield seen


def show(messages: Iterable[dict[str, Any]]) -> None:
    """Prints what the model sees in place of the screenshots."""
    from PIL import Image

    for i, parts in enumerate(screenshots(messages), 1):
        said = []
        for part in parts:
            if part["type"] == "text":
                said.append(part["text"])
            else:
                picture = Image.open(io.BytesIO(base64.b64decode(part["source"]["data"])))
                said.append(f"<{picture.width} x {picture.height} pixels>")
        print(f"  step {i}: {' '.join(said)}")


def run(fraction: float) -> None:
    """Compresses the agent's messages once as a whole, and once step by step in a session."""
    messages = [message for step in rounds() for message in step]
    compressor = Compressor(store="memory")
    try:
        result = compressor.compress(messages, budget=fraction, model=MODEL)
        print(f"One request, {result.tokens_before:,} -> {result.tokens_after:,} tokens. The model sees:")
        show(result.messages)
        for warning in result.warnings:
            print(f"  warning: {warning}")
        shown = [part for parts in screenshots(result.messages) for part in parts]
        away = [part for (part,) in screenshots(messages) if part not in shown]
        originals = [compressor.expand(ref) for ref in {dropped.ref for dropped in result.dropped}]
        exact = sum(any(part["source"]["data"] in original for original in originals) for part in away)
        print(f"Screenshots that a ref gives back as they were: {exact} of {len(away)}")

        session = compressor.session("shopping", model=MODEL)
        for step in rounds():
            session.append(*step)
            view = session.view()  # what to send now
        print("\nA session without a budget, after the last step. The model sees:")
        show(view)
        print(session.cost_report().report())
    finally:
        compressor.close()


def main() -> int:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="A browsing agent whose screenshots have a budget.")
    parser.add_argument("--budget", type=float, default=0.4, help="fraction of the tokens that may stay (default: 0.4)")
    options = parser.parse_args()
    if importlib.util.find_spec("PIL") is None:
        print("This example draws and compresses pictures, which needs Pillow.", file=sys.stderr)
        print("Install it with: pip install 'agentic-compressor[images]'", file=sys.stderr)
        return 2
    try:
        run(options.budget)
    except CompressorError as error:
        print(f"A budget of {options.budget} does not work here: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
