"""What a text says about the page that it describes, in the notations of agent frameworks."""

from __future__ import annotations

import json

import pytest

from compressor.images.page_labels import NO_LABELS, find_url, read_page_labels
from support.property_tests import given, st

PLAYWRIGHT = """### Ran Playwright code
```js
await page.getByRole('button').click();
```
### Page state
- Page URL: https://shop.example/cart#top
- Page Title: Cart – Northwind
- Page Snapshot:
```yaml
- link "Home" [ref=e2]:
  - /url: /home
- text: "Title: not the page's"
```"""
BROWSER_USE = """[Current state starts here]
Current url: https://news.example/a
Available tabs:
[TabInfo(page_id=0, url='https://m.example', title=''), TabInfo(page_id=1, url='https://news.example/a', title='News')]
Interactive elements:
[0]<button >Go</button>"""
BROWSER_USE_TABS = """<browser_state>
Current tab: 3f2a
Available tabs:
Tab 11aa: https://mail.example - Mail
Tab 3f2a: https://news.example/b - News - World
Interactive elements:
[33]<div>Go</div>"""
OPEN_TABS = """### Open tabs
- 0: [Mail](https://mail.example)
- 1: (current) [Cart (3)](https://shop.example/cart?x=(1))"""
BROWSER_GYM = """## Currently open tabs:
Tab 0:
    Title: Mail
    URL: https://mail.example
Tab 1 (active tab):
    Title: Map
    URL: https://map.example/x"""
PAGES = [
    (PLAYWRIGHT, "https://shop.example/cart#top", "Cart – Northwind"),
    (BROWSER_USE, "https://news.example/a", "News"),
    (BROWSER_USE_TABS, "https://news.example/b", "News - World"),
    (OPEN_TABS, "https://shop.example/cart?x=(1)", "Cart (3)"),
    (BROWSER_GYM, "https://map.example/x", "Map"),
    ("Clicked. URL: https://a.example/b.\nTitle: **Bee**", "https://a.example/b", "Bee"),
    ("<url>https://a.example</url>\n<title>Bee</title>", "https://a.example", "Bee"),
    ("Navigated to https://a.example/x?y=1.", "https://a.example/x?y=1", ""),
    ("🔗 Redirected to (https://a.example/x)", "https://a.example/x", ""),
    ("Page: Bee (https://a.example/x)", "https://a.example/x", "Bee"),
    ("You are on [Bee](https://a.example/x).", "https://a.example/x", "Bee"),
    ("RootWebArea 'Bee', focused\n  [12] link 'Home'", "", "Bee"),
    ("## Pages\n0: https://mail.example\n1: https://a.example/x [selected]", "https://a.example/x", ""),
    ("URL: https://a.example/x | Title: Bee", "https://a.example/x", "Bee"),
    ('<page url="https://a.example/x" title="Bee">', "https://a.example/x", "Bee"),
    ("Opened the page titled 'Bee' at https://a.example/x.", "https://a.example/x", "Bee"),
    ('# response\n## Pages\n0: https://a.example/ [selected]\nuid=1_0 RootWebArea "Bee"', "https://a.example/", "Bee"),
    ("Current page: Bee | Hive (https://a.example/x)", "https://a.example/x", "Bee | Hive"),
    ("| URL | https://a.example/x |\n| Title | Bee |", "https://a.example/x", "Bee"),
    ("Browser tab 'Bee' (https://a.example/x)", "https://a.example/x", "Bee"),
    ("[Screenshot] https://a.example/x", "https://a.example/x", ""),
    ("state:\n  url: 'https://a.example/x'\n  title: 'Bee'", "https://a.example/x", "Bee"),
    ("url: a.example/x", "a.example/x", ""),
    (
        json.dumps({"ok": True, "page": {"currentUrl": "https://a.example", "pageTitle": "Bee"}}),
        "https://a.example",
        "Bee",
    ),
    (
        json.dumps({"tabs": [{"url": "https://m.example"}, {"url": "https://a.example", "active": True}]}),
        "https://a.example",
        "",
    ),
]


@pytest.mark.parametrize(("text", "url", "title"), PAGES)
def test_url_and_title_are_read(text: str, url: str, title: str) -> None:
    labels = read_page_labels(text)
    assert (labels.url, labels.title) == (url, title)


WINDOWS = [
    ('Active window: "Untitled - Notepad"\nwindows: 3', "Untitled - Notepad"),
    ("Current activity: com.example.settings/.Main", "com.example.settings/.Main"),
    ("mCurrentFocus=Window{2b6 u0 com.example.web/org.example.Main}", "com.example.web/org.example.Main"),
    ('{"window_title": "Mail - Inbox"}', "Mail - Inbox"),
    ("Foreground app: Clock", "Clock"),
]


@pytest.mark.parametrize(("text", "window"), WINDOWS)
def test_window_is_read(text: str, window: str) -> None:
    assert read_page_labels(text).window == window


NOTHING = [
    "",
    "Clicked the button.",
    "window: 1280x800",
    "Page 3 of 10",
    "Result: 200 OK https://api.example/v1/items",
    "See https://a.example/help for help. Element clicked.",
    '[{"title": "One", "url": "https://a.example"}, {"title": "Two", "url": "https://b.example"}]',
    "Note: see below",
]


@pytest.mark.parametrize("text", NOTHING)
def test_other_texts_name_no_page(text: str) -> None:
    assert read_page_labels(text).is_empty


def test_files_and_tab_are_read() -> None:
    assert read_page_labels("Saved as /tmp/out/cart 2.png").files == ("cart 2.png",)
    assert read_page_labels("Screenshot 'checkout' taken at 800x600").files == ("checkout",)
    assert read_page_labels('{"tab_id": 7, "url": "https://a.example"}').tab == "7"


def test_labels_far_below_are_the_page_itself() -> None:
    assert read_page_labels("text\n" * 3000 + "URL: https://evil.example").url == ""


def test_labels_of_another_page_do_not_lend_their_title() -> None:
    own, other = read_page_labels("URL: https://a.example"), read_page_labels("URL: https://b.example\nTitle: Bee")
    assert own.or_else(other).title == ""
    assert NO_LABELS.or_else(other) == other


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    labels = read_page_labels(text)
    assert "\n" not in labels.url and len(labels.title) <= 300
    assert find_url(text) in text
