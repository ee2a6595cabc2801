"""Refs and the placeholders that carry them: how a removed text is named, and what is left in its place.

A ref is twelve digits of a hash of the original, so the same text has the same ref in every process. It is made of
digits because both OpenAI vocabularies spend one token on three of them: a whole placeholder costs nine tokens.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

REF_DIGITS = 12
ANY_REF = "0" * REF_DIGITS  # to count a placeholder where all refs take the same tokens
ELLIPSIS = "…"

#: Matches any placeholder of ours in any text; group 1 is the ref. In JSON the brackets are missing, so they are not
#: required.
PLACEHOLDER_RE = re.compile(r"cut ref (\d{12})(?!\d)")

#: The source of a regular expression that matches a whole placeholder outside of JSON. It has no groups. A gateway may
#: have added a hash to it.
BRACKETED_PLACEHOLDER = r"\[…(?:words |only spacing |\d+ messages )?cut ref \d{12}(?: hash=\d{24})?\]"

_AT_END = re.compile(rf"(?:\A|[ \n])({BRACKETED_PLACEHOLDER})\s*\Z")
_CUT_STRING = r'"(?:only spacing )?cut ref (?P<ref>\d{12})(?: hash=\d{24})?"\s*'
_JSON_AT_END = re.compile(
    rf'(?:(?<=[,{{])\s*"…":\s*{_CUT_STRING}}}|(?<=[,\[])\s*{_CUT_STRING.replace("<ref>", "<item>")}\])\s*\Z'
)
_MESSAGE_COUNT = re.compile(r"\[…(\d+) messages ")


def compute_ref(text: str) -> str:
    """Returns the ref of a text: 12 decimal digits (40 bits) of its BLAKE2b hash. Lone surrogates are allowed."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return f"{int.from_bytes(digest, 'big') % 10**REF_DIGITS:0{REF_DIGITS}d}"


def format_placeholder(ref: str, words_only: bool = False) -> str:
    """Returns the placeholder for a text of which something was removed.

    Args:
        ref: The ref of the original text.
        words_only: Only words inside sentences are missing. The placeholder says so, because nothing else shows it.

    Example:
        >>> format_placeholder("123456789012")
        '[…cut ref 123456789012]'
    """
    return f"[…words cut ref {ref}]" if words_only else f"[…cut ref {ref}]"


def format_run_placeholder(ref: str, count: int) -> str:
    """Returns the placeholder for a run of messages that were left out.

    Args:
        ref: The ref of a text that holds all of them.
        count: The number of messages.
    """
    return f"[…{count} messages cut ref {ref}]"


class ClosingPlaceholder(NamedTuple):
    """A placeholder at the place where an excerpt has its own.

    Attributes:
        ref: Its ref.
        body: The text without the placeholder; in JSON it still parses.
        message_count: How many messages it stands for; 0 if it stands for a part of one text.
    """

    ref: str
    body: str
    message_count: int


def find_closing_placeholder(text: str) -> ClosingPlaceholder | None:
    """Returns the placeholder at the end of a text, or as the last member or item of its JSON; None if it has none.

    Args:
        text: The text of a block.
    """
    if "cut ref " not in text:
        return None
    if found := _AT_END.search(text):
        count = _MESSAGE_COUNT.match(found[1])
        return ClosingPlaceholder(find_refs(found[1])[0], text[: found.start()], int(count[1]) if count else 0)
    if text.lstrip()[:1] in ("{", "[") and (found := _JSON_AT_END.search(text)):
        body = text[: found.start()].rstrip().removesuffix(",")
        return ClosingPlaceholder(found["ref"] or found["item"], body + text.rstrip()[-1], 0)
    return None


def format_json_placeholder(ref: str) -> str:
    """Returns the placeholder inside JSON: the value of a `"…"` member, or the last element of a list."""
    return f"cut ref {ref}"


def find_refs(text: str) -> list[str]:
    """Returns the refs of all placeholders in a text, in order."""
    return PLACEHOLDER_RE.findall(text)
