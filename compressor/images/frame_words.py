"""The words by which people and agents refer to images: in English, German, Spanish, French and Chinese."""

from __future__ import annotations

import re

_SHOT = (
    r"screen ?shots?|screen ?captures?|screen ?grabs?|Bildschirmfotos?|Bildschirmaufnahmen?|Bildschirmabz\w+"
    r"|capturas?(?: de pantalla)?|pantallazos?|captures?(?: d['’]écran)?|屏幕截图|截图|截屏|快照"
)
_PICTURE = (
    r"images?|pictures?|photos?|frames?|charts?|diagrams?|graphs?|plots?|figures?|drawings?|sketch(?:es)?|mock-?ups?"
    r"|Bild(?:er|ern|es|s)?|Abbildung(?:en)?|Fotos?|Diagramme?|Grafik(?:en)?|imágen(?:es)?|imagen(?:es)?|fotos?|gráfic[oa]s?"
    r"|graphiques?|图片|图像|照片|图表|图"
)
_NOUN = rf"(?:(?P<shot>{_SHOT})|(?P<picture>{_PICTURE}))"
_ANY = rf"{_SHOT}|{_PICTURE}"
#: Ordinals of five languages, or their stems -> numbers.
_NUMBERS = {
    **dict(zip(("first", "second", "third", "fourth", "fifth"), range(1, 6), strict=True)),
    **dict(zip(("erst", "zweit", "dritt", "viert", "fünft"), range(1, 6), strict=True)),
    **dict(zip(("primer", "segund", "tercer", "cuart", "quint"), range(1, 6), strict=True)),
    **dict(zip(("premi", "deuxième", "troisième", "quatrième", "cinquième"), range(1, 6), strict=True)),
    **dict(zip("一二三四五六七八九十", range(1, 11), strict=True)),
    "两": 2,
    "initial": 1,
    "original": 1,
}
_ORDINAL = (
    r"(?P<ordinal>first|second|third|fourth|fifth|initial|original|1st|2nd|3rd|[4-9]th|[1-9]\dth|erste[nrsm]?|zweite[nrsm]?"
    r"|dritte[nrsm]?|vierte[nrsm]?|fünfte[nrsm]?|primer[ao]?|segund[ao]|tercer[ao]?|cuart[ao]|quint[ao]|premi(?:er|ère)"
    r"|deuxième|troisième|quatrième|cinquième)"
)
_BACK = (
    r"(?:previous|earlier|prior|preceding|last|older|before|vorherig\w*|vorig\w*|früher\w*|letzte\w*|anterior(?:es)?|última"
    r"|último|précédente?s?|dernière?|之前的?|上一[张幅个]?|前一[张幅个]?|先前的?|前面的?)"
)
_AFTER_BACK = (
    r"(?:above|earlier|before|from earlier|shown earlier|oben|zuvor|anterior(?:es)?|de arriba|précédente?s?|ci-dessus)"
)

NUMBERED = re.compile(
    rf"(?<![A-Za-z\dÀ-ÿ_/.-]){_NOUN}\s*(?:no\.?|number|nr\.?|núm\.?|numéro|n°|#|№)?\s*(?P<number>\d{{1,4}})"
    r"(?:\s*(?:and|&|,|und|y|et|和|/|(?P<range>-|–|to|bis|through|a|à|到|至))\s*(?P<last>\d{1,4}))?(?![\w%×]|[.,:]\d|\s*(?:x|×|px|by|of|von|sur)\s*\d)",
    re.IGNORECASE,
)
NTH = re.compile(rf"\b{_ORDINAL}\s+(?:\w+\s+)?{_NOUN}\b", re.IGNORECASE)
NTH_CHINESE = re.compile(rf"第(?P<number>[一二两三四五六七八九十]|\d{{1,3}})[张幅个]{_NOUN}")
OF_STEP = re.compile(
    rf"(?<![A-Za-zÀ-ÿ_]){_NOUN}\s+(?:from|at|in|of|after|taken in)\s+step\s+(?P<number>\d{{1,3}})\b", re.I
)
BACK_BEFORE = re.compile(rf"(?<![A-Za-zÀ-ÿ_]){_BACK}\s*(?:\w+\s+)?{_NOUN}(?![A-Za-zÀ-ÿ_])|上图|前图", re.IGNORECASE)
BACK_AFTER = re.compile(
    rf"(?<!\w){_NOUN}\s+(?:I |you |we |from |that |which |\w+ ){{0,3}}?{_AFTER_BACK}\b", re.IGNORECASE
)
MINE = re.compile(
    rf"\bmy\s+(?:\w+\s+)?(?:{_ANY})|\b(?:{_ANY})\s+(?:that |which )?I\s+(?:have |had |'ve |just )?"
    r"(?:sent|gave|shared|upload\w*|attach\w*|post\w*|show\w*|provid\w*)"
    r"|\b(?:user'?s?|uploaded|attached|provided)\s+(?:\w+\s+)?(?:images?|pictures?|photos?|screenshots?)"
    r"|\bmein\w*\s+(?:Bild|Foto|Screenshot)|\bmi\s+(?:imagen|foto|captura)|\bmon\s+image|\bma\s+(?:photo|capture)"
    r"|我(?:发|上传|给|提供)的?(?:那张)?(?:图片|截图|照片|图)",
    re.IGNORECASE,
)
NAMED_KEY = re.compile(
    r"\"(?:image|screenshot|frame|picture)_?(?:index|number|id|no|num)\"\s*:\s*\"?(?P<number>\d{1,4})\b", re.IGNORECASE
)
SEEN = re.compile(
    r"\b(?:as (?:seen|shown)|(?:i|we) (?:saw|noticed|found)|showed|was shown|seen|earlier|before|previous\w*"
    r"|back (?:to|on|at)|compare\w*|remember\w*|zuvor|vorhin|früher|antes|visto|avant|vu|之前|刚才|看到)",
    re.IGNORECASE,
)
#: Any word for an image.
ANY_NOUN = re.compile(_ANY, re.IGNORECASE)
#: Words that a screenshot and a photo are both called.
GENERAL_NOUNS = frozenset(
    ("image", "images", "frame", "frames", "picture", "pictures", "bild", "imagen", "图", "图片", "")
)


def ordinal_number(word: str) -> int:
    """Returns the number that an ordinal stands for, or 0.

    Args:
        word: A word that `NTH` or `NTH_CHINESE` found, such as "first", "zweiten", "tercera" or "三".
    """
    word = word.lower()
    if digits := re.match(r"\d+", word):
        return int(digits[0])
    return next((number for stem, number in _NUMBERS.items() if word.startswith(stem)), 0)
