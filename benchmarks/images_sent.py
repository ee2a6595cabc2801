"""Reads what a list of messages shows a model: its texts and pictures, by the tool call that they answer.

The reader knows no message format. It finds `data:` URLs and base64 pictures wherever they are, and takes every other
string of a content for text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,([A-Za-z0-9+/=\s]+)")
_HEADS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
_CALL_KEYS = ("tool_call_id", "tool_use_id", "call_id")
_TEXT_KEYS = ("text", "content", "output", "arguments", "input", "title", "context")
_CALL_TYPES = ("function_call", "computer_call", "tool_use")


@dataclass(frozen=True)
class SentPicture:
    """A picture in a context or behind a ref.

    Attributes:
        data: The picture's file.
        digest: The hash of the file.
    """

    data: bytes = field(repr=False)
    digest: str

    @property
    def pixels(self) -> Pixels:
        """Returns the pixels: height, width and 3 bytes of colour."""
        return decode(self.data)

    @property
    def size(self) -> tuple[int, int]:
        """Returns width and height in pixels."""
        height, width, _ = self.pixels.shape
        return width, height


@lru_cache(maxsize=96)
def decode(data: bytes) -> Pixels:
    """Decodes a picture file: height, width and 3 bytes of colour."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@dataclass
class Sent:
    """What some messages show.

    Attributes:
        texts: Their texts in order.
        pictures: Their pictures in order.
        calls: Texts and pictures by the id of the call whose result they are or follow.
    """

    texts: list[str] = field(default_factory=list)
    pictures: list[SentPicture] = field(default_factory=list)
    calls: dict[str, Sent] = field(default_factory=dict)

    def add_text(self, text: str, call: str = "") -> None:
        """Adds a text; pictures inside of it are added as pictures."""
        for found in _DATA_URL.finditer(text) if "base64," in text else ():
            self.add_picture(found[1], call)
        text = _DATA_URL.sub("", text) if "base64," in text else text
        for part in (self, self.calls.setdefault(call, Sent())) if call else (self,):
            part.texts.append(text)

    def add_picture(self, text: str, call: str = "") -> None:
        """Adds a picture from its base64 text; other text is passed over."""
        picture = _picture(text)
        if picture is not None:
            for part in (self, self.calls.setdefault(call, Sent())) if call else (self,):
                part.pictures.append(picture)


@lru_cache(maxsize=512)
def _picture(text: str) -> SentPicture | None:
    try:
        data = base64.b64decode(text)
    except (ValueError, binascii.Error):
        return None
    return SentPicture(data, hashlib.sha256(data).hexdigest()[:16])


def read_messages(messages: Sequence[Any]) -> Sent:
    """Reads messages of any format. A user's message right after a tool's result belongs to its call."""
    sent = Sent()
    call = ""
    for message in messages:
        kind = message.get("type")
        if kind in _CALL_TYPES or message.get("role") == "assistant":
            call = ""
        elif own := next((message[key] for key in _CALL_KEYS if message.get(key)), ""):
            call = own
        _read(message, sent, call)
        if message.get("role") == "user":  # only the first message after a result belongs to it
            call = ""
    return sent


def read_expanded(text: str) -> Sent:
    """Reads what a ref expands to: JSON with texts and pictures, or a text."""
    sent = Sent()
    try:
        value = json.loads(text)
    except ValueError:
        sent.add_text(text)
        return sent
    if isinstance(value, (dict, list)):
        for item in value if isinstance(value, list) else [value]:
            _read(item, sent, "")
    else:
        sent.add_text(text)
    return sent


def _read(value: Any, sent: Sent, call: str, key: str = "content") -> None:
    if isinstance(value, str):
        if value.startswith("data:image/"):
            sent.add_picture(value.partition(",")[2], call)
        elif value.startswith(_HEADS) and len(value) > 60:
            sent.add_picture(value, call)
        elif key in _TEXT_KEYS:
            sent.add_text(value, call)
    elif isinstance(value, dict):
        inner = value.get("tool_use_id") or call
        for name, item in value.items():
            _read(item, sent, inner, name)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _read(item, sent, call, key)


def words_of(texts: Sequence[str]) -> Iterator[str]:
    """Yields the words of texts, in lower case, letters and digits only."""
    for text in texts:
        for word in text.lower().split():
            if plain := re.sub(r"[^\w]", "", word):
                yield plain
