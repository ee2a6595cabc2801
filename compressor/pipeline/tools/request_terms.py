"""Reads a request into weighted terms, each with the words that tools use for the same thing.

What follows a colon or stands in quotes is material of the request more than its task, so it counts less. Forms say
what a word stands for: `acme/web` is a repository, `#12` an issue, `a@b.org` an address, `notes.txt` a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compressor.scoring.base import Query
from compressor.scoring.bm25 import weighted_terms
from compressor.scoring.token_index import terms

SYNONYMS = Path(__file__).with_name("request_synonyms.txt")
#: Weights of a word that stands for the one that was written, or for a phrase; of a form, and of material.
SYNONYM, PHRASE, FORM, MATERIAL = 0.5, 0.8, 0.5, 0.4
IN_PHRASE = 0.3  # of the words of a phrase, taken alone
#: Words that may stand between the two words of a phrase.
GAP = 4
#: Characters of a request in which phrases and forms are looked for.
MAX_CHARS = 2_000
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_MATERIAL = re.compile(r"(?<=\S):\s+\S.*|\"[^\"\n]{2,}\"|“[^”\n]{2,}”|«[^»\n]{2,}»|```.*?(?:```|\Z)", re.S)
#: Names of repositories and addresses: their words are not the task's.
_NAMES = re.compile(r"https?://\S+|(?<![\w/.:])[A-Za-z][\w.-]*/[A-Za-z][\w.-]*(?![\w/])|\b[\w.+-]+@[\w-]+\.\w+")
_FILE_NAME = r"\b[\w-]+\.(?:txt|md|py|js|ts|json|ya?ml|csv|log|toml|pdf|docx?|xlsx?|png|jpe?g)\b|(?<!\w)[~.]?/\w+/"
_FORMS = (
    (re.compile(r"https?://|\bwww\.|(?<![@\w.-])[\w-]+\.(?:com|org|net|io|dev)\b"), "url page navigate"),
    (re.compile(r"(?<![\w/.:])[A-Za-z][\w.-]*/[A-Za-z][\w.-]*(?![\w/])"), "repository owner repo"),
    (re.compile(r"(?<!\w)#\d+\b"), "issue number"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.\w+"), "email address"),
    (re.compile(r"(?<!\w)@[A-Za-z]\w+"), "user"),
    (re.compile(r"(?<!\w)#[A-Za-z][\w-]+"), "channel tag"),
    (re.compile(_FILE_NAME), "file path"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-f])[0-9a-f]{7,40}\b"), "commit"),
    (re.compile(r"\d\s?%"), "percent"),
)


@dataclass(frozen=True, slots=True)
class RequestTerm:
    """A term of a request.

    Attributes:
        weight: How much it counts.
        alternatives: The term itself and what stands for it, each with a weight in (0, 1].
        is_weak: Whether it says nothing alone, such as "who" and "all".
    """

    weight: float
    alternatives: tuple[tuple[str, float], ...]
    is_weak: bool = False


def request_terms(query: Query) -> list[RequestTerm]:
    """Returns the terms of a query with what tools may call them."""
    parts = [(text, weight) for text, weight in query.parts if text.strip()]
    weights = weighted_terms(tuple(part for text, weight in parts for part in _clauses(text, weight)))
    out: dict[str, RequestTerm] = {}
    table = synonyms()
    phrases = dict(found for text, _ in parts for found in _matched_phrases(text[:MAX_CHARS]))
    inside = {term for phrase in phrases for word in phrase.split("_") for term in terms(word)}
    for term, weight in weights.items():
        others = () if term in inside else table.get(term, ())  # the phrase says what its words mean
        alternatives = ((term, 1.0), *((other, SYNONYM) for other in others if other != term))
        out[term] = RequestTerm(weight * (IN_PHRASE if term in inside else 1.0), alternatives)
    for phrase, meant in phrases.items():
        out[phrase] = RequestTerm(1.0, tuple((term, PHRASE) for term in meant))
    for text, weight in parts:
        for name, found in _matched(text[:MAX_CHARS]):
            if name not in out:
                out[name] = RequestTerm(weight * (FORM if name.startswith("<") else 1.0), found, name.startswith("~"))
    return list(out.values())


def _clauses(text: str, weight: float) -> Iterator[tuple[str, float]]:
    """The task of a request and its material, each with its weight."""
    task = _NAMES.sub(" ", _MATERIAL.sub(" ", text[:MAX_CHARS]))
    if len(_WORD.findall(task)) < 2:  # "Question: what is the weather"
        yield text, weight
        return
    yield task, weight
    if task != text:
        yield text, weight * MATERIAL


def _matched_phrases(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The phrases that a text has, with what stands for them."""
    words = _words(text)
    for i, word in enumerate(words):
        for second, found in _phrases().get(word, ()):
            if second in words[i + 1 : i + 2 + GAP]:
                yield f"{word}_{second}", found


def _matched(text: str) -> Iterator[tuple[str, tuple[tuple[str, float], ...]]]:
    """The words that count although they are stop words, and the forms that a text has."""
    for word in _words(text):
        for found in _stop_words().get(word, ()):
            yield f"~{word}", tuple((term, SYNONYM / 2) for term in found)
    for i, (form, kinds) in enumerate(_FORMS):
        if form.search(text):
            yield f"<{i}>", tuple((term, 1.0) for term in terms(kinds))


def _words(text: str) -> list[str]:
    return [word.lower().replace("’", "'") for word in _WORD.findall(_MATERIAL.sub(" ", text))]


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """Returns what stands for each term."""
    found: dict[str, dict[str, None]] = {}
    for left, right in _lines():
        for term in [t for word in (*left, *(w for w in right if "_" not in w)) for t in terms(word)]:
            found.setdefault(term, {}).update(dict.fromkeys(t for word in left for t in terms(word)))
    return {term: tuple(others) for term, others in found.items()}


@cache
def _phrases() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """By their first word: the second one, and what stands for the phrase."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for left, right in _lines():
        for phrase in (word for word in right if "_" in word):
            first, second = phrase.split("_", 1)
            found.setdefault(first, []).append((second.split("_")[-1], tuple(t for word in left for t in terms(word))))
    return found


@cache
def _stop_words() -> dict[str, list[tuple[str, ...]]]:
    """What stands for words that a query drops, such as "who"."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for left, right in _lines():
        for word in right:
            if "_" not in word and not weighted_terms(((word, 1.0),)):
                found.setdefault(word, []).append(tuple(t for w in left for t in terms(w)))
    return found


@cache
def _lines() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    lines = SYNONYMS.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" : ") for line in lines if " : " in line and not line.startswith("#")]
    return tuple((tuple(left.split()), tuple(right.split())) for left, right in pairs)
