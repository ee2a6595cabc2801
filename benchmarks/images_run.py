"""Holds recorded browsing runs: what an agent said, did and saw, and what it can be asked about what it saw.

The pictures are stored as lossless WebP, because that is half of PNG's size. `png_bytes` gives the PNG file that a
browser would have sent: equal pixels give equal bytes.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "images_recording"
RUNS_FILE = "runs.json"

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Step:
    """One call of a browser tool.

    Attributes:
        words: What the agent said before the call.
        tool: The tool's name.
        arguments: The call's arguments.
        result: The text of the result; "" if the result is the picture alone.
        frame: The name of the picture that the result shows.
        window: Index of the tab.
        url: Where the tab was afterwards.
        title: The page's title.
        text: What the picture shows, by the page's own text nodes, one a line; "" if it is not known.
    """

    words: str
    tool: str
    arguments: dict[str, Any]
    result: str
    frame: str
    window: int
    url: str
    title: str
    text: str = ""

    @property
    def page(self) -> tuple[int, str]:
        """Returns the tab and the address without its fragment."""
        return self.window, self.url.partition("#")[0]


@dataclass(frozen=True)
class Target:
    """Something that the run showed and that is asked at its end.

    Attributes:
        question: The question.
        text: The answer, as it stands in a picture.
        places: Steps whose picture shows it, with its box there: left, top, width and height in pixels.
    """

    question: str
    text: str
    places: tuple[tuple[int, Box], ...]


@dataclass(frozen=True)
class Click:
    """An element that the agent may click on the run's last picture.

    Attributes:
        name: What the element says.
        box: Left, top, width and height in pixels.
        is_next: Whether the agent's next call clicks it.
    """

    name: str
    box: Box
    is_next: bool = False


@dataclass(frozen=True)
class BrowsingRun:
    """A recorded run.

    Attributes:
        name: Its name.
        task: What the user asked.
        acts: How the agent names what it clicks: "element" or "pixel".
        has_snapshots: Whether results hold the page's accessibility tree.
        size: Width and height of all pictures in pixels.
        steps: The calls in order.
        targets: What is asked at the end.
        clicks: What can be clicked on the last picture.
        folder: Where the pictures are.
    """

    name: str
    task: str
    acts: str
    has_snapshots: bool
    size: tuple[int, int]
    steps: tuple[Step, ...]
    targets: tuple[Target, ...]
    clicks: tuple[Click, ...]
    folder: Path = field(default=FOLDER, compare=False)

    def png(self, step: int) -> bytes:
        """Returns the picture after a step as a PNG file."""
        return png_bytes(self.folder / self.steps[step].frame)


def png_bytes(path: Path) -> bytes:
    """Returns a picture file as PNG bytes; a PNG file as it is."""
    return path.read_bytes() if path.suffix == ".png" else _converted(path)


@lru_cache(maxsize=512)
def _converted(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as picture:
        out = io.BytesIO()
        picture.convert("RGB").save(out, "PNG", compress_level=6)
    return out.getvalue()


def load_runs(folder: Path = FOLDER) -> list[BrowsingRun]:
    """Reads the recorded runs."""
    return [_parse(entry, folder) for entry in json.loads((folder / RUNS_FILE).read_text(encoding="utf-8"))]


def dump_runs(runs: list[BrowsingRun], folder: Path) -> None:
    """Writes the runs without their pictures."""
    entries = [{key: value for key, value in asdict(run).items() if key != "folder"} for run in runs]
    (folder / RUNS_FILE).write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _parse(entry: dict[str, Any], folder: Path) -> BrowsingRun:
    targets = tuple(
        Target(t["question"], t["text"], tuple((step, _box(box)) for step, box in t["places"]))
        for t in entry["targets"]
    )
    clicks = tuple(Click(c["name"], _box(c["box"]), c["is_next"]) for c in entry["clicks"])
    width, height = entry["size"]
    parts = {"size": (width, height), "targets": targets, "clicks": clicks}
    return BrowsingRun(**{**entry, **parts, "steps": tuple(Step(**step) for step in entry["steps"])}, folder=folder)


def _box(values: list[int]) -> Box:
    left, top, width, height = values
    return left, top, width, height
