"""Builds the tree of an XML text from its tags: an element without elements inside is one node, text included.

Not for HTML pages, and not strict: a tag that is never closed ends with its parent.
"""

from __future__ import annotations

import re

from compressor.text.segmenters.record_tree import RecordTree

MIN_ELEMENTS = 3
MAX_HTML = 0.5  # fraction of elements with names of HTML from which a text is a page

_TAG = re.compile(
    r"<(?:!--[\s\S]*?(?:-->|\Z)|!\[CDATA\[[\s\S]*?(?:\]\]>|\Z)|[!?][^>]*(?:>|\Z)"
    r"|(?P<close>/)?(?P<name>[A-Za-z_][\w:.-]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?)(?P<empty>/)?>)"
)
_HTML = frozenset(
    "html head body div span p a b i em strong img br hr ul ol li table tr td th tbody thead h1 h2 h3 h4 h5 h6 script "
    "style nav footer header section article form input button label select option meta svg pre code blockquote dl dt "
    "dd small sup sub details summary picture".split()
)
_ATTRIBUTE = re.compile(r"[\w:.-]+\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_NAMING = re.compile(r"(?:^|\s)(?:name|id|key|title|path|file|classname)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)


def tree_of_elements(text: str) -> RecordTree | None:
    """Builds the tree of an XML text, or returns None if the text is no XML or an HTML page."""
    body = text.lstrip("\ufeff \t\r\n")
    if not body.startswith("<") or not text.rstrip().endswith(">"):
        return None
    tags = [m for m in _TAG.finditer(text) if m.group("name")]
    opened = [m.group("name").rpartition(":")[2].lower() for m in tags if not m.group("close")]
    if len(opened) < MIN_ELEMENTS or sum(name in _HTML for name in opened) > MAX_HTML * len(opened):
        return None
    first = tags[0].start()
    if re.sub(r"<(?:!--[\s\S]*?-->|[!?][^>]*>)|[\ufeff\s]", "", text[:first]):
        return None
    tree = RecordTree()
    open_nodes: list[tuple[str, int]] = []
    start = 0  # where the next node begins: what stands before it belongs to it
    leaf_end = -1
    for at, m in enumerate(tags):
        name = m.group("name")
        if m.group("close"):
            if not any(name == n for n, _ in open_nodes):
                continue
            while open_nodes[-1][0] != name:
                open_nodes.pop()
            opener = open_nodes.pop()[1]
            if leaf_end == m.end():  # the end of an element without elements inside
                start = _after(text, m.end())
                continue
            begin = _line_start(text, m.start(), start)
            tree.add(begin, opener, "close", "", "", False, False, opener)
            start = _after(text, m.end())
            continue
        parent = open_nodes[-1][1] if open_nodes else -1
        attributes = m.group("attributes") or ""
        begin = _line_start(text, m.start(), start) if tree.starts else 0
        if m.group("empty"):
            tree.add(begin, parent, "field", name, attributes.strip())
            start = _after(text, m.end())
            continue
        following = tags[at + 1] if at + 1 < len(tags) else None
        if following is not None and following.group("close") and following.group("name") == name:
            value = text[m.end() : following.start()].strip()
            tree.add(begin, parent, "field", name, value or attributes.strip())
            leaf_end = following.end()
            open_nodes.append((name, len(tree.starts) - 1))
            continue
        named = _NAMING.search(attributes)
        value = (named.group(1) or named.group(2) or "") if named else attributes.strip()
        open_nodes.append((name, tree.add(begin, parent, "open", name, value)))
        start = _after(text, m.end())
    return tree


def _after(text: str, at: int) -> int:
    """Where the next node may begin: after the white space up to the end of the line."""
    while at < len(text) and text[at] in " \t\r":
        at += 1
    return at + 1 if at < len(text) and text[at] == "\n" else at


def _line_start(text: str, at: int, least: int) -> int:
    """The start of the line if only white space stands before the tag, else the tag."""
    begin = text.rfind("\n", least, at) + 1 if "\n" in text[least:at] else least
    return begin if not text[begin:at].strip() else at
