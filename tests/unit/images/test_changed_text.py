"""What changed between two texts of a page, in words."""

from __future__ import annotations

import random
import time

import pytest

from compressor.context.refs import PLACEHOLDER_RE
from compressor.images.changed_text import changed_words, frame_changes
from compressor.images.frames import list_frames
from support.property_tests import given, st
from support.screen_runs import ScreenStep, screen_run

ROWS = """- table:
  - row "Blue mug 2 12.00":
    - cell "Blue mug"
    - cell "2"
    - cell "12.00"
  - row "Red mug 1 5.00":
    - cell "Red mug"
    - cell "1"
    - cell "5.00\""""
TABLE = """- table:
  - rowgroup:
    - row "Item Qty Price":
      - columnheader "Item"
      - columnheader "Qty"
      - columnheader "Price"
    - row "Mug 2 5.00":
      - cell "Mug"
      - cell "2"
      - cell "5.00\""""
PAIRS = [
    (
        '- text: cart count 2\n- button "Add to cart" [ref=e3]',
        '- text: cart count 3\n- button "Added" [ref=e9]\n- alert: Quantity must be at least 1',
        'cart count 2 → 3; button "Add to cart" → "Added"; new: "Quantity must be at least 1"',
    ),
    (
        '- link "Cart (2)" [ref=e1]:\n  - /url: /cart\n  - text: "2"\n- heading "Mug"',
        '- link "Cart (3)" [ref=e5]:\n  - /url: /cart\n  - text: "3"\n- heading "Mug"',
        "link Cart 2 → 3",
    ),
    (
        ROWS,
        ROWS.replace("mug 2 12.00", "mug 3 18.00").replace('"2"', '"3"').replace("12.00", "18.00"),
        "Blue mug 2 → 3; Blue mug 12.00 → 18.00",
    ),
    (
        '[1]: <button> "Product";\t[2]: "Sign in";\t[3]: <input> "Search";\t[5]: "Repositories, 193 results"',
        '[1]: <button> "Product";\t[2]: "Sign in";\t[4]: <input> "Search";\t[7]: "Repositories, 12 results"',
        "Repositories 193 → 12",
    ),
    (
        '- checkbox "Gift wrap" [ref=e3]\n- textbox "Quantity": "2"\n- button "Buy" [disabled]',
        '- checkbox "Gift wrap" [checked] [ref=e3]\n- textbox "Quantity": "3"\n- button "Buy"',
        'checkbox "Gift wrap" checked; textbox Quantity 2 → 3; button "Buy" enabled',
    ),
    (
        "Northwind\nCart (2)\nTotal\n182.40\nCheckout",
        "Northwind\nCart (3)\nTotal\n199.00\nCheckout",
        "Cart 2 → 3; Total 182.40 → 199.00",
    ),
    (
        '[0]<a href=/x>Cart</a>\n[1]<input placeholder="Email" value=""/>',
        '[0]<a href=/x>Cart</a>\n[1]<input placeholder="Email" value="a@b.example"/>\n[2]<p>See "code" [now]</p>',
        "input Email empty → a@b.example; new: \"See 'code' (now)\"",
    ),
    (
        '- list:\n  - text: Blue mug\n  - button "Add to cart"\n  - text: Red mug\n  - button "Add to cart"',
        '- list:\n  - text: Blue mug\n  - button "Add to cart"\n  - text: Red mug\n  - button "Added"',
        'button "Add to cart" → "Added" at "Red mug"',
    ),
    (
        'uid=1_0 RootWebArea "Docs"\n  uid=1_1 link "Install"\n  uid=1_2 StaticText "3 results"',
        'uid=2_0 RootWebArea "Docs"\n  uid=2_1 link "Install"\n  uid=2_2 StaticText "5 results"\n  uid=2_3 dialog "Hi"',
        '"3 results" → "5 results"; new: dialog "Hi"',
    ),
    (
        "RootWebArea 'Shop'\n  [12] button 'Go', focused: true\n  StaticText 'Hello'",
        "RootWebArea 'Shop'\n  [14] button 'Go'\n  StaticText 'Hello'\n  StaticText 'Bye'",
        'new: "Bye"',
    ),
    (
        '- combobox "Size":\n  - option "S" [selected]\n  - option "L"\n- li: Go\n- alert',
        '- combobox "Size":\n  - option "S"\n  - option "L" [selected]\n- li:\n  - text: Go\n  - text: So\n- alert: No',
        'Size S → L; new: "So", "No"',
    ),
    (
        TABLE,
        TABLE.replace("Mug 2", "Mug 3").replace('"2"', '"3"').replace("5.00", "6.00"),
        "Mug Qty 2 → 3; Mug Price 5.00 → 6.00",
    ),
    ("Blue\nRed\nGreen", "Green\nBlue\nRed", 'same entries in another order, from "Green" on'),
]


