"""Records the browsing runs anew: `python -m benchmarks.images_record [--folder FOLDER]`.

Drives the pages of `images_pages` in headless Chromium. No server and no network: the browser's requests are answered
from files. The pages are generated from seeds, so a new recording has the same content; its pixels depend on the
browser and the fonts of the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.images_run import FOLDER, Box, BrowsingRun, Click, Step, Target, dump_runs

PAGES = Path(__file__).parent / "images_pages"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--font-render-hinting=none", "--disable-lcd-text"]

#: Returns the page's visible text nodes and field values, each with its box in the window.
_TEXTS = """() => {
  const found = [];
  const seen = (element, r) => {
    const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
    if (r.width < 2 || r.x < 0 || r.y < 0 || r.right > innerWidth || r.bottom > innerHeight) return false;
    const top = document.elementFromPoint(x, y);
    return top && (top === element || element.contains(top) || top.contains(element) && !top.closest("dialog"));
  };
  const add = (text, r) =>
    found.push([text, Math.floor(r.x), Math.floor(r.y), Math.ceil(r.width), Math.ceil(r.height)]);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.nodeValue.replace(/\\s+/g, " ").trim();
    if (!text || !node.parentElement.checkVisibility() || node.parentElement.tagName === "SCRIPT") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const r = range.getBoundingClientRect();
    if (seen(node.parentElement, r)) add(text, r);
  }
  for (const field of document.querySelectorAll("input, textarea")) {
    const r = field.getBoundingClientRect();
    if (field.value && field.type !== "checkbox" && seen(field, r)) add(field.value, r);
  }
  return found;
}"""

#: Returns what can be clicked in the window.
_CLICKS = """() => {
  const kinds = "a, button, input, select, textarea, th, [role=button]";
  return [...document.querySelectorAll(kinds)].map((e) => {
    const r = e.getBoundingClientRect();
    const name = (e.ariaLabel || e.labels?.[0]?.innerText || e.innerText || e.id).replace(/\\s+/g, " ").trim();
    const inside = r.width > 3 && r.x >= 0 && r.y >= 0 && r.right <= innerWidth && r.bottom <= innerHeight;
    const top = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
    const works = name && inside && !e.disabled && top?.closest(kinds) === e;
    return works && [name.slice(0, 60), Math.floor(r.x), Math.floor(r.y), Math.ceil(r.width), Math.ceil(r.height)];
  }).filter(Boolean);
}"""


def _answer(route: Any) -> None:
    """Answers a request from the files: scripts and styles by name, everything else with the site's only page."""
    url = urlsplit(route.request.url)
    name = url.path.lstrip("/")
    site = PAGES if name.startswith("common/") else PAGES / (url.hostname or "").partition(".")[0]
    path = site / name
    route.fulfill(path=path if path.suffix in (".js", ".css") else site / "index.html")


