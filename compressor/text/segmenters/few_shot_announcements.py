"""Tells whether the words around a list say that it is a list of examples, or that it is something else.

A list must be announced ("Here are some examples:", "## Beispiele"). Words that make the list the work itself ("rate
each", "must pass"), knowledge, a record of a conversation or a reference forbid it. When in doubt, it is no example.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

from compressor.text.segmenters.few_shot_lines import LineKind, TextLine, read_label
from compressor.text.segmenters.few_shot_obligations import (
    BENIGN,
    BINDING,
    EACH,
    EACH_TIME,
    KNOWLEDGE,
    OBLIGES,
    ORDINAL,
    REFERENCE,
    REFERS_BACK,
    THE_LIST,
    WORK_ON,
    WORK_OTHER,
)
from compressor.text.segmenters.few_shot_words import (
    AFTER_NOUN,
    COMPARES,
    DIRECTS,
    FOLLOWS,
    FOR_EXAMPLE,
    FOR_EXAMPLE_ALONE,
    GIVES,
    NEUTRAL,
    NEUTRAL_TOO,
    NOUN,
    PLURAL_NOUN,
    SINGULAR_NOUN,
    TALK_LABELS,
    UNSPACED_NEUTRAL,
)

MAX_ANNOUNCEMENT_CHARS = 600  # a longer line announces nothing
MAX_LEAD_LINES = 12  # lines before a list that are read for what it is
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”»)]*\s+|(?<=[。！？])|\n+")
_MARKUP = re.compile(r"^[\s#>*_=\[(<~`/|;•–—-]+|[\s*_=\])>~`/|–—-]+$")
_PARENTHESES = re.compile(r"[(（][^()（）]{0,80}[)）]")
_COLON = re.compile(r"[:：][\s*_)\]]*$")
_WORDS = re.compile(r"[\w'’/-]+")
_FOR_CLASS = re.compile(
    r"\b(?:for|per|of) (?:each|every|all) (?:\w+ )?(?:class|classes|label|labels|category|categories|intents?)\b", re.I
)


class Announcement(IntEnum):
    """How clearly words say that examples follow.

    Attributes:
        NONE: They do not.
        QUALIFIED: They say what the examples are of, so the list may be data: "examples of error codes:".
        PLAIN: They say nothing else: "Examples:", "Here are some examples of how to answer:".
    """

    NONE = 0
    QUALIFIED = 1
    PLAIN = 2


def mentions_examples(text: str) -> bool:
    """Returns whether a text mentions examples; "for example" does not count."""
    return bool(NOUN.search(FOR_EXAMPLE.sub("", text)))


def read_announcement(line: TextLine) -> Announcement:
    """Returns whether a line announces examples."""
    text = line.text
    if line.kind is LineKind.OPEN:
        name = re.sub(r"[\W\d_]+", " ", text.split(None, 1)[0]).strip()
        return Announcement.PLAIN if PLURAL_NOUN.search(name) else Announcement.NONE
    if (
        line.kind in (LineKind.CLOSE, LineKind.FENCE, LineKind.RULE, LineKind.BLANK)
        or len(text) > MAX_ANNOUNCEMENT_CHARS
    ):
        return Announcement.NONE
    if _COLON.search(text) and FOR_EXAMPLE_ALONE.fullmatch(sentences(text)[-1]):
        return Announcement.QUALIFIED
    if not NOUN.search(text):
        return Announcement.NONE
    label = read_label(text)
    if label is not None and label.rest and not NOUN.search(label.name) and NOUN.search(label.rest):
        text = label.rest if re.search(NOUN.pattern + r"\W*$", label.rest, re.I) and _COLON.search(text) else text
    sentence = sentences(text)[-1]
    found = list(PLURAL_NOUN.finditer(FOR_EXAMPLE.sub(lambda m: " " * len(m.group()), sentence)))
    colon = bool(_COLON.search(sentence)) or text.startswith("<")
    is_heading = line.kind is LineKind.HEADING
    if not found:
        bare = _MARKUP.sub("", _COLON.sub("", sentence)).strip()
        is_bare = SINGULAR_NOUN.fullmatch(bare) and (colon or is_heading)
        return Announcement.PLAIN if is_bare else Announcement.NONE
    noun = found[-1]
    before = _MARKUP.sub("", FOR_EXAMPLE.sub("", _PARENTHESES.sub("", sentence[: noun.start()]))).strip(" ,，、")
    after = _MARKUP.sub("", _COLON.sub("", _PARENTHESES.sub("", sentence[noun.end() :])).strip(" .。!！、,，")).strip()
    if not (colon or is_heading):
        short = len(sentence) <= 24 and not re.search(r"[.!?。！？]$", sentence)
        directs = DIRECTS.search(sentence) and not sentence.endswith(("?", "？"))
        if not (directs or short):
            return Announcement.NONE
        if not short and after and not AFTER_NOUN.fullmatch(after):
            return Announcement.NONE
    return _grade(sentence, before, after)


def _grade(sentence: str, before: str, after: str) -> Announcement:
    """How clearly a sentence announces examples, by what stands before and behind the noun."""
    words = [word.lower() for word in _WORDS.findall(GIVES.sub("", before))]
    if before and not all(map(is_spaced, words)):
        plain = UNSPACED_NEUTRAL.fullmatch(before) or COMPARES.search(before)
        return Announcement.PLAIN if plain and AFTER_NOUN.fullmatch(after) else Announcement.NONE
    odd = [k for k, word in enumerate(words) if not (word in NEUTRAL or word in NEUTRAL_TOO or word.isdigit())]
    follows = FOLLOWS.match(before)
    only_follows = follows is not None and all(words[k] in follows.group().lower() for k in odd)
    if not odd or only_follows or COMPARES.search(before):
        if AFTER_NOUN.fullmatch(after):
            return Announcement.PLAIN
        return (
            Announcement.NONE
            if odd or OBLIGES.search(sentence) or re.search("[,;，；]", after)
            else Announcement.QUALIFIED
        )
    is_compound = odd == [len(words) - 1] and AFTER_NOUN.fullmatch(after) and not OBLIGES.search(sentence)
    return Announcement.QUALIFIED if is_compound else Announcement.NONE


def is_spaced(word: str) -> bool:
    """Returns whether a word belongs to a language that puts spaces between words."""
    return not re.search(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]", word)


def sentences(text: str) -> list[str]:
    """Returns the sentences of a text, at least one."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()] or [""]


