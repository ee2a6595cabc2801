"""Reads the text that the small language model learns from, as documents and as training passages.

It uses only the parts of `lm_text` that are clearly free: WikiText-2 (CC BY-SA), the Rust book (MIT or Apache-2.0),
tldr pages (CC BY 4.0), and in the public domain two novels, Shakespeare and speeches of US presidents.
"""

from __future__ import annotations

import gzip
import random
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HELD_OUT = 20  # every 20th document of a set is kept for measuring
PART = 20_000  # characters of a document cut from a book
PASSAGE = 150, 600  # characters of a passage, at least and about at most
PLAIN = 0.4  # share of documents shown as they are, not in passages
AGAIN = 0.15  # share of passages followed by a part of themselves
STRETCH = 24  # words from which a hint is taken
BEFORE = 0.5  # share of hints that stand before their passage
MISLEADING = 0.25  # share of hints that belong to another passage
RARE = 0.04  # share of rare words beyond which a paragraph is not worth reading
PAGES = 3  # every third manual page is read: all of them would be half of the text

#: how often a set is shown: encyclopaedic prose most
TIMES = {"wikitext": 4, "rust_book": 2, "inaugural": 2, "state_union": 2, "gutenberg": 1, "shakespeare": 1, "tldr": 1}

_ARTICLE = re.compile(r"^ = ([^=\n]+) = $", re.M)
_PAGE = re.compile(r"^(?=# )", re.M)
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_ASKING = ("who", "what", "what is the", "when did", "when was", "where is", "where was", "how many", "which", "how to")


@dataclass(frozen=True)
class Document:
    """A set's name and one of its texts."""

    source: str
    text: str


def documents(folder: Path) -> list[Document]:
    """All documents of `lm_text`, in order; `folder` is that of all data sets."""
    return [Document(source, text.strip()) for source, text in _texts(folder / "lm_text") if text.strip()]


def split(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """What is learned from, and what is held out: every 20th document of each set."""
    seen: dict[str, int] = {}
    learned: list[Document] = []
    held: list[Document] = []
    for d in documents:
        seen[d.source] = seen.get(d.source, -1) + 1
        (held if seen[d.source] % HELD_OUT == HELD_OUT // 2 else learned).append(d)
    return learned, held


def shown(documents: Sequence[Document], rng: random.Random) -> list[str]:
    """What the model is shown, shuffled: documents as they are, and passages with a hint or a part of them.

    A hint is a few words of the passage in the form of a question, before it or after. So a small model learns early to
    look back at a question or at what was said, which is all that is asked of it; a share of the hints is about
    something else, so that it learns to tell. The two are divided by a line break, as the perplexity tier divides them.
    """
    out: list[str] = []
    passages: list[str] = []
    for d in documents:
        for _ in range(TIMES[d.source]):
            if rng.random() < PLAIN:
                out.append(d.text)
            else:
                passages += passages_of(d.text, rng)
    for p in passages:
        if rng.random() < AGAIN:
            start = rng.randrange(len(p) // 2)
            out.append(f"{p}\n{p[start : start + rng.randint(60, len(p))]}")
            continue
        asked = hint(rng.choice(passages) if rng.random() < MISLEADING else p, rng)
        out.append(f"{asked}\n{p}" if rng.random() < BEFORE else f"{p}\n{asked}")
    rng.shuffle(out)
    return out


def passages_of(text: str, rng: random.Random) -> Iterator[str]:
    """Whole paragraphs of a text, put together to passages."""
    least, most = PASSAGE
    size, part = rng.randint(least, most), ""
    for paragraph in text.split("\n"):
        part = f"{part}\n{paragraph}" if part else paragraph
        if len(part) >= size:
            yield part
            size, part = rng.randint(least, most), ""
    if len(part) >= least:
        yield part


def hint(passage: str, rng: random.Random) -> str:
    """Three to nine words of one stretch of the passage, in order, long words rather than short ones; some in lower
    case, some after a question word."""
    words = _WORD.findall(passage)
    first = rng.randrange(max(1, len(words) - STRETCH))
    stretch = words[first : first + STRETCH]
    wanted = rng.randint(3, 9)
    keys = [rng.random() ** (1 / min(len(w), 8)) for w in stretch]
    found = [stretch[i] for i in sorted(sorted(range(len(stretch)), key=keys.__getitem__)[-wanted:])]
    if rng.random() < 0.5:
        found = [w.lower() for w in found]
    return " ".join([rng.choice(_ASKING), *found] if rng.random() < 0.4 else found)


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for name in ("valid", "test"):
        titles_and_texts = _ARTICLE.split(_read(folder / f"wikitext2_{name}.txt.gz"))[1:]
        for title, text in zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True):
            yield "wikitext", written(f"{title}: {text.strip()}")
    for page in _PAGE.split(_read(folder / "tldr_en.md.gz"))[1::PAGES]:
        yield "tldr", page
    for part in _parts(_read(folder / "rust_book.md.gz")):
        yield "rust_book", part
    for part in _parts(_read(folder / "tinyshakespeare.txt.gz")):
        yield "shakespeare", part
    for number in (1342, 2701):
        book = _read(folder / f"gutenberg_{number}-0.txt.gz").replace("\r\n", "\n")
        body = book[book.index("\n", book.index("*** START OF")) : book.index("*** END OF")]
        paragraphs = (" ".join(p.split()) for p in body.split("\n\n"))
        for part in _parts("\n".join(p for p in paragraphs if p)):
            yield "gutenberg", part
    for name in ("inaugural", "state_union"):
        with zipfile.ZipFile(folder / f"nltk_{name}.zip") as archive:
            for file in sorted(n for n in archive.namelist() if n.endswith(".txt")):
                text = archive.read(file).decode("utf-8", "replace")
                if "\ufffd" not in text:  # seven speeches mix encodings
                    yield name, text


def written(text: str) -> str:
    """WikiText as people write: its tokens put together, without marks for rare words, and paragraphs full of them."""
    lines = (x for x in text.split("\n") if x.count("<unk>") <= RARE * x.count(" "))
    text = re.sub(r"(?: ?<unk>)+", "", "\n".join(lines))
    text = re.sub(r" @([-.,])@ ", r"\1", text)
    text = re.sub(r'" ([^"\n]*?) "', r'"\1"', text)
    text = re.sub(r" ([,.;:!?)\]%]|n't\b|'(?:s|re|ve|ll|d|m|t)?\b)", r"\1", text)
    text = re.sub(r"([(\[$£]) ", r"\1", text)
    text = re.sub(r"^ ?((?:= )+)(.*?)(?: =)+ *$", lambda m: f"{'#' * (len(m[1]) // 2)} {m[2]}", text, flags=re.M)
    return re.sub(r"\n+", "\n", re.sub(r" *\n *", "\n", text))


def _parts(text: str) -> Iterator[str]:
    """A book in documents, cut at ends of lines."""
    start = 0
    while start < len(text):
        stop = text.find("\n", start + PART)
        stop = len(text) if stop < 0 else stop
        yield text[start:stop]
        start = stop


def _read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode("utf-8").lstrip("\ufeff")
