"""Tells which sentences of a description a caller must know: rules, warnings, formats, limits, meanings of values.

The words are English, German, French, Spanish, Portuguese, Italian, Dutch, Russian, Chinese and Japanese.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

_WORDS = (
    # English: obligation and prohibition
    r"must|mandatory|only|never|always|do not|don't|does not|doesn't|not|cannot|can't|won't|may not|shall|should|avoid"
    r"|refuse[sd]?"
    r"|otherwise|or else|require[sd]?|requirement|unless|except|instead|prefer(?:red)?|ensure|make sure|be sure"
    # order, consent and danger
    r"|before (?:calling|using|you|this|any|it)|after (?:calling|the user|you|confirm\w*)|call (?:this )?(?:\w+ )?first"
    r"|first call|ask (?:the )?users?|prior to"
    r"|confirm\w*|consent|approv\w+|permissions?|warning|caution|careful\w*|danger\w*|unsafe"
    r"|destructive|irreversibl[ey]|reversible|undo(?:ne)?|permanent(?:ly)?|overwrit\w+|delet\w+ all|lost|loss"
    r"|deprecated|obsolete|legacy|superseded|removed in|experimental|sensitive|secrets?|credentials?|charge[sd]?|billed"
    # limits and formats
    r"|max(?:imum)?|min(?:imum)?|at (?:most|least)|up to|no (?:more|less|fewer) than|more than one|exactly"
    r"|limit(?:ed|s)?"
    r"|range|between|rate|per (?:second|minute|hour|day|call|request|page)|format(?:ted|s)?|iso|rfc|utc|gmt|e\.164"
    r"|regex(?:p)?|pattern|encoded|base64|absolute|relative|case[- ](?:in)?sensitive|comma[- ]separated|unit|units"
    r"|in (?:milli|micro)?seconds|in (?:minutes|hours|days|cents|meters|metres|bytes|pixels|percent|degrees)"
    r"|defaults?"
    r"|ignored|invalid|fails?|error|mutually exclusive|either|neither|one of|combined? with|valid (?:values|options)"
    # German, Dutch
    r"|muss|müssen|darf|dürfen|nur|nie(?:mals)?|nicht|kein\w*|immer|vorher|zuerst|bestätig\w+|zustimm\w+|warnung|achtung"
    r"|vorsicht|unwiderruflich|endgültig|rückgängig|veraltet|stattdessen|höchstens|mindestens|maximal|minimal|absolut\w*"
    r"|sonst|andernfalls|erforderlich|pflicht|überschreib\w+|gefährlich|moet(?:en)?|alleen|nooit|niet|bevestig\w+"
    # French
    r"|doit|doivent|uniquement|seulement|jamais|ne \w+ pas|n'\w+ pas|toujours|avant|obligatoire\w*|requis\w*|attention"
    r"|avertissement|irréversible\w*|définitive\w*|obsolète\w*|déprécié\w*|confirm\w+|absolu\w*|écras\w+|sinon|d'abord"
    # Spanish, Portuguese, Italian
    r"|debe[ns]?|deve[m]?|solo|sólo|solamente|únicamente|somente|apenas|nunca|siempre|sempre|antes de|obligatori\w+"
    r"|obrigatóri\w+|obbligatori\w+|requerid\w+|advertencia|atención|atenção|attenzione|irreversible\w*|irreversível"
    r"|irreversibile|permanente\w*|obsolet\w+|máximo|mínimo|massimo|absolut[ao]|assolut[ao]"
    r"|de lo contrario|primero|prima di|sobrescrib\w+|mai|devono"
    # Russian
    r"|должен|должна|должны|нельзя|только|никогда|обязательн\w+|необратим\w+|устарел\w*|подтвержд\w+|подтверд\w+|осторожно"
)
_UNSEGMENTED = (
    r"必须|必須|务必|不得|禁止|不要|请勿|切勿|不能|仅|只能|只有|只在|确认|確認|警告|注意|不可逆|不可撤销|无法撤销|永久|危险|弃用|已废弃"
    r"|最多|最大|最小|至少|格式|绝对路径|覆盖|之前|先调用|默认|单位|必要|のみ|だけ|してはいけ|しないで|ないでください|なければ|必ず|元に戻せ"
    r"|取り消せ|非推奨|代わりに|最大|最小|以内|以上|以下|形式|絶対パス|上書き|前に|単位|禁じ"
)
#: Words of a warning: the call does harm, needs consent, or must not be made.
_WARNING_WORDS = (
    r"never|must not|mustn't|(?:do|does) not (?:use|call|run|invoke)|don't (?:use|call|run|invoke)|cannot be undone"
    r"|can't be undone|not reversible|irreversibl[ey]|destructive|permanent(?:ly)?|unsafe|danger\w*|caution|careful\w*"
    r"|warning|without (?:warning|asking|confirmation)|deprecated|obsolete|superseded|use \w+ instead|confirm(?:s|ed)?"
    r"|(?:user|customer|owner)(?:'s)? (?:consent|approval|confirmation|permission|agrees)|explicit (?:consent|approval)"
    r"|explicit(?:ly)? (?:asks?|requests?|asked|requested)|ask (?:the )?users?|at your own risk|real money"
    r"|(?:is|be|are) charged"
    r"|niemals?|nicht rückgängig|unwiderruflich|endgültig|achtung|vorsicht|warnung|gefährlich|bestätig\w+|zustimm\w+"
    r"|veraltet|nicht (?:verwenden|aufrufen|benutzen)|einwilligung|onomkeerbaar|nooit|bevestig\w+"
    r"|jamais|irréversible\w*|définitiv\w+|attention ?[:!]|avertissement|danger\w*|obsolète\w*|déprécié\w*|l'accord"
    r"|(?:after|with|without|needs?|requires?|après|avec|sans) (?:[\w']+ ){0,2}confirmation"
    r"|confirm[ée]\w*|ne pas (?:utiliser|appeler)|n'utilisez pas"
    r"|nunca|jamás|irreversib\w+|advertencia|atención|atenção|attenzione|peligros\w+|perigos\w+|pericolos\w+|obsolet\w+"
    r"|confirm[aeoi]\w*|no (?:use|usar|utilice|llame)|não (?:use|usar|chame)|consentimiento|consentimento|mai"
    r"|необратим\w+|никогда|нельзя|осторожно|подтвержд\w+|подтверд\w+|устарел\w*|внимание|опасн\w+"
)
_UNSEGMENTED_WARNING = (
    r"不可撤销|不可逆|无法撤销|无法恢复|不能恢复|警告|危险|切勿|请勿|禁止|不得|确认|確認|同意|弃用|已废弃|永久"
    r"|元に戻せ|取り消せ|危険|非推奨|許可|承認|ないでください|してはいけ|決して|破壊的"
)
_WARNING = re.compile(rf"(?<!\w)(?:{_WARNING_WORDS})(?!\w)|{_UNSEGMENTED_WARNING}", re.I)
_RULE = re.compile(rf"(?<!\w)(?:{_WORDS})(?!\w)|{_UNSEGMENTED}", re.I)
#: What a value looks like: dates and times, ranges, codes, quoted samples of a fixed shape.
_FORMAT = re.compile(
    r"YYYY|JJJJ|AAAA|MM[-/]|HH:|hh:|\d{4}-\d\d|\d+\s?(?:[-–]|to|bis|à|a|до|至|から)\s?\d+|[<>≤≥]=?\s?\d|\\d|\[0-9|\^"
    r"|[A-Z]{2}-[A-Z]{2}"
)
_UNIT = re.compile(
    r"\b(?:EUR|USD|GBP|CHF|JPY|cents?|Celsius|Fahrenheit|kelvin)\b"
    r"|\((?:in )?(?:ms|s|sec|min|h|kg|g|lb|m|km|cm|mm|mi|°?[CFK]|%|px|[kMG]i?B|USD|EUR|cents?)\)",
    re.I,
)
_EXAMPLE = re.compile(r"\s*(?:[-*]\s*)?(?:for example|examples?\b|e\.g\.|for instance|usage\b)", re.I)
_MIN_OTHER_WORDS = 2  # words of a sentence beside a value of an enum, from which it explains the value


@lru_cache(maxsize=8192)
def split_sentences(text: str) -> tuple[str, ...]:
    """Splits a text into sentences, which together are the text."""
    starts = sentence_starts(text)
    return tuple(text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True))


@lru_cache(maxsize=16384)
def is_rule(sentence: str) -> bool:
    """Whether a sentence states a rule, a warning, a format or a limit. Sentences that only give examples do not."""
    if _EXAMPLE.match(sentence):
        return bool(_FORMAT.search(sentence)) and len(sentence) < 120
    return bool(
        _RULE.search(sentence) or _WARNING.search(sentence) or _FORMAT.search(sentence) or _UNIT.search(sentence)
    )


@lru_cache(maxsize=16384)
def is_warning(sentence: str) -> bool:
    """Whether a sentence warns of a call: it does harm, needs consent, or must not be made."""
    return bool(_WARNING.search(sentence)) and not _EXAMPLE.match(sentence)


def explains_value(sentence: str, values: Collection[str]) -> bool:
    """Whether a sentence tells what one of the values of an enum means."""
    lowered = sentence.lower()
    named = [value for value in values if value and value.lower() in lowered]
    if not named:
        return False
    own = {term for value in named for term in terms(value)}
    others = [term for term in terms(sentence) if term not in own and term not in STOP]
    return len(others) >= _MIN_OTHER_WORDS * len(named)


@lru_cache(maxsize=16384)
def count_rules(text: str) -> int:
    """Returns the number of sentences of a text that state a rule."""
    return sum(map(is_rule, split_sentences(text))) if text else 0


@lru_cache(maxsize=8192)
def count_warnings(text: str) -> int:
    """Returns the number of sentences of a text that warn of a call."""
    return sum(map(is_warning, split_sentences(text))) if text else 0