class Recorder:
    """Drives one browser context and writes down every step.

    Args:
        browser: The browser.
        name: The run's name.
        task: What the user asked.
        acts: "element" or "pixel".
        has_snapshots: Whether results hold the accessibility tree.
        size: Width and height of the window in pixels.
        folder: Where the pictures go.
    """

    def __init__(
        self,
        browser: Any,
        name: str,
        task: str,
        acts: str = "element",
        has_snapshots: bool = False,
        size: tuple[int, int] = (1280, 800),
        folder: Path = FOLDER,
    ) -> None:
        self.name, self.task, self.acts, self.has_snapshots, self.size = name, task, acts, has_snapshots, size
        self._folder = folder
        self._context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self._context.route("**/*", _answer)
        self._tabs = [self._context.new_page()]
        self._window = 0
        self._steps: list[Step] = []
        self._asked: list[tuple[str, str]] = []
        self._texts: list[list[tuple[str, Box]]] = []

    @property
    def page(self) -> Any:
        return self._tabs[self._window]

    def go(self, words: str, url: str) -> None:
        """Opens an address."""
        self.page.goto(url)
        self._write(words, "browser_navigate", {"url": url}, {"action": "goto", "text": url})

    def open(self, words: str, url: str) -> None:
        """Opens an address in a new tab."""
        self._tabs.append(self._context.new_page())
        self._window = len(self._tabs) - 1
        self.page.goto(url)
        self._write(words, "browser_tabs", {"action": "new", "url": url}, {"action": "new_tab", "text": url})

    def tab(self, words: str, index: int) -> None:
        """Turns to another tab."""
        self._window = index
        self.page.bring_to_front()
        self._write(words, "browser_tabs", {"action": "select", "index": index}, {"action": "key", "text": "ctrl+Tab"})

    def back(self, words: str) -> None:
        """Goes back to the page before."""
        self.page.go_back()
        self._write(words, "browser_navigate_back", {}, {"action": "key", "text": "alt+Left"})

    def look(self, words: str) -> None:
        """Takes a screenshot of the page as it is."""
        self._write(words, "browser_take_screenshot", {}, {"action": "screenshot"})

    def click(self, words: str, selector: str) -> None:
        """Clicks an element."""
        name, (x, y), ref = self._locate(selector)
        self.page.locator(selector).first.click()
        call = {"element": name, "ref": ref}
        self._write(words, "browser_click", call, {"action": "left_click", "coordinate": [x, y]})

    def type(self, words: str, selector: str, text: str, submit: bool = False) -> None:
        """Writes into a field, with its caret in it."""
        name, _, ref = self._locate(selector)
        field = self.page.locator(selector).first
        field.click()
        field.fill(text)
        if submit:
            field.press("Enter")
            self.page.wait_for_load_state()
        call = {"element": name, "ref": ref, "text": text, "submit": submit}
        self._write(words, "browser_type", call, {"action": "type", "text": text + ("\n" if submit else "")})

    def scroll(self, words: str, pixels: int) -> None:
        """Scrolls the window."""
        self.page.evaluate("by => window.scrollBy({top: by, behavior: 'instant'})", pixels)
        middle = [self.size[0] // 2, self.size[1] // 2]
        call = {"action": "scroll", "coordinate": middle, "scroll_direction": "down" if pixels > 0 else "up"}
        amount = {"scroll_amount": max(1, abs(pixels) // 100)}
        self._write(words, "browser_mouse_wheel", {"deltaX": 0, "deltaY": pixels}, {**call, **amount})

    def wait(self, words: str, turn: int | None = None) -> None:
        """Waits: the spinner turns to `turn` degrees; None: the page has loaded."""
        if turn is None:
            self.page.evaluate("() => window.finish()")
        else:
            self.page.evaluate("turn => document.body.style.setProperty('--turn', `${turn}deg`)", turn)
        self._write(words, "browser_wait_for", {"time": 2}, {"action": "wait", "duration": 2})

    def ask(self, question: str, selector: str) -> None:
        """Adds a question whose answer is an element's text or value on the page as it is now."""
        place = self.page.locator(selector).first
        is_field = place.evaluate("e => 'value' in e && e.tagName !== 'BUTTON'")
        text = place.input_value() if is_field else place.inner_text()
        self._asked.append((question, " ".join(text.split())))

    def finish(self, next_click: str) -> BrowsingRun:
        """Returns the run, whose agent is about to click `next_click` on the last picture."""
        box = self._box(next_click)
        clicks = [Click(name, (x, y, w, h), (x, y) == box[:2]) for name, x, y, w, h in self.page.evaluate(_CLICKS)]
        assert sum(click.is_next for click in clicks) == 1, f"{self.name}: {next_click} is not on the last picture"
        targets = tuple(Target(question, text, self._places(text)) for question, text in self._asked)
        for target in targets:
            assert target.places, f"{self.name}: no picture shows {target.text!r}"
        self._context.close()
        own = (self.name, self.task, self.acts, self.has_snapshots, self.size)
        return BrowsingRun(*own, tuple(self._steps), targets, tuple(clicks), self._folder)

    def _places(self, text: str) -> tuple[tuple[int, Box], ...]:
        exact = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
        return tuple(
            (step, box) for step, texts in enumerate(self._texts) for shown, box in texts if exact.search(shown)
        )

    def _box(self, selector: str) -> Box:
        r = self.page.locator(selector).first.evaluate(
            "e => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; }"
        )
        return int(r[0]), int(r[1]), int(r[2]), int(r[3])

    def _locate(self, selector: str) -> tuple[str, tuple[int, int], str]:
        """Returns an element's name, its middle after scrolling it into the window, and a short key."""
        place = self.page.locator(selector).first
        place.scroll_into_view_if_needed()
        name = place.evaluate("e => (e.ariaLabel || e.labels?.[0]?.innerText || e.innerText || e.id).trim()")
        left, top, width, height = self._box(selector)
        key = f"e{int(hashlib.sha256(selector.encode()).hexdigest()[:4], 16) % 300}"
        return " ".join(name.split())[:60], (left + width // 2, top + height // 2), key

    def _write(self, words: str, tool: str, arguments: dict[str, Any], action: dict[str, Any]) -> None:
        self.page.mouse.move(2, self.size[1] - 2)
        picture = self.page.screenshot(caret="initial", animations="allow")
        texts = [(text, (x, y, w, h)) for text, x, y, w, h in self.page.evaluate(_TEXTS)]
        self._texts.append(texts)
        url, title = self.page.url, self.page.title()
        result = f"### Page\n- Page URL: {url}\n- Page Title: {title}"
        if self.has_snapshots:
            result += f"\n### Snapshot\n```yaml\n{self.page.aria_snapshot(mode='ai')}\n```"
        if self.acts == "pixel":
            tool, arguments, result = "computer", action, ""
        frame, shown = _save(picture, self._folder), "\n".join(text for text, _ in texts)
        self._steps.append(Step(words, tool, arguments, result, frame, self._window, url, title, shown))


def _save(picture: bytes, folder: Path) -> str:
    """Writes a picture under the hash of its pixels and returns the file's name."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        pixels = opened.convert("RGB")
    name = f"{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}.webp"
    if not (folder / name).exists():
        pixels.save(folder / name, "WEBP", lossless=True, quality=100, method=6)
    return name


@contextmanager
def chromium() -> Iterator[Any]:
    """Starts the browser that is installed on the machine."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def record(scripts: Sequence[Callable[[Any, Path], BrowsingRun]], folder: Path) -> list[BrowsingRun]:
    """Records runs into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.webp"):
        old.unlink()
    with chromium() as browser:
        runs = [script(browser, folder) for script in scripts]
    dump_runs(runs, folder)
    return runs


def main() -> None:
    """Records all runs."""
    from benchmarks.images_scripts import SCRIPTS

    parser = argparse.ArgumentParser(prog="python -m benchmarks.images_record", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the recording goes")
    folder = parser.parse_args().folder
    for run in record(SCRIPTS, folder):
        distinct = len({step.frame for step in run.steps})
        print(f"{run.name}: {len(run.steps)} pictures, {distinct} distinct, {len(run.targets)} targets")
    print(f"{sum(path.stat().st_size for path in folder.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
