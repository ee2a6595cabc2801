"""Recognises what an agent's sentence states: a promise, a cause found, a decision, or that something is done.

The phrases are those of eight languages: English, German, French, Spanish, Portuguese, Russian, Chinese and Japanese.
"""

from __future__ import annotations

import re

_PROMISE = re.compile(
    # English
    r"\bto-?do\b(?! ?(?:list|app|item|file|s\b))|\b(?:must |should |need to )?remember to\b|\bdon['’]t forget\b"
    r"|\b(?:come|get|circle) back to\b(?! (?:you|me|us|normal)\b)|\brevisit\b|\bfollow[- ]up\b(?= (?:on|with|later"
    r"|needed))"
    r"|\bstill (?:need|needs|have|has|ha[sd]n['’]?t|fail(?:s|ing)?|broken|missing|open|pending)\b"
    r"|\b(?:remains|left|yet) to (?:do|be)\b|\bnot (?:done|finished|fixed|resolved|implemented) yet\b"
    r"|\bnot yet (?:done|finished|fixed|resolved|implemented)\b|\bbefore (?:i|we) (?:finish|are done|am done|merge"
    r"|close)\b"
    r"|\b(?:i|we)(?:['’]ll| will| have to| need to| must)\b.{0,200}\b(?:later|afterwards?|at the end|once"
    r"|as soon as|before)\b"
    r"|\b(?:once|as soon as|when|after)\b.{0,200}\b(?:i|we)(?:['’]ll| will)\b"
    # German
    r"|\bspäter\b|\bnoch (?:zu )?(?:tun|erledigen|offen|aus|fehl)|\bsteht noch\b|\bkomme\b.{0,200}\bzurück\b"
    r"|\bnicht vergessen\b|\bschlägt (?:immer )?noch fehl|\bmuss (?:ich |noch |später )+\b|\bhole ich nach\b"
    # French
    r"|\bplus tard\b|\breste (?:encore )?à\b|\bje (?:re)?viendrai\b|\bj['’]y reviendrai\b|\béchoue (?:encore|toujours)"
    r"|\bne pas oublier\b|\bil faudra\b"
    # Spanish and Portuguese
    r"|\bmás tarde\b|\bmás adelante\b|\bpendientes?\b|\bvolver[ée]\b|\bqueda(?:n)? por\b|\bsigue fallando\b"
    r"|\bno olvidar\b"
    r"|\bfalta \w+[aei]r\b|\bmais tarde\b|\bpendentes?\b|\bvoltarei\b|\bfalta (?:ainda )?\w+[aei]r\b|\bainda falha"
    r"|\bnão esquecer\b"
    # Russian, Chinese, Japanese
    r"|\bпозже\b|\bпотом\b|\bвернусь\b|\bосталось\b|\bещё (?:нужно|надо|не|падает)|\bеще (?:нужно|надо|не|падает)"
    r"|\bне забыть\b|\bвсё ещё пада|稍后|稍後|回头|回頭|之后再|之後再|以后再|待办|待辦|尚未|还需要|還需要|还没"
    r"|還沒|仍然失败|仍然失敗|别忘"
    r"|後で|あとで|後ほど|まだ.{0,30}(?:ない|ません|失敗|残)|残って|未完了|未対応|忘れずに",
    re.IGNORECASE,
)
_DECISION = re.compile(
    r"\bdecisions?\b|\bdecided\b|\bagreed (?:on|to|that)\b"
    r"|\b(?:i|we)(?:['’]ll| will|['’]ve| have)? (?:keep|kept)\b(?! \w+ing\b)"
    r"|\b(?:i|we)(?:['’]ll| will|['’]ve| have)? (?:chose|chosen|choose|went with|going with|go with|stick (?:to"
    r"|with)|settled on)\b"
    r"|\b(?:instead of|rather than)\b.{0,200}\b(?:because|since|as)\b"
    r"|\bentscheid|\bentschied|\bentschlossen\b|\bwir (?:bleiben bei|nehmen)\b|\bich (?:bleibe bei|behalte)\b"
    r"|\bdécid|\bdécision|\bnous gardons\b|\bje garde\b|\bon garde\b|\bdecid[íiou]|\bdecisi[óo]n|\bdecis[ãa]o\b"
    r"|\bdecidi"
    r"|\bhe optado\b|\bme quedo con\b|\bmantengo\b|\bmantenho\b|\boptei\b"
    r"|\bреш(?:ил|ение|ено|или)|\bостав(?:ляю|ил|им)\b|\bвыбрал|决定|決定|决策|选择了|選擇了|采用|採用|保留"
    r"|ことにした|ことにします|ことにしました",
    re.IGNORECASE,
)
_CAUSE = re.compile(
    r"\broot cause\b|\b(?:the )?(?:cause|reason) (?:is|was|found|for|of)\b(?! not\b)|\bculprit\b|\bturns? out\b"
    r"|\bcaused by\b"
    r"|\bthe (?:bug|problem|issue|error|failure) (?:is|was|lies|comes)\b(?! (?:now |already )?(?:fixed|solved"
    r"|resolved|gone|not))"
    r"|\bursache\b|\b(?:liegt|lag) daran\b|\bder grund (?:ist|war|dafür)\b|\bdas problem (?:ist|war|liegt)\b"
    r"|\bla cause\b|\ble problème (?:vient|est|était)\b|\bprovient de\b|\bla raison\b"
    r"|\bla causa\b|\bel problema (?:es|era|está|viene)\b|\ba causa\b|\bo problema (?:é|era|está|vem)\b"
    r"|\bse debe a\b|\bdeve-se a\b"
    r"|\bпричин|\bпроблема в\b|\bдело в\b|根本原因|原因是|原因为|原因為|问题出在|問題出在|问题在于|問題在於|根因"
    r"|原因は|原因が|問題は",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:done|fixed|finished|completed?|resolved|solved|pass(?:es|ed|ing)?|green|works now|ran|applied|merged"
    r"|no longer"
    r"|closed|implemented|updated|added|deployed|removed|taken care of)\b"
    r"|\berledigt\b|\bbehoben\b|\bfertig\b|\bgelöst\b|\babgeschlossen\b|\bläuft (?:jetzt|nun|wieder)\b"
    r"|\bbesteht (?:jetzt|nun)\b"
    r"|\b(?:c['’]est |est |ai |a été )?(?:fait|corrigée?|terminée?|résolue?|réglée?)\b|\bpasse (?:maintenant"
    r"|désormais)\b"
    r"|\bhech[oa]\b|\barreglad[oa]|\bresuelt[oa]|\bcorregid[oa]|\bterminad[oa]|\bcompletad[oa]|\bya pasa\b"
    r"|\bfeit[oa]\b|\bcorrigid[oa]|\bresolvid[oa]|\bconcluíd[oa]|\bpronto\b|\bagora passa\b"
    r"|\b(?:готов[оаы]?|сделан[оаы]?|исправлен[оаы]?|исправил[аи]?|решен[оаы]?|решён|закончен[оаы]?|закончил"
    r"|завершен[оаы]?"
    r"|проходит|выполнен[оаы]?)\b"
    r"|已完成|完成了|已修复|修复了|已修復|修復了|已解决|已解決|解决了|解決了|通过了|通過了|搞定|已经完成|已處理|已处理"
    r"|完了|修正しました|修正済|直しました|直った|解決しました|解決済|済み|対応しました|通りました|終わりました",
    re.IGNORECASE,
)
_NOT_DONE = re.compile(
    r"\b(?:not|never|cannot|isn['’]?t|wasn['’]?t|hasn['’]?t|haven['’]?t|aren['’]?t|nicht|noch|kein\w*|pas|jamais"
    r"|encore|aún|todavía"
    r"|ainda|не|ещё|еще|until|once|when|after|if|wenn|sobald|quand|si|cuando|quando|если|когда|to be|before|bis)\b"
    r"|\b(?:no|não|ne|n['’]est) \w|还没|還沒|没有|沒有|尚未|未|不|まだ|ない|ません|たら|如果|等",
    re.IGNORECASE,
)
_NO_LONGER = re.compile(r"\bno longer\b", re.IGNORECASE)
MAX_CHARS_BEFORE = 40  # between a word that denies and what it denies


def statement_kind(sentence: str) -> str:
    """Returns "promise", "cause" or "decision", or "" for any other sentence."""
    for kind, phrases in (("promise", _PROMISE), ("cause", _CAUSE), ("decision", _DECISION)):
        if phrases.search(sentence):
            return kind
    return ""


def says_done(sentence: str) -> bool:
    """Returns whether a sentence says that something is done, and not that it is not."""
    for found in _DONE.finditer(sentence):
        if _NO_LONGER.match(found[0]):
            return True
        around = sentence[max(0, found.start() - MAX_CHARS_BEFORE) : found.end()]
        if not _NOT_DONE.search(around):
            return True
    return False
