"""Lists the other forms in which a text may have a word of the query, such as `retries` for `retried`.

The query is expanded; texts are not stemmed further. So a text's terms stay the ones that the learned models know, and
other languages cost nothing where nobody uses them. Endings are exchanged without a dictionary: most of the forms that
come out do not exist, which does no harm, since no text has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from compressor.native import load_kernel
from compressor.scoring.token_index import plain_word, stem

_MIN_ROOT = 3  # letters
#: Endings that may stand in for each other, by language; without accents, because terms have none.
_ENDINGS = {
    "de": "e en er es em ern n s t te ten st est et ung ungen nen",
    "fr": """
        s e es x aux al er ee ees ez ent ant ait aient ai a ons ons ir it is issent eur eurs eux euse tion tions
        ation ations ement ements""",
    "es": """
        s es o a os as ar er ir ado ada ados adas ido ida idos idas ando iendo o io aron ieron aba aban ara an
        en e cion ciones acion aciones amiento amientos mente""",
    "pt": """
        s es o a os as ar er ir ado ada ados adas ido ida idos idas ando endo ou eu iu aram eram iram ava avam
        am em e cao coes acao acoes amento amentos mente ao oes al ais el eis""",
    "it": """
        o a i e he hi are ere ire ato ata ati ate ito ita iti ite uto uta uti ute ando endo ano ono ava avano
        ero ione ioni azione azioni amento amenti mente""",
    "nl": "s en e t te ten de den er ers eren",
    "pl": """
        a e i o u y ow owi em om ami ach a ie ia iu ej ego emu ymi ych ym imi ich im iej iego al ala alo ali aly
        ac ano any ana ane ono ony ona one il ila ili ki ka ke ku""",
    "ru": """
        а я о е и ы у ю ь й ов ев ей ий ый ой ая яя ое ее ые ие ого его ому ему ым им ых их ую юю ом ем ам ям
        ами ями ах ях ия ии ию ией ть л ла ло ли ет ит ют ят ут ат ен ена ено ены на но ны н ал ала ало али ил
        ила ило или ать ить еть ок ка ку ки ком ков""",
    "uk": """
        а я о е и і у ю ь й ів їв ей ий ій ою ею ої а яя е і ого ього ому ім им их ів ом ем єм ам ям ами ями ах
        ях ія ії ію ією ти в ла ло ли є ить ять уть ють ать ано ено но на ний ена ені ана ані ав ала ало али ив
        ила ило или ати ити ок ка ку ки ком ків""",
    "tr": """
        lar ler i u in un nin nun a e ya ye yi yu de da te ta den dan ten tan si su lari leri larin lerin larda
        lerde lardan lerden im imiz iniz di du ti tu dim mek mak me ma ildi ilmis iyor iyordu ecek acak mis mus
        ndi nmis ndu""",
    "sv": "a e n en et ar er or na arna erna orna ens ets s t de te ade ad at das des des arnas er",
    "id": "kan an i nya lah kah",
    "hi": "ा ी े ो ों ें ीं ां ाँ ियां ियाँ ियों ि ओं एं ता ते ती ना ने नी या ये यी ई",
    "ar": "ه ها هم نا ات ان ين ون ة ي ية يه ا ت وا",
}
#: What may stand before a word, with the same purpose.
_BEGINNINGS = {
    "ar": "ال وال بال كال فال لل و ب ل ف",
    "id": "di me mem men meng meny ber ter pe pem pen peng per ke",
}
_SETS = {language: tuple(sorted(set(text.split()), key=lambda e: (-len(e), e))) for language, text in _ENDINGS.items()}
_FRONTS = {language: tuple(sorted(set(t.split()), key=lambda e: (-len(e), e))) for language, t in _BEGINNINGS.items()}
#: Endings, how many letters must stand before one, and what may have stood in its place.
_ENGLISH_ENDINGS = (
    ("ies", 2, ("y", "ie")),
    ("ied", 2, ("y", "ie")),
    ("ying", 1, ("y", "ie")),
    ("es", 2, ("", "e")),
    ("s", 2, ("",)),
    ("ed", 2, ("", "e")),
    ("ing", 2, ("", "e")),
    ("ment", 4, ("",)),
    ("ation", 4, ("", "e")),
    ("ion", 5, ("", "e")),
)
_VOWELS, _DOUBLED = "aeiou", "bdglmnprt"


@lru_cache(maxsize=4096)
def word_forms(word: str, languages: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the terms that other forms of a word of the query have in a text.

    Args:
        word: The word in lower case and without accents.
        languages: The languages of the query, see `find_languages`.

    Returns:
        Terms other than the word's own, in order. None for numbers, apart from leading zeros.
    """
    if word.isdigit():
        return _number_forms(word)
    if word.isascii() and not word.isalpha():
        return ()
    if not languages:
        return ()
    return _list_forms(word, languages) if word.isascii() else exchange_endings(word, languages)