@pytest.mark.parametrize(("old", "new", "words"), PAIRS)
def test_changes(old: str, new: str, words: str) -> None:
    assert changed_words(old, new) == words


def test_changes_between_frames_are_those_of_the_page() -> None:
    """What was done and the code that did it stand beside the frame, too."""
    text = '### Ran code\n```js\nclick(0);\n```\n- Page URL: https://a.example\n```yaml\n- link "Cart (0)"\n- p: x\n```'
    steps = [ScreenStep("browser_click", {}, text.replace("0", str(i))) for i in (2, 3)]
    old, new = list_frames(screen_run(steps, "anthropic"))
    assert frame_changes(old, new) == "link Cart 2 → 3"
    old, new = list_frames(screen_run([ScreenStep("browser_click", {}, f"Clicked {i}.") for i in (2, 3)], "anthropic"))
    assert frame_changes(old, new) == ""
    listed = [ScreenStep("step", {}, f"Did {i}\n[1]<a>Home</a>\n[2]<a>Cart ({i})</a>\n[3]<a>Help</a>") for i in (2, 3)]
    old, new = list_frames(screen_run(listed, "anthropic"))
    assert frame_changes(old, new) == "link Cart 2 → 3"


def test_same_text_and_other_page() -> None:
    assert changed_words("a\nb", "a\nb") == changed_words("", "a") == changed_words("a", "") == ""
    assert changed_words('- button "Go" [ref=e1]', '- button "Go" [ref=e2]') == ""
    assert changed_words("a\nb\nc", "x\ny\nz") == ""
    old = [f'- link "Item {i}"' for i in range(100)]
    assert changed_words("\n".join(old), "\n".join(old[:40] + [f'- link "Other {i}"' for i in range(60)])) == ""


def test_what_does_not_fit_is_counted() -> None:
    old = "\n".join(f"Field {name}: 1" for name in "abcdefgh") + "\nend" * 20
    words = changed_words(old, old.replace(": 1", ": 2"), max_chars=60)
    assert len(words) <= 60 and words.endswith(" more")
    assert changed_words(old, old.replace(": 1", ": 2"), max_chars=5) == ""


lines = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            ('- button "Add"', "- text: Cart (2)", "- text: Cart (3)", '  - cell "[…cut ref 123456789012]"', '"]\n[')
        ),
    ),
    max_size=12,
)


@given(lines, lines, st.integers(0, 200))
def test_any_texts_give_one_bounded_line(old: list[str], new: list[str], max_chars: int) -> None:
    words = changed_words("\n".join(old), "\n".join(new), max_chars)
    assert len(words) <= max_chars and "\n" not in words and "[" not in words and "]" not in words
    assert words.count('"') % 2 == 0 and not PLACEHOLDER_RE.search(words)
    assert words == changed_words("\n".join(old), "\n".join(new), max_chars)
    assert changed_words("\n".join(old), "\n".join(old), max_chars) == ""


def test_long_pages_are_quick() -> None:
    """Measured: 3 ms for 2,000 lines."""
    source = random.Random(1)
    old = [f'- link "Item {source.randrange(10**6)}" [ref=e{i}]' for i in range(2000)]
    new = [line.replace("ref=e", "ref=f") for line in old]
    for i in source.sample(range(2000), 5):
        new[i] = f'- link "Offer {i}"'
    start = time.thread_time()
    assert changed_words("\n".join(old), "\n".join(new))
    assert time.thread_time() - start < 0.1
