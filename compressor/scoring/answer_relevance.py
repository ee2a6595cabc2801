"""Predicts how likely each sentence of a document holds the answer to the query, with a small learned model.

The model sees a unit, its neighbours, its document and title through three ways of matching the query: terms weighted
by background idf, terms weighted by idf among the documents at hand, and bags of word vectors. It also sees whether the
form fits an answer (`when` asks for a date). It is used for running text only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, UnitBatch
from compressor.scoring.bm25 import STOP
from compressor.scoring.matrix_products import multiply
from compressor.scoring.term_counts import K1, B
from compressor.scoring.token_index import CODE, NAME, NUMBER, TOKEN, classify_token, stem
from compressor.scoring.word_vectors import UNKNOWN_IDF, Floats, WordVectors, load_word_vectors

Ints = npt.NDArray[np.int64]

#: Kinds of text that are read as sentences.
PROSE = frozenset(("prose", "markdown", "html", "whole"))
#: Characters of a title that are read.
MAX_TITLE_CHARS = 300
#: Query terms that the model reads.
MAX_TERMS = 32
#: The worth of an inexact match: another form of the word, or initials.
INEXACT_MATCH = 0.8
#: The exponent that turns odds into relevance; with a cost exponent of 0.5 this gives odds per token.
ODDS_EXPONENT = 0.5
_SKIPPED = frozenset(("of", "the", "and", "for"))  # words that initials leave out
_COUNTRY = frozenset(("us", "usa", "uk"))  # `us` is a stop word, but often a country
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_ROMAN = " ii iii iv v vi vii viii ix x xi xii".split(" ")
#: One name for numbers that are written in several ways: `second`, `two`, `2nd` and `II` are `2`.
_SAME = {stem(w): str(i) for words_ in (_NUMBERS, _ORDINALS) for i, w in enumerate(words_)}
_SAME |= {w: str(i) for i, w in enumerate(_ROMAN, 1) if w}
_SAME |= {f"{i}{'st' if i == 1 else 'nd' if i == 2 else 'rd' if i == 3 else 'th'}": str(i) for i in range(1, 21)}
_ALIKE: dict[str, list[str]] = {}
for _word, _number in _SAME.items():
    _ALIKE.setdefault(_number, [_number]).append(_word)
_MONTHS = frozenset(
    stem(m) for m in "january february march april may june july august september october november december".split()
)


def answer_log_odds(query: Query, units: UnitBatch) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Returns how likely each unit holds the answer to the query.

    Returns:
        [n] float32 log-odds, 0 for units that were not read, and [n] which units were read: those of running text, or
        none without a query.
    """
    out = np.zeros(len(units), np.float32)
    if not any(s.kind == "document" for s in units.sources):
        return out, np.zeros(len(units), np.bool_)
    mask = running_text(units)
    if mask.any() and (query_features := QueryFeatures.from_query(query)).terms:
        mine = np.flatnonzero(mask)
        model = load_word_vectors()
        out[mine] = _network(features(query_features, units, mine, model), model)
        return out, mask
    return out, np.zeros_like(mask)


def running_text(units: UnitBatch) -> npt.NDArray[np.bool_]:
    """Returns [n] which units are sentences of documents."""
    reads = np.array([s.kind == "document" and s.layout.kind in PROSE for s in units.sources], np.bool_)
    mask: npt.NDArray[np.bool_] = reads[units.source_indices]
    return mask


def relevance(odds: Floats) -> Floats:
    """Turns log-odds into relevance in (0, 1]; the best unit gets 1."""
    best: Floats = np.exp(ODDS_EXPONENT * (odds - odds.max(initial=-np.inf)))
    return best


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """A query as the model reads it.

    Attributes:
        terms: The distinct terms, in order.
        words: The lower-case words that they come from.
        weights: [terms] the weight of each term.
    """

    terms: list[str]
    words: list[str]
    weights: Floats

    @staticmethod
    def from_query(query: Query) -> QueryFeatures:
        """Returns the terms of a query, the heaviest part first."""
        weights: dict[str, float] = {}
        tokens: list[str] = []
        for text, weight in sorted(query.parts, key=lambda p: -p[1]):
            for token in TOKEN.findall(text[:2000]):
                for term in classify_token(token)[1]:
                    if len(weights) < MAX_TERMS or term in weights:
                        weights[term] = max(weights.get(term, 0.0), weight)
                tokens.append(token.replace(".", "").lower())
        top = max(weights.values(), default=1.0) or 1.0
        return QueryFeatures(
            list(weights), tokens[: 2 * MAX_TERMS], np.array([w / top for w in weights.values()], np.float32)
        )