def exchange_endings(word: str, languages: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the terms of other forms of a word in order; the reference for the native kernel `word_forms`.

    Args:
        word: The word, which is of lower-case letters if it is of ASCII.
        languages: The languages.
    """
    shown = stem if word.isascii() else plain_word
    out: dict[str, None] = {}
    for language in languages:
        found = _english(word) if language == "en" else _exchanged(word, language) if language in _SETS else ()
        out |= dict.fromkeys(map(shown, found))
    out.pop(shown(word), None)
    return tuple(out)


def _number_forms(term: str) -> tuple[str, ...]:
    """The day or month of a date with and without its leading zero."""
    if len(term) == 1:
        return ("0" + term,)
    return (term[1],) if len(term) == 2 and term[0] == "0" else ()


def _english(word: str) -> list[str]:
    """Regular inflections of an English word, and the nouns in `-ment`, `-ation` and `-ion` of a verb."""
    if len(word) < 3 or not word.isascii():
        return []
    out: dict[str, None] = {}
    for base in _english_bases(word):
        if len(base) < 3:
            continue
        ends: tuple[str, ...]
        if base[-1] == "y" and base[-2] not in _VOWELS:
            ends = (base, base[:-1] + "ies", base[:-1] + "ied", base + "ing")
        elif base.endswith("ie"):
            ends = (base, base + "s", base + "d", base[:-2] + "ying")
        elif base[-1] == "e":
            ends = (base, base + "s", base + "d", base[:-1] + "ing")
        else:
            ends = (base, base + "s", base + "es", base + "ed", base + "ing")
        out |= dict.fromkeys(ends)
        if base[-1] in _DOUBLED and base[-2] in _VOWELS:
            out |= dict.fromkeys((base + base[-1] + "ed", base + base[-1] + "ing"))
        body = base.removesuffix("e")
        if len(base) >= 4:
            out |= dict.fromkeys((base + "ment", body + "ation"))
        if len(body) >= 5:
            out[body + "ion"] = None
    return list(out)


def _english_bases(word: str) -> list[str]:
    """What the word may be a form of, without a dictionary, and the word itself."""
    out = dict.fromkeys([word])
    for form in [word, word[:-1]] if word.endswith(("ions", "ments")) else [word]:
        for ending, least, instead in _ENGLISH_ENDINGS:
            root = form[: -len(ending)]
            if form.endswith(ending) and len(root) >= least:
                out |= dict.fromkeys(root + new for new in instead)
                if len(root) > 3 and root[-1] == root[-2] and root[-1] not in _VOWELS:
                    out[root[:-1]] = None
    return list(out)


def _exchanged(word: str, language: str) -> list[str]:
    """The word with each ending, and each beginning, of the language in place of its own."""
    fronts, endings = _FRONTS.get(language, ()), _SETS[language]
    least = _least_root(language)
    bodies = [word] + [word[len(f) :] for f in fronts if word.startswith(f) and len(word) - len(f) > least]
    roots = dict.fromkeys(r for body in bodies for r in (body, *_roots(body, endings, least)))
    return [front + root + ending for root in roots for front in ("", *fronts) for ending in ("", *endings)]


def _least_root(language: str) -> int:
    """How many letters of a word an ending must leave."""
    return 2 if language in ("hi", "ar") else _MIN_ROOT


def _roots(word: str, endings: Sequence[str], least: int) -> list[str]:
    """What is left without the longest ending of the word, and without a shorter one that leaves a longer root."""
    found = [
        word[: -len(e)] for e in endings if word.endswith(e) and len(word) - len(e) >= max(least, 2 * len(word) // 5)
    ]
    return found[:2]


_kernel = load_kernel("word_forms")
_list_forms: Callable[[str, tuple[str, ...]], tuple[str, ...]] = (
    exchange_endings
    if _kernel is None
    else _kernel.WordForms(
        *(_ENGLISH_ENDINGS, _VOWELS, _DOUBLED),
        {language: (_least_root(language), _FRONTS.get(language, ()), endings) for language, endings in _SETS.items()},
    ).list_forms
)
