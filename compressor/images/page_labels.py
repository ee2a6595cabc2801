"""Reads what a text says about the page or window that a screenshot shows: its URL, title, window, tab and file names.

Every agent framework writes this in its own notation. What they have in common is a labelled value in the first lines
("- Page URL: …", "Current url: …", `"url": "…"`, `<url>…</url>`), a list of tabs with one marked as the current one, or
a sentence such as "Navigated to …".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from compressor.caches import TextMemo
from compressor.images.label_patterns import (
    ACTIVE_MARKS,
    ACTIVE_TAB,
    CLOSERS,
    COMPONENT,
    ENDINGS,
    FIELD,
    FILE,
    FILE_LABELS,
    HOST,
    LABEL,
    LINK,
    NAMED_SHOT,
    ROOT,
    SIZE,
    TAB_LABELS,
    TAB_LINE,
    TAB_RECORD,
    TITLE_INSIDE,
    TITLE_LABELS,
    URL,
    URL_INSIDE,
    URL_LABELS,
    VERB,
    WINDOW_LABELS,
)

#: Labels stand at the start of a text. What follows is the page itself, which could say anything.
MAX_HEAD_CHARS = 8_000
MAX_JSON_CHARS = 100_000
_MAX_VALUE_CHARS = 2_000
_MAX_DEPTH = 4
_MAX_AROUND_URL = 60  # characters beside a URL in a text that says nothing else


class PageLabels(NamedTuple):
    """What a text says about a page or window; "" for what it does not say.

    Attributes:
        url: The URL as written.
        title: The page's title.
        window: The title of a desktop window, or an app or activity of a phone.
        tab: The id of a browser tab or window handle.
        files: Names of image files.
    """

    url: str = ""
    title: str = ""
    window: str = ""
    tab: str = ""
    files: tuple[str, ...] = ()

    def or_else(self, other: PageLabels) -> PageLabels:
        """Returns these labels, with those of another text of the same page where these are missing."""
        same = not self.url or not other.url or self.url == other.url
        return PageLabels(
            self.url or other.url,
            self.title or (other.title if same else ""),
            self.window or other.window,
            self.tab or other.tab,
            tuple(dict.fromkeys((*self.files, *other.files))),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing says which page or window it is."""
        return not (self.url or self.title or self.window)


NO_LABELS = PageLabels()


def read_page_labels(text: str) -> PageLabels:
    """Returns what a text says about the page or window that it describes.

    Args:
        text: A tool result, a message beside a picture, or the arguments of a call.
    """
    start = text[:200].lstrip()[:1]
    return _LABELS[text if start in ("{", "[") and len(text) <= MAX_JSON_CHARS else text[:MAX_HEAD_CHARS]]


def _read_labels(text: str) -> PageLabels:
    value = _load_json(text)
    if value is not None:
        return read_page_values(value)
    head = text[:MAX_HEAD_CHARS]
    folded = head.lower()
    active = ACTIVE_TAB.search(head) if any(mark in folded for mark in ACTIVE_MARKS) else None
    labels = _read_tab_list(head, active) if active or "tab" in folded else NO_LABELS
    if active:
        labels = labels.or_else(_read_lines(head[active.start() :]))
    labels = labels.or_else(_read_lines(head)) if active else _read_lines(head).or_else(labels)
    if not labels.title and ("webarea" in folded or "document" in folded) and (found := ROOT.search(head)):
        labels = labels._replace(title=_clean(found["double"] or found["single"]))
    if not labels.url and "://" in head:
        if said := VERB.search(head) or URL_INSIDE.search(head):
            labels = labels._replace(url=_trim_url(said["url"]))
        elif head.count("\n") < 6 and len(links := list(LINK.finditer(head[:1000]))) == 1:
            labels = labels._replace(url=links[0]["url"], title=labels.title or _link_title(links[0]))
        elif "screenshot" in folded and len(head) - len(url := find_url(head)) < _MAX_AROUND_URL:
            labels = labels._replace(url=url)
    if labels.url and not labels.title and "title" in folded and (found := TITLE_INSIDE.search(head[:2000])):
        labels = labels._replace(title=_clean(found["after"] or found["before"]).rstrip(")].,;"))
    return labels._replace(files=tuple(dict.fromkeys((*labels.files, *_file_names(head)))))


_LABELS = TextMemo(_read_labels, max_bytes=4 << 20)


def read_page_values(value: Any) -> PageLabels:
    """Returns what a JSON value says about a page or window, under keys such as `url`, `title` and `tab_id`."""
    labels = NO_LABELS
    for key, text in _leaves(value, 0):
        labels = _add(labels, _normalise_label(key), text)
    return labels


