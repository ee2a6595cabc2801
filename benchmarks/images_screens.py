"""Reads the recorded web runs in `screens`: the agent's messages, and a PNG file for each observation.

Their targets are the words of the agent's last message that OCR finds in one of the last pictures, without those that
the task has.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.images_legible import plain
from benchmarks.images_run import Box, BrowsingRun, Step, Target
from benchmarks.images_sent import decode

FOLDER = "screens"
QUESTION = "What is the answer to the task?"  # it must not say the words that are looked for
MAX_TARGETS = 12  # of a run
_WORD = re.compile(r"\w(?:[\w.,$%-]*\w)?")
_SKIPPED = frozenset(("this", "that", "these", "based", "answer", "action", "thought", "additionally"))
_MIN_CONFIDENCE = 60.0
_LAST = 4  # pictures in which the words are looked for
_ENLARGED = 2  # times before OCR: the pages have small text


def screen_runs(root: Path, limit: int | None) -> list[BrowsingRun]:
    """Returns the recorded runs; none if the data is not there."""
    folders = sorted(path for path in (root / FOLDER).glob("task*") if path.is_dir())
    return [_read(folder) for folder in folders[:limit]]


def _read(folder: Path) -> BrowsingRun:
    messages = json.loads((folder / "interact_messages.json").read_text(encoding="utf-8"))
    observed = [_text(message) for message in messages if message["role"] == "user"]
    said = [_text(message) for message in messages if message["role"] == "assistant"]
    task, _, first = observed[0].partition("Observation")
    steps = tuple(
        Step(
            said[i - 1] if i else "I open the page.",
            "browser",
            {"action": _action(said[i - 1]) if i else "open"},
            f"Observation{first}" if i == 0 else text,
            f"screenshot{i + 1}.png",
            0,
            "",  # the recording has no addresses
            "",
        )
        for i, text in enumerate(observed)
    )
    height, width, _ = decode((folder / steps[0].frame).read_bytes()).shape
    run = BrowsingRun(folder.name, task.strip(), "element", False, (width, height), steps, (), (), folder)
    targets = _targets(run, said[-1])
    return BrowsingRun(folder.name, run.task, run.acts, False, run.size, steps, targets, (), folder)


def _targets(run: BrowsingRun, answer: str) -> tuple[Target, ...]:
    known = {plain(word) for word in _WORD.findall(run.task)}
    words = [word for word in dict.fromkeys(_WORD.findall(answer)) if _is_specific(word) and plain(word) not in known]
    last = range(max(0, len(run.steps) - _LAST), len(run.steps))
    boxes = {i: _word_boxes(run.png(i)) for i in last}
    found = []
    for word in words:
        places = tuple((i, box) for i in last for box in boxes[i].get(plain(word), ()))
        if places:
            found.append(Target(QUESTION, word, places))
    return tuple(found[:MAX_TARGETS])


def _is_specific(word: str) -> bool:
    """Returns whether a word is a number or a name."""
    is_name = len(word) > 3 and word[0].isupper() and word.lower() not in _SKIPPED
    return is_name or (len(word) > 1 and any(map(str.isdigit, word)))


def _word_boxes(data: bytes) -> dict[str, list[Box]]:
    """Returns the words that OCR reads in a picture with their boxes."""
    import pytesseract
    from PIL import Image

    picture = Image.fromarray(decode(data)).convert("L")
    picture = picture.resize((picture.width * _ENLARGED, picture.height * _ENLARGED), Image.Resampling.LANCZOS)
    read = pytesseract.image_to_data(picture, config="--psm 11", output_type=pytesseract.Output.DICT)
    found: dict[str, list[Box]] = {}
    for i, text in enumerate(read["text"]):
        if plain(text) and float(read["conf"][i]) >= _MIN_CONFIDENCE:
            left, top, width, height = (int(read[key][i]) for key in ("left", "top", "width", "height"))
            box = left // _ENLARGED, top // _ENLARGED, width // _ENLARGED + 1, height // _ENLARGED + 1
            found.setdefault(plain(text), []).append(box)
    return found


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _action(said: str) -> str:
    return said.rpartition("Action:")[2].strip()
