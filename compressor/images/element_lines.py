"""Reads the lines of an accessibility tree, an element list or a recognised text into elements that can be compared.

Notations differ (`- button "Add" [ref=e12]`, `[12]: <button> "Add";`, `[3]<a href=…>Add</a>`, `uid=1_4 button "Add"`,
`StaticText 'Add'`). What is compared is the role, the name, the value and the state; numbers and refs of elements are
not, because they may change from one frame to the next.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MARKS = re.compile(
    r"\[(?:ref|cursor|level|id|nodeid|box|bid|index|pos|bounds)[=:][^\]]*\]|\[active\]|\[focused\]|\buid=\S+|\bbid=\S+|"
    r"\b(?:ref|backendNodeId|nodeId|bounds|center|cursor|level)=(?:\"[^\"]*\"|'[^']*'|[^\s,\]]+),?|,?\s*\bfocused\b(?:[=:]\s*true)?",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:[-*•|+>]\s+|\*?\[\w{0,4}\d{1,5}\]\s*:?\s*|\d{1,5}[:.]\s+(?=[<\w]))+")
_STATES = ("checked", "disabled", "expanded", "selected", "pressed", "invalid", "hidden", "collapsed", "readonly")
_STATE = re.compile(
    rf"(?:\[|\b)({'|'.join(_STATES)})(?:=(?:\"?(true|false|mixed)\"?))?(?:\]|\b,?)(?=\s|:|$|,)", re.IGNORECASE
)
_NAMED = re.compile(
    r"^<?(?P<role>[A-Za-z][\w-]{0,30})>?(?:\s+(?:type|role)=\S+)?\s*(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)')"
    r"\s*(?:[:,]?\s*(?:value=)?(?P<value>.*))?$"
)
_TAGGED = re.compile(r"^<(?P<role>[A-Za-z][\w-]{0,30})(?P<attributes>[^>]*?)/?\s*>(?P<text>.*?)(?:</[\w-]+>)?$")
_QUOTED = re.compile(r"^\"([^\"]*)\"(?:,\s*\"([^\"]*)\")?$")  # a text, or a text and its label
_ATTRIBUTE = re.compile(r"\b(value|aria-label|placeholder|alt|title|name)=(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_ROLE_TEXT = re.compile(r"^(?P<role>[a-z][a-zA-Z]{1,20}):\s+(?P<text>\S.*)$")
_PLAIN_ROLES = frozenset(
    (
        *(
            "text",
            "statictext",
            "generic",
            "cell",
            "gridcell",
            "paragraph",
            "label",
            "span",
            "div",
            "p",
            "td",
            "strong",
            "em",
        ),
        *(
            "labeltext",
            "none",
            "presentation",
            "inlinetextbox",
            "li",
            "listitem",
            "emphasis",
            "code",
            "time",
            "th",
            "b",
        ),
    )
)
_TEXT_ROLES = _PLAIN_ROLES | {"alert", "status", "heading", "log", "note", "tooltip", "caption", "term", "definition"}
_ITEM_END = re.compile(r";[\t ]+(?=\[\w{0,4}\d{1,5}\])")


_SNAPSHOT = re.compile(r"```ya?ml\n(.*?)(?:```|\Z)", re.DOTALL)
_ELEMENT = re.compile(
    r"^\s*(?:\*?\[\w{0,4}\d{1,5}\]|uid=\S+ |(?:- )?[a-zA-Z]+ (?:\"|')|- [a-z]+:|- /url|\[\d+\] |RootWebArea)",
    re.MULTILINE,
)
_LEAST_ELEMENTS = 3  # lines that make an element list


class PageElement(NamedTuple):
    """One line of an accessibility tree, element list or recognised text.

    Attributes:
        depth: How far the line is indented, in characters.
        role: The role in lower case; "" for plain text.
        name: The name or the text.
        value: The value of a field; "" if it has none.
        states: The states that hold, in order, such as `("checked",)`.
    """

    depth: int
    role: str
    name: str
    value: str
    states: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the element is a text rather than something to act on."""
        return not self.role or self.role in _PLAIN_ROLES