class _Text:
    """The terms of units and titles, joined end to end: rows 0 to n - 1 are units, then one row for each document."""

    def __init__(self, units: UnitBatch, mine: Ints) -> None:
        index = units.index
        sources, document = np.unique(units.source_indices[mine], return_inverse=True)
        self.n, self.documents = len(mine), len(sources)
        self.document = document
        place = np.full(len(units), -1, np.int64)
        place[mine] = np.arange(self.n)
        inside = place[index.unit] >= 0
        used, entry = np.unique(index.token[inside], return_inverse=True)
        vocabulary, ids = index.memory.vocabulary, index.word_ids[used]
        tokens = vocabulary.words(ids)
        parts = [found or ("",) for found in vocabulary.terms(ids)]
        kinds = index.kinds[used].tolist()
        numbers = {t: i for i, t in enumerate(tokens)}
        extra: list[int] = []
        owner: list[int] = []
        for d, s in enumerate(sources.tolist()):
            for token in TOKEN.findall(units.sources[s].tool_call_text[:MAX_TITLE_CHARS]):
                if (number := numbers.get(token)) is None:
                    number = numbers[token] = len(tokens)
                    kind, found = classify_token(token)
                    tokens.append(token)
                    parts.append(found or ("",))
                    kinds.append(kind)
                extra.append(number)
                owner.append(self.n + d)
        self.tokens = tokens
        self.token = np.concatenate([entry, np.array(extra, np.int64)])
        self.token_row = np.concatenate([place[index.unit[inside]], np.array(owner, np.int64)])
        sizes = np.array([len(p) for p in parts], np.int64)
        self.terms = [t for p in parts for t in p]
        self.kinds = np.repeat(np.array(kinds, np.int64), sizes)
        start = np.cumsum(sizes) - sizes
        many = sizes[self.token]
        self.row = np.repeat(self.token_row, many)
        self.slot = (
            np.arange(len(self.row)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(start[self.token], many)
        )
        self.rows = self.n + self.documents
        self.lengths = np.bincount(self.row, minlength=self.rows)
        self.filled = np.flatnonzero(self.lengths)
        self.starts = (np.cumsum(self.lengths) - self.lengths)[self.filled]
        self.first = np.searchsorted(document, np.arange(self.documents))

    def best(self, values: Floats, floor: float) -> Floats:
        """[q, rows] the best of each row's terms; values: [q, slots]."""
        out = np.full((len(values), self.rows), floor, np.float32)
        if len(self.filled):
            out[:, self.filled] = np.maximum.reduceat(values[:, self.slot], self.starts, axis=1)
        return out

    def whole(self, best: Floats) -> Floats:
        """[q, documents] the best of each document's units and title."""
        return np.maximum(np.maximum.reduceat(best[:, : self.n], self.first, axis=1), best[:, self.n :])

    @cached_property
    def _capitals(self) -> tuple[bytes, Ints]:
        """The initials of all tokens in order, a space for a word that is not a name, and the row of each."""
        codes = np.array([_initial(t) for t in self.tokens], np.uint8)[self.token]
        kept = np.flatnonzero(codes)
        return codes[kept].tobytes(), self.token_row[kept]

    def initials(self, word: str) -> list[int]:
        """Rows in which a run of capitalised words has these initials."""
        line, rows = self._capitals
        wanted = word.encode()
        out = []
        at = line.find(wanted)
        while at >= 0:
            if rows[at] == rows[at + len(wanted) - 1]:
                out.append(int(rows[at]))
            at = line.find(wanted, at + 1)
        return out


def _initial(token: str) -> int:
    if "A" <= token[0] <= "Z":
        return ord(token[0]) + 32
    return 0 if token in _SKIPPED else 32


def _near(query: QueryFeatures, text: _Text) -> tuple[Floats, Floats]:
    """[q, slots] 1 for the query's term, up to INEXACT_MATCH for another form of it; and the exact matches alone."""
    numbers = {t: i for i, t in enumerate(query.terms)}
    forms: dict[str, set[int]] = {}  # other spellings of query terms
    heads: dict[str, list[int]] = {}
    for term, i in numbers.items():
        for form in _ALIKE.get(_SAME.get(term, term), ()):
            forms.setdefault(form, set()).add(i)
        if len(term) >= 4 and not term.isdigit():
            heads.setdefault(term[:4], []).append(i)
    for a, b in pairwise(query.words):  # "pace maker"
        forms.setdefault(stem(a + b), set()).update(numbers[t] for t in (stem(a), stem(b)) if t in numbers)
    exact = np.zeros((len(numbers), len(text.terms)), np.float32)
    near = np.zeros_like(exact)
    for j, term in enumerate(text.terms):
        if term in numbers:
            exact[numbers[term], j] = 1.0
        if term[:4] in heads and len(term) >= 4:
            for i in heads[term[:4]]:
                common, longest = _shared(term, query.terms[i]), max(len(term), len(query.terms[i]))
                if (common >= 5 and common >= longest / 2) or longest <= 6:
                    near[i, j] = INEXACT_MATCH * common / longest
        if term in forms:
            near[list(forms[term]), j] = INEXACT_MATCH
    return np.maximum(exact, near), exact


def _shared(a: str, b: str) -> int:
    """Letters at the start that two words share."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def features(query: QueryFeatures, units: UnitBatch, mine: Ints, model: WordVectors) -> Floats:
    """Computes the network's input.

    Args:
        query: The query.
        units: All units of the context.
        mine: The units of running text, in order.
        model: The word vectors.

    Returns:
        [len(mine), features] float32.
    """
    text = _Text(units, mine)
    n, document = text.n, text.document
    rows = model.rows(query.terms)
    content = np.array([t not in STOP for t in query.terms], np.bool_)
    idf = np.where(content, model.idf[rows], 0) * query.weights
    near, exact = _near(query, text)
    slots = model.rows(text.terms)
    raw = model.term[slots] + model.kind[text.kinds]
    question = model.query_term[rows]
    plain = text.best(near, 0.0)
    for i, word in enumerate(query.terms):
        short = [w for w in query.words if stem(w) == word and 2 <= len(w) <= 5 and w.isalpha() and w.isascii()]
        if short and (word not in STOP or short[0] in _COUNTRY):
            full = {"us": "us", "usa": "us"}.get(short[0], short[0])
            if found := text.initials(full):
                plain[i, found] = np.maximum(plain[i, found], INEXACT_MATCH)
            idf[i] = max(idf[i], UNKNOWN_IDF / 2 * query.weights[i])
    documents_with = (text.whole(plain) > 0.3).sum(1)
    local = np.log1p((text.documents - documents_with + 0.5) / (documents_with + 0.5)) * (idf > 0) * query.weights
    out: list[npt.ArrayLike] = []
    before, after = _neighbours(document)
    for weight, best in ((idf, plain), (local, plain)):
        total = max(float(weight.sum()), 1e-6)
        unit, title = weight @ best[:, :n] / total, weight @ best[:, n:] / total
        whole = weight @ text.whole(best) / total
        both = weight @ np.maximum(best[:, :n], best[:, n:][:, document]) / total
        out += [unit, unit - unit.max(), title[document], whole[document], (whole - whole.max())[document]]
        out += [both, both - both.max(), unit[before], unit[after]]
    bag = np.zeros((text.rows, raw.shape[1]), np.float32)
    if len(text.filled):
        bag[text.filled] = np.add.reduceat((raw * model.bag[slots][:, None])[text.slot], text.starts, axis=0)
    asks = _unit((question * model.bag[rows][:, None] * query.weights[:, None]).sum(0))
    of_unit = _unit(bag[:n]) @ asks
    of_document = _unit(np.add.reduceat(bag[:n], text.first, axis=0) + bag[n:]) @ asks
    out += [of_unit, of_unit - of_unit.max(), of_document[document], (of_document - of_document.max())[document]]
    out += [of_unit[before], of_unit[after]]
    # BM25, with the background's idf for units and documents, with the documents' own for documents.
    total, total_local = max(float(idf.sum()), 1e-6), max(float(local.sum()), 1e-6)
    times = np.zeros((len(rows), text.rows), np.float32)
    if len(text.filled):
        times[:, text.filled] = np.add.reduceat(exact[:, text.slot], text.starts, axis=1)
    together = np.add.reduceat(times[:, :n], text.first, axis=1) + times[:, n:]
    lengths = text.lengths[:n].astype(np.float32)
    unit = idf @ _saturated(times[:, :n], lengths) / total
    sizes = np.add.reduceat(lengths, text.first)
    whole = idf @ _saturated(together, sizes) / total
    own = local @ _saturated(together, sizes) / total_local
    out += [unit, unit - unit.max(), whole[document], (whole - whole.max())[document], (own - own.max())[document]]
    # The rarest term, terms side by side, how much of the title is asked for.
    rarest = int(np.argmax(idf))
    out += [plain[rarest, :n], text.whole(plain)[rarest][document]]
    side = _side_by_side(text, exact, idf) / total
    out += [side[:n], (np.bincount(document, side[:n], text.documents) + side[n:])[document]]
    titled = np.bincount(text.row, near.max(0)[text.slot], text.rows)[n:] / np.maximum(text.lengths[n:], 1)
    out += [titled[document]]
    # Place, length, and the form of the answer.
    place = np.arange(n) - text.first[document]
    out += [place == 0, place == 1, np.minimum(place, 8) / 8, np.log1p(lengths)]
    out += _answer_forms(query, text, exact)
    return np.stack([np.broadcast_to(np.asarray(x, np.float32), (n,)) for x in out], axis=1)


def _answer_forms(query: QueryFeatures, text: _Text, exact: Floats) -> list[npt.ArrayLike]:
    """Names, numbers and dates that the query does not have, and whether it asks for them."""
    n = text.n
    new = ~(exact > 0).any(0)

    def number_of(mask: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(text.row, (mask & new)[text.slot].astype(np.float32), text.rows)[:n].astype(np.float32)

    dates = np.array([t in _MONTHS or (len(t) == 4 and t.isdigit() and t[0] in "12") for t in text.terms], np.bool_)
    names = np.minimum(number_of(text.kinds == NAME), 6) / 6
    numbers = np.minimum(number_of((text.kinds == NUMBER) | (text.kinds == CODE)), 4) / 4
    dated = np.minimum(number_of(dates), 4) / 4
    words = set(query.words)
    when = float(bool(words & {"when", "year", "date", "day"}))
    who = float(bool(words & {"who", "whom", "whose", "name"}))
    many = float(bool(words & {"many", "much", "number", "often", "long", "old", "far", "tall"}))
    where = float(bool(words & {"where", "place", "country", "city", "located", "location"}))
    other = float(not (when or who or many or where))
    out: list[npt.ArrayLike] = [names, numbers, dated, names * who, names * where, names * other, numbers * many]
    return [*out, dated * when, (dated > 0) * when, (numbers > 0) * many, (names > 0.2) * who]


def _side_by_side(text: _Text, exact: Floats, idf: Floats) -> Floats:
    """[rows] idf of query terms that follow each other as in the query."""
    number = np.where((exact > 0).any(0), exact.argmax(0), -2)[text.slot]
    pair = (number[1:] == number[:-1] + 1) & (number[:-1] >= 0) & (text.row[1:] == text.row[:-1])
    at = np.flatnonzero(pair)
    return np.bincount(text.row[at], idf[number[at]] + idf[number[at + 1]], text.rows).astype(np.float32)


def _saturated(times: Floats, lengths: Floats) -> Floats:
    norm = np.float32(K1) * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
    out: Floats = (times * (K1 + 1) / (times + norm)).astype(np.float32)
    return out


def _neighbours(document: Ints) -> tuple[Ints, Ints]:
    """[n] the unit before and the one after in the same document, or the unit itself."""
    at = np.arange(len(document))
    same = document[1:] == document[:-1]
    return at - np.append(False, same), at + np.append(same, False)


def _unit(vectors: Floats) -> Floats:
    out: Floats = (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)).astype(np.float32)
    return out


def _network(x: Floats, model: WordVectors) -> Floats:
    first, first_bias, second, second_bias = model.layers
    hidden = np.tanh(multiply((x - model.mean) / model.scale, first) + first_bias)
    out: Floats = hidden @ second + second_bias[0]
    return out
