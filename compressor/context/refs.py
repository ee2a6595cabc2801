"""Refs and the placeholders that carry them: how a removed text is named, and what is left in its place.

A ref is twelve digits of a hash of the original, so the same text has the same ref in every process. It is made of
digits because both OpenAI vocabularies spend one token on three of them: a whole placeholder costs nine tokens.
"""

from __future__ import annotations

import hashlib
import re

REF_DIGITS = 12
ELLIPSIS = "…"

#: Matches any placeholder of ours in any text; group 1 is the ref. In JSON the brackets are missing, so they are not
#: required.
PLACEHOLDER_RE = re.compile(r"cut ref (\d{12})(?!\d)")


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


def format_json_placeholder(ref: str) -> str:
    """Returns the placeholder inside JSON: the value of a `"…"` member, or the last element of a list."""
    return f"cut ref {ref}"


def find_refs(text: str) -> list[str]:
    """Returns the refs of all placeholders in a text, in order."""
    return PLACEHOLDER_RE.findall(text)