#: What numbers and refs of elements look like -> the regular expression that removes them.
_REFS = (
    ("[ref=", re.compile(r" ?\[ref=[^\]\n]*\]")),
    ("[cursor=", re.compile(r" ?\[cursor=[^\]\n]*\]")),
    ("uid=", re.compile(r"uid=\S+ ?")),
    ("bid=", re.compile(r"\[?bid=[\w'\"]+\]? ?")),
)
_NUMBER = re.compile(r"^([ \t]*)\*?\[\w{0,4}\d{1,5}\]:?", re.MULTILINE)


def find_element_list(text: str) -> str:
    """Returns the accessibility tree or element list in a tool result or message; "" if there is none.

    Args:
        text: The whole text, which may also say what was done, or hold the code that did it.
    """
    if snapshots := _SNAPSHOT.findall(text):
        return str(snapshots[-1]).rstrip("\n")
    listed = "\n".join(split_element_lines(text))
    starts = [found.start() for found in _ELEMENT.finditer(listed)]
    return listed[starts[0] :] if len(starts) >= _LEAST_ELEMENTS else ""


def without_refs(text: str) -> str:
    """Returns a text without the numbers and refs of elements. It has as many lines as before."""
    for mark, pattern in _REFS:
        if mark in text:
            text = pattern.sub("", text)
    return _NUMBER.sub(r"\1", text) if "[" in text else text


def split_element_lines(text: str) -> list[str]:
    """Returns the lines of a text; a list of numbered elements in one line becomes one line each."""
    return (_ITEM_END.sub("\n", text) if ";" in text else text).split("\n")


def read_element(line: str) -> PageElement:
    """Returns what one line says."""
    stripped = line.lstrip()
    depth = len(line) - len(stripped)
    body = _MARKS.sub(" ", _LEADING.sub("", stripped)).strip()
    outside = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", " ", body)
    states = (
        tuple(sorted({s[0].lower() for s in _STATE.findall(outside) if s[1].lower() != "false"}))
        if _is_marked(body)
        else ()
    )
    if states or "=false" in body.lower():
        body = _STATE.sub(" ", body)
    body = re.sub(r"\s+", " ", body).strip().rstrip(";").rstrip()
    if found := _NAMED.match(body):
        name = found["double"] if found["double"] is not None else found["single"]
        value = (found["value"] or "").strip()
        if label := _QUOTED.match(value.lstrip(", ")) if body.startswith("<") else None:
            return PageElement(depth, found["role"].lower(), _fuller(name.strip(), label[1]), "", states)
        return PageElement(depth, found["role"].lower(), name.strip(), _strip(value), states)
    if found := _TAGGED.match(body):
        held = {key: double or single or bare for key, double, single, bare in _ATTRIBUTE.findall(found["attributes"])}
        label = (
            held.get("aria-label")
            or held.get("placeholder")
            or held.get("alt")
            or held.get("title")
            or held.get("name", "")
        )
        text = found["text"].strip().strip('"')
        role = found["role"].lower()
        return PageElement(depth, "link" if role == "a" else role, text or label, held.get("value", ""), states)
    is_item = stripped.startswith("- ")
    if (found := _ROLE_TEXT.match(body)) and (found["role"].lower() in _TEXT_ROLES or (is_item and body[0].islower())):
        return PageElement(depth, found["role"].lower(), _strip(found["text"]), "", states)
    if quoted := _QUOTED.match(body):
        return PageElement(depth, "", _fuller(quoted[1], quoted[2] or ""), "", states)
    bare = body.rstrip(":").strip()
    if bare.isalpha() and bare.islower() and (is_item or (bare in _PLAIN_ROLES and body.endswith(":"))):
        return PageElement(depth, bare.lower(), "", "", states)
    return PageElement(depth, "", _strip(bare if not bare.startswith("/") else body), "", states)


def _fuller(text: str, label: str) -> str:
    """The longer of an element's text and its label if it holds the other, else both."""
    if text in label or label in text:
        return max(text, label, key=len).strip()
    return f"{text} ({label})"


def _is_marked(body: str) -> bool:
    """Returns whether a line is in a notation in which words such as "checked" are states, not text."""
    return '"' in body or "'" in body or "[" in body or body.startswith("<")


def _strip(text: str) -> str:
    text = text.strip().rstrip(":").strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
