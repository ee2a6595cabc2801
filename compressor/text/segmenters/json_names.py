"""Tells which members of JSON objects name them, and which are a key and its value."""

from __future__ import annotations

import re

from compressor.text.segmenters.json_nodes import Group, Leaf, Node

MAX_NAME_CHARS = 80
_NAME = re.compile(r'"?(?:[^"]*[._ -])?(?:\w*name|title|label|subject|login)"?', re.I)  # of a column of names
_ITEM_NAME = re.compile(r"(?:\w*[._ -])?(?:\w*name|\w*id|key|title|label|number|path|url|sha|arn)", re.I)
_KEY = re.compile(r'"?(?:key|k|name|field|property|attribute|label|header|variable|metric|option)"?', re.I)
_VALUE = re.compile(r'"?(?:value|val|v)"?', re.I)


def first_name(item: Node) -> Leaf | None:
    """Returns the first member of an object that names or numbers it, or None."""
    if isinstance(item, Group) and item.is_object:
        for member in item.children:
            if isinstance(member, Leaf) and _ITEM_NAME.fullmatch(str(member.step)):
                return member if len(member.text) <= MAX_NAME_CHARS else None
    return None


def is_name(column: str) -> bool:
    """Returns whether a column or member of this name names what it is in."""
    return _NAME.fullmatch(column) is not None


def is_pair(one: str, other: str) -> bool:
    """Returns whether members of these names are a key and its value."""
    if _VALUE.fullmatch(one):
        one, other = other, one
    return _VALUE.fullmatch(other) is not None and _KEY.fullmatch(one) is not None
