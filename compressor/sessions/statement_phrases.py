"""Recognises what an agent's sentence states: a promise, a cause found, a decision, or that something is done.

The phrases are those of eight languages: English, German, French, Spanish, Portuguese, Russian, Chinese and Japanese.
"""

from __future__ import annotations

import re

_PROMISE = re.compile(
    r"\bto-?do\b|\bremember to\b|don['’]?t forget|\bcome back to\b|\bget back to\b|\brevisit\b"
    r"|\bstill (?:need|have|has) to\b|\b(?:remains|left) to (?:do|be)\b"
    r"|\bnot (?:done|finished|fixed) yet\b|\bbefore (?:i|we) (?:finish|are done|am done)\b"
    r"|\b(?:i'?ll|i will|we'?ll|we will)\b.*\b(?:later|afterwards?|at the end|next|once|as soon as|when)\b"
    r"|\bstill fail|\bspäter\b|\bnoch zu (?:tun|erledigen)\b|\bkomme\b.*\bzurück\b|\bnicht vergessen\b"
    r"|\bschlägt (?:immer )?noch fehl|\bplus tard\b|\breste à\b|\bje reviendrai\b"
    r"|\béchoue (?:encore|toujours)|\bmás tarde\b|\bpendiente\b|\bvolver[ée]\b|\bqueda por\b"
    r"|\bsigue fallando\b|\bmais tarde\b|\bpendente\b|\bvoltarei\b|\bfalta (?:ainda )?\w+ar\b"
    r"|\bainda falha",
    re.IGNORECASE,
)
_DECISION = re.compile(
    r"\bdecisions?\b|\bdecided\b"
    r"|\b(?:i|we)(?:'ll| will)? (?:keep|kept|chose|choose|went with|go with|stick (?:to|with))\b"
    r"|\b(?:instead of|rather than)\b.*\bbecause\b|\bagreed\b|\bentscheid|\bentschied|\bentschlossen\b"
    r"|\bdécid|\bdécision",
    re.IGNORECASE,
)
_CAUSE = re.compile(
    r"\broot cause\b|\b(?:the )?cause (?:is|was|found)\b|\bculprit\b|\bturns out\b"
    r"|\bthe (?:bug|problem|issue) (?:is|was)\b",
    re.IGNORECASE,
)
_DONE = re.compile(
    r""
    r"\b(?:done|fixed|finished|completed?|resolved|solved|passes|passing|green|works now|ran|applied)\b"
    r"|\b(?:merged|no longer)\b"
    r"|\berledigt\b|\bbehoben\b|\bfertig\b|\bfait\b|\bcorrigé|\bterminé|\bhecho\b|\barreglad|\bresuelt"
    r"|\bfeito\b|\bcorrigid",
    re.IGNORECASE,
)


def statement_kind(sentence: str) -> str:
    """Returns "promise", "cause" or "decision", or "" for any other sentence."""
    for kind, phrases in (("promise", _PROMISE), ("cause", _CAUSE), ("decision", _DECISION)):
        if phrases.search(sentence):
            return kind
    return ""


def says_done(sentence: str) -> bool:
    """Returns whether a sentence says that something is done."""
    return _DONE.search(sentence) is not None
