"""Cuts runs of scripts that are written without spaces into overlapping pieces by which texts and queries can match.

Nothing here knows words. Han is cut into single characters and pairs, kana into pairs, Thai, Lao, Khmer and Burmese
into pairs of clusters, that is of a letter with its marks. Korean is written with spaces, so its words stay tokens;
their terms are pairs of syllables, of the word as it stands and of the word without its particle.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HIRAGANA = "\u3041-\u309f"
KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7ff"
THAI = "\u0e01-\u0e3a\u0e40-\u0e4e"
LAO = "\u0e81-\u0ecd\u0edc-\u0edf"
BURMESE = "\u1000-\u103f\u1050-\u108f\u109a-\u109f"
KHMER = "\u1780-\u17d3\u17d7\u17dc\u17dd"
#: Those of them whose marks are no letters for Python.
CLUSTERED = f"{THAI}{LAO}{BURMESE}{KHMER}"
#: The characters of scripts whose runs are cut, as the inside of a character class of a regular expression.
UNSEGMENTED = f"{CLUSTERED}{HAN}{HIRAGANA}{KATAKANA}{HANGUL}"

_ANY = re.compile(f"[{UNSEGMENTED}]")
_RUNS = re.compile(f"[{UNSEGMENTED}]+")
_RUN = re.compile(
    f"(?P<han>[{HAN}]+)|(?P<kana>[{HIRAGANA}]+|[{KATAKANA}]+)|(?P<hangul>[{HANGUL}]+)|(?P<clusters>[{CLUSTERED}]+)"
)
#: Marks of Thai, Lao, Burmese and Khmer that belong to the letter before them; a letter under a coeng or virama, too.
_MARKS = (
    "\u0e30-\u0e3a\u0e45\u0e47-\u0e4e\u0eb0-\u0ebc\u0ec8-\u0ecd\u102b-\u1038\u103a-\u103e\u1056-\u1059\u105e-\u1060"
    "\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u109a-\u109d\u17b4-\u17d1\u17d3\u17dd"
)
_CLUSTER = re.compile(f"[\u0e40-\u0e44\u0ec0-\u0ec4]?.(?:[{_MARKS}]|[\u1039\u17d2].?)*", re.S)
_KOREAN_PARTICLES = re.compile(
    "(?:에서는|에서|에게서|에게|으로는|으로|부터|까지|처럼|보다|이라고|라고|이나|이란|이며|하고|입니까|입니다|습니까|습니다|"
    "은|는|이|가|을|를|에|의|도|로|와|과|만|나|야)$"
)


def has_unsegmented(text: str) -> bool:
    """Returns whether a text has a character of a script whose runs are cut."""
    return not text.isascii() and _ANY.search(text) is not None


def is_hiragana(piece: str) -> bool:
    """Returns whether a piece of a run is hiragana, which writes grammar more often than words."""
    return "\u3041" <= piece[0] <= "\u309f"


def split_run(run: str) -> tuple[str, ...]:
    """Returns the overlapping pieces of a run of such characters, in order. A word of Korean is one piece."""
    run = unicodedata.normalize("NFKC", run)
    out: list[str] = []
    for found in _RUN.finditer(run):
        piece = found.group()
        if found.lastgroup == "hangul":
            out.append(piece)
        elif found.lastgroup == "han":
            out.append(piece[0])
            for a, b in pairwise(piece):
                out += (a + b, b)
        else:
            units = _CLUSTER.findall(piece) if found.lastgroup == "clusters" else list(piece)
            out += [a + b for a, b in pairwise(units)] or units
    return tuple(out) or (run,)


def spread_runs(text: str) -> str:
    """Returns a text with the pieces of its runs in place of them, apart from each other and from other words."""
    return _RUNS.sub(_spread, text) if has_unsegmented(text) else text


def _spread(run: re.Match[str]) -> str:
    return f" {' '.join(split_run(run[0]))} "


def run_terms(run: str) -> tuple[str, ...]:
    """Returns the terms of a run, or of one of its pieces, by which a query can match it."""
    pieces = split_run(run)
    if len(run) <= 2 and len(pieces) == 3:  # a pair of Han characters is a piece itself
        return (pieces[1],)
    return tuple(dict.fromkeys(t for piece in pieces for t in (_korean(piece) if piece[0] >= "\u1100" else (piece,))))


def _korean(word: str) -> tuple[str, ...]:
    """The pairs of syllables of a Korean word, with and without its particle; the word itself in other scripts."""
    if not ("\uac00" <= word[0] <= "\ud7a3"):
        return (word,)
    bare = without_particle(word)
    return tuple(pair for w in (word, bare) for pair in ([a + b for a, b in pairwise(w)] or [w]))


def without_particle(word: str) -> str:
    """Returns a Korean word without the particle or ending at its end; other words as they are."""
    return _KOREAN_PARTICLES.sub("", word) or word
