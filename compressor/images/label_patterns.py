"""The labels under which texts name a page or window, and the notations around them."""

from __future__ import annotations

import re

URL_LABELS = frozenset(
    (
        *("url", "current url", "page url", "tab url", "uri", "href", "address", "location", "current page", "page"),
        *("webpage", "web page", "site", "start url", "target url", "final url", "link"),
    )
)
TITLE_LABELS = frozenset(("title", "page title", "current title", "document title", "tab title", "page name"))
WINDOW_LABELS = frozenset(
    (
        *("window", "window title", "active window", "focused window", "foreground window", "current window"),
        *("window name", "activity", "current activity", "foreground activity", "top activity", "app", "current app"),
        *("active app", "foreground app", "app name", "application", "active application", "package", "package name"),
        *("frontmost app", "frontmost application", "frontmost window", "focused app", "focused application"),
        *("m current focus", "current focus", "screen name"),
    )
)
TAB_LABELS = frozenset(
    ("tab", "tab id", "current tab", "active tab", "page id", "window id", "window handle", "target id")
)
FILE_LABELS = frozenset(
    (
        *("path", "file", "filename", "file name", "file path", "filepath", "image path", "screenshot path", "image"),
        *("screenshot name", "saved to", "output path", "save path", "image name", "screenshot"),
    )
)
LABEL = re.compile(
    r"^[ \t>*#\-•|]*[<\"'`*]{0,3}(?P<label>[A-Za-z][A-Za-z _\-]{0,30}?)[\"'`*]{0,3}"
    r"\s*(?:[:=：]\s*|>|\|\s*)(?P<value>\S.*)$",
    re.MULTILINE,
)
URL = re.compile(r"(?:https?|file|ftp|chrome|chrome-extension|edge|app|view-source)://[^\s<>\"'`，。]+|about:\w+")
HOST = re.compile(r"(?:localhost|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,12})(?::\d+)?(?:/\S*)?", re.IGNORECASE)
VERB = re.compile(
    r"\b(?:navigat\w+|redirected|went|opened|loaded|visit\w*|browsing|screenshot of|now (?:on|at)|currently (?:on|at))"
    r"\b[^\n]{0,40}?(?P<url>(?:https?|file)://[^\s<>\"'`]+)",
    re.IGNORECASE,
)
URL_INSIDE = re.compile(r"\burl\s*[:=]\s*[\"'`(]?(?P<url>(?:https?|file)://[^\s<>\"'`]+)", re.IGNORECASE)
#: A title in the same line as a URL, after or before it.
TITLE_INSIDE = re.compile(
    r"://\S+[^\n]{0,80}?\btitled?(?:\s*[:=]\s*[\"'“]?|\s+[\"'“])(?P<after>[^\"'”|\n<>]{1,200})"
    r"|\btitled?(?:\s*[:=]\s*[\"'“]?|\s+[\"'“])(?P<before>[^\"'”|,\n<>]{1,200})[^\n]{0,80}?://",
    re.IGNORECASE,
)
ACTIVE_TAB = re.compile(r"^.*(?:\((?:current|active)(?: tab)?\)|\[(?:selected|active|current)\]).*$", re.MULTILINE)
TAB_LINE = re.compile(r"^\W*Tab (?P<tab>\w+):\s*(?P<value>.+)$", re.MULTILINE)
TAB_RECORD = re.compile(r"TabInfo\((?P<fields>.+?)\)(?=[,\]]|$)", re.MULTILINE)
FIELD = re.compile(r"\b(?P<key>page_id|tab_id|url|title)=(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<bare>\w+))")
ROOT = re.compile(r"\b(?:RootWebArea|WebArea|document)\s+(?:\"(?P<double>[^\"\n]+)\"|'(?P<single>[^'\n]+)')")
#: A title before a URL in brackets: a Markdown link, or a quoted title.
LINK = re.compile(
    r"(?:\[(?P<title>[^\]\n]+)\]|[\"'“](?P<quoted>[^\"'”\n]{1,200})[\"'”])\s?"
    r"\((?P<url>(?:https?|file)://(?:[^()\s]|\([^()\s]*\))+)\)"
)
COMPONENT = re.compile(r"[\w.]+/[\w.$]+")  # of an Android activity
FILE = re.compile(
    r"(?<![\w/.-])(?:[\w.~-]*/)*(?P<name>[\w][\w.@ -]{0,80}?\.(?:png|jpe?g|webp|gif|bmp|tiff?|svg|pdf))\b", re.I
)
ENDINGS = (".png", ".jp", ".webp", ".gif", ".bmp", ".tif", ".svg", ".pdf")
ACTIVE_MARKS = ("(current", "(active", "[selected", "[active", "[current")
NAMED_SHOT = re.compile(r"\bscreenshot ['\"](?P<name>[^'\"\n]{1,80})['\"]", re.IGNORECASE)
SIZE = re.compile(r"\W*\d+(?:\s*[x×*,]\s*\d+)?\W*|[{\[].*")
CLOSERS = {")": "(", "]": "[", "}": "{"}