def forbids(
    lead: Sequence[str],
    tail: str,
    others: Sequence[str],
    title: str,
    *,
    is_self: bool,
    is_loose: bool,
    has_context: bool,
) -> bool:
    """Returns whether the words around a list forbid to take it for examples.

    Args:
        lead: The lines before the list, the last one nearest.
        tail: The paragraph after the list.
        others: The other sentences of the prompt that mention examples.
        title: The headings above the list, and the first line of the prompt.
        is_self: Whether nothing but the list itself says that it is of examples.
        is_loose: Whether nothing marks an answer in them, so that they may be items to work on.
        has_context: Whether each example brings the text that its question is answered from.
    """
    near = " ".join(lead)
    last = sentences(lead[-1])[-1] if lead else ""
    ahead = sentences(near)[-2:] if lead else []
    for sentence in [*(sentences(near) if is_loose else [last]), *others]:
        plain = EACH_TIME.sub("", _FOR_CLASS.sub("", sentence))
        if EACH.search(plain) or (sentence.rstrip(" *_").endswith(("?", "？")) and not _is_said(sentence)):
            return True
    if any(WORK_OTHER.search(sentence) for sentence in [*ahead, *others]):
        return True
    if any(WORK_ON.search(sentence) or BINDING.search(sentence) for sentence in [*sentences(near), *others, tail]):
        return True
    if any(one.endswith(("?", "？")) and not _is_said(one) for one in ahead):
        return True
    if any(THE_LIST.search(one) and not BENIGN.search(one) for one in others):
        return True
    if any(not _is_said(one) and (REFERS_BACK.search(one) or one.endswith(("?", "？"))) for one in sentences(tail)):
        return True
    if re.search(r"\b(?:every one|each one|each of|all of|every single|one by one)\b", near + " " + tail, re.I):
        return True
    if "?" in tail and EACH.search(tail):
        return True
    if WORK_OTHER.search(tail) or any(ORDINAL.search(s) for s in others):
        return True
    if BINDING.search(title) or (not has_context and KNOWLEDGE.search(f"{near} {title}")):
        return True
    return is_self and bool(REFERENCE.search(f"{near} {title}"))


def _is_said(sentence: str) -> bool:
    """Whether a sentence is a question in a list of questions and answers."""
    label = read_label(sentence)
    return label is not None and label.name in TALK_LABELS


def is_knowledge(text: str) -> bool:
    """Returns whether a text says that it gives knowledge, or a record of a conversation."""
    return bool(KNOWLEDGE.search(text))