def file_name(path: str) -> str:
    """Returns the last component of a path."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def find_url(text: str) -> str:
    """Returns the first URL in a text, or ""."""
    found = URL.search(text)
    return _trim_url(found[0]) if found else ""


def _load_json(text: str) -> Any:
    start = text[:1] if text[:1] in "{[" else text[:200].lstrip()[:1]
    if start not in ("{", "[") or len(text) > MAX_JSON_CHARS:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _leaves(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Yields keys with texts and numbers: first those of an object itself, then those of the objects inside."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        inner = []
        for key, held in value.items():
            if isinstance(held, str) and len(held) <= _MAX_VALUE_CHARS:
                yield str(key), held
            elif isinstance(held, int) and not isinstance(held, bool):
                yield str(key), str(held)
            elif isinstance(held, (Mapping, list, tuple)):
                inner.append(held)
        for held in inner:
            yield from _leaves(held, depth + 1)
    elif isinstance(value, (list, tuple)):
        chosen = [item for item in value if isinstance(item, Mapping) and _is_active(item)]
        for item in chosen or (value if len(value) == 1 else ()):
            yield from _leaves(item, depth + 1)


def _is_active(item: Mapping[Any, Any]) -> bool:
    return any(item.get(key) is True for key in ("active", "current", "selected", "focused", "is_active", "isActive"))


def _read_lines(head: str) -> PageLabels:
    labels = NO_LABELS
    for found in LABEL.finditer(head):
        labels = _add(labels, _normalise_label(found["label"]), found["value"])
    return labels


def _read_tab_list(head: str, active: re.Match[str] | None) -> PageLabels:
    """Reads the current one of the tabs that are listed in one line each."""
    if active and (url := find_url(active[0])):
        link = LINK.search(active[0])
        return PageLabels(link["url"] if link else url, _link_title(link) if link else "")
    current = re.search(r"^\W*Current tab:\s*(\w+)", head, re.MULTILINE)
    for found in TAB_LINE.finditer(head):
        if current and found["tab"] == current[1] and (url := find_url(found["value"])):
            title = found["value"].replace(url, "", 1).strip(" -–—|")
            return PageLabels(url, _clean(title), tab=current[1])
    records = [
        {field["key"]: field["single"] or field["double"] or field["bare"] or "" for field in FIELD.finditer(record)}
        for record in (found["fields"] for found in TAB_RECORD.finditer(head))
    ]
    if records:
        shown = re.search(r"^\W*Current url:\s*(\S+)", head, re.MULTILINE | re.IGNORECASE)
        same = [record for record in records if shown and record.get("url") == shown[1]]
        record = (same or (records if not shown else [{}]))[0]
        return PageLabels(
            record.get("url", ""), _clean(record.get("title", "")), tab=record.get("page_id", record.get("tab_id", ""))
        )
    return NO_LABELS


def _link_title(link: re.Match[str]) -> str:
    return _clean(link["title"] or link["quoted"])


def _add(labels: PageLabels, label: str, value: str) -> PageLabels:
    """Adds one labelled value; the first of a kind stays."""
    if label in URL_LABELS:
        url = find_url(value) or (_clean(value) if "url" in label and HOST.fullmatch(_clean(value)) else "")
        if url and not labels.url:
            rest = _clean(value.replace(url, "", 1).replace("()", "")).strip(" -–—|")
            rest = (
                rest if any(map(str.isalnum, rest)) and label in ("page", "current page") and not labels.title else ""
            )
            return labels._replace(url=url, title=labels.title or rest)
        if not url and label == "page" and not labels.title and not value.strip().isdigit():
            return labels._replace(title=_clean(value))
        return labels
    if label in TITLE_LABELS:
        return labels if labels.title else labels._replace(title=_clean(value))
    if label in WINDOW_LABELS and not SIZE.fullmatch(value.strip()):
        component = COMPONENT.search(value) if "focus" in label or "activity" in label else None
        return labels if labels.window else labels._replace(window=component[0] if component else _clean(value))
    if label in TAB_LABELS:
        tab = _clean(value)
        return labels if labels.tab or not re.fullmatch(r"[\w-]{1,64}", tab) else labels._replace(tab=tab)
    if label in FILE_LABELS and (names := list(_file_names(value))):
        return labels._replace(files=tuple(dict.fromkeys((*labels.files, *names))))
    return labels


def _normalise_label(label: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label) if not label.isupper() else label
    return re.sub(r"[\s_\-]+", " ", spaced).strip().lower()


def _file_names(text: str) -> Iterator[str]:
    folded = text.lower()
    if any(ending in folded for ending in ENDINGS):
        for found in FILE.finditer(text):
            yield found["name"].strip()
    if "screenshot" in folded:
        for found in NAMED_SHOT.finditer(text):
            yield found["name"].strip()


def _clean(value: str) -> str:
    """Strips the notation around a value: quotes, bold marks, commas, closing tags."""
    value = re.sub(r"</[\w-]+>\s*$", "", value.strip()).strip().rstrip(",").strip()
    value = value.strip("*`|").strip()
    if len(value) >= 2 and value[0] in "\"'“" and value[-1] in "\"'”":
        value = value[1:-1]
    if value.startswith("(") and value.endswith(")"):
        value = value[1:-1]
    return value.strip()[:300]


def _trim_url(url: str) -> str:
    """Cuts off what follows a URL in a sentence: punctuation, and a bracket that was opened before it."""
    while url and (url[-1] in ".,;:!?*" or (url[-1] in CLOSERS and url.count(CLOSERS[url[-1]]) < url.count(url[-1]))):
        url = url[:-1]
    return url
