"""Classifies sentences of an agent's reasoning by English phrases: result, decision, failed attempt, plan or filler.

These are rules about words. A sentence that no rule matches is neutral, and so are other languages.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.native import load_kernel
from compressor.text.phrase_automaton import PhraseAutomaton


class ReasoningKind(IntEnum):
    """The kinds of sentences. If several fit, the highest wins, except for REPEAT, which is decided last."""

    REPEAT = 0  # a newer sentence says the same
    CONNECTIVE = 1
    PLAN = 2
    NEUTRAL = 3
    FAILED = 4
    DECISION = 5
    RESULT = 6


_KINDS = tuple(ReasoningKind)
UNDECIDED = -1  # by the native kernel, which leaves a sentence to the code here
MAX_READ_CHARS = 1_000  # characters of a sentence that are read
MAX_CACHE_BYTES = 4 << 20  # of sentences that the code here has read

_STOPS, _DASHES = ".!?:;…", "—–"
_CLAUSE = re.compile(rf"(?<=[{_STOPS}])\s+|\n+|\s+[{_DASHES}]\s+")
_FILLERS = " .!?,:;"  # A clause of these alone says nothing.
_BULLET_PATTERN = r"(?:</?think(?:ing)?>|[\s>*\#_`-]|\(?\d{1,3}[.)]\s)+"
_BULLET = re.compile(_BULLET_PATTERN)
_OPENING_WORDS = r"""
    (?:okay|ok|so|well|hm+|wait|hold\ on|actually|alright|all\ right|right|now|but|and|then|also|oh|ah|aha
    |anyway|again|great|perfect|good|sure|yes|no|yeah|indeed|next|first(?:ly)?|second(?:ly)?|finally|let'?s\ see
    |let\ me\ see)\b"""
#: It opens a clause only before three words: "I think that will do" is all there is.
_BELIEF = r"i\ (?:think|guess|suppose|believe|feel)(?:\ that|\ like)?\b"
_THREE_WORDS = r"\ \w+\ \w+\ \w+"
_PAUSE = r"[\s,.!…—-]*"
_OPENER = re.compile(rf"(?:{_OPENING_WORDS}|{_BELIEF}(?={_THREE_WORDS})){_PAUSE}", re.X)
#: Talk about the thinking itself, repetitions of the task and politeness, at the start of a clause.
_TALK_PATTERN = r"""
    (?:i\ (?:really\ )?(?:need|have|want|should|must)\ (?:to\ )?|let\ (?:me|us)\ |let'?s\ |i'?(?:ll|\ will)\ |
        (?:just\ )?to\ )
      (?:just\ |quickly\ |carefully\ |first\ )*
      (?:think|see|consider|recall|reconsider|rethink|reread|re-\w+|recheck|double[- ]check|triple[- ]check|verify|
         recap|pause|reflect|restate|ponder|reason|be\ (?:careful|sure|clear)|make\ sure|make\ sense|step\ back|
         start\ (?:over|again|by\ understanding)|break\ (?:this|it|that)\ down|
         (?:go|work|think|walk)\ (?:over|through)|figure\ (?:this|it|that|out)|understand|look\ again|
         (?:check|look\ at|read|try|do|say)\ (?:this|that|it)?\ ?(?:again|once\ more))\b
    | the\ user\ (?:wants|is\ asking|asks|asked|would\ like|says|said|needs|mentioned|is\ looking)\b
    | (?:the|this)\ (?:question|problem|task|prompt)\ (?:is\ asking|asks|says|states|wants|seems|reads)\b
    | (?:i|we)(?:'(?:m|re)|\ am|\ are)\ (?:being\ )?(?:asked|told|not\ (?:entirely\ |quite\ )?sure|confused|
        overthinking|going\ (?:in|around\ in)\ circles|missing\ something|repeating|getting)\b
    | (?:i\ (?:think|guess|suppose|wonder)\b|(?:it|this|that)\ (?:does\ )?(?:seems?|feels?|sounds?|looks?|makes)\b
        |is\ (?:that|this|it)\b|what\ (?:if|about|else)\b|(?:this|that|it)(?:'s|\ is)\ (?:a\ |an\ )?(?:bit\ |very\ )?
        (?:good|interesting|fair|great|tricky|confusing|strange|odd|weird|important|right|fine|ok))\W*(?:\w+\W*){0,4}$
    | (?:please\ )?(?:let\ me\ know|feel\ free|don't\ hesitate)\b
    | i\ hope\ (?:this|that|it)\b | (?:is\ there\ )?anything\ else\b | (?:i'm\ |i\ am\ |i'd\ be\ )?happy\ to\ help
    | you're\ welcome | thank(?:s|\ you)\b[^,;:]{0,40}$ | i\ understand\b[^,;:]{0,40}$"""
_TALK = re.compile(_TALK_PATTERN, re.X)
#: "I will", but not "I will not".
_MODAL_PATTERN = r"""
    (?:i|we)(?:'(?:ll|d|m\ going\ to|re\ going\ to)|\ (?:will|would|should|shall|need\ to|have\ to|must|could|
        might|can|want\ to|am\ going\ to|are\ going\ to|plan\ to))\b"""
_NEGATION = r"(?:'t|\ ?not)"
_PLAN_PATTERN = r"""
    (?:let\ (?:me|us)\b | let'?s\b | (?:my|the)\ (?:plan|approach|next\ step|idea|strategy)\ (?:is|would|will)\b
    | (?:step|phase)\ \d+ | (?:maybe|perhaps|possibly)\ (?:i|we|it|the|there|this|that)\b | what\ if\b
    | (?:to\ do\ (?:this|that|so)|for\ (?:this|that))\b,?\ (?:i|we)\b)"""
_PLAN = re.compile(rf"{_MODAL_PATTERN}(?!{_NEGATION})|{_PLAN_PATTERN}", re.X)
_DECISION_PATTERN = r"""
    \b(?:decid(?:ed?|ing)|decision|conclud(?:e|ed)\ to|opt(?:ed|ing)?\ for|settl(?:e|ed|ing)\ (?:on|for)
    | (?:go|going|went|stick|sticking|stuck)\ (?:with|for)
    | recommend(?:ed|s|ation)? | on\ balance | agreed\ (?:to|that|on)
    | (?:i|we)(?:'ll|\ will|\ should|\ must)?\ (?:choose|chose|pick|picked|prefer|keep|kept
        |drop|dropped|skip|skipped|reject|rejected|switch(?:ed)?\ to|avoid|leave|left)\b
    | (?:use|using|used|do|done)\b[^.?!]{1,60}\b(?:instead|rather\ than) | instead\ of | rather\ than
    | (?:is|are|was|seems|looks)\ (?:the\ )?(?:best|better|safest|simplest|right|cleanest)\ (?:option|choice|approach|
        fix|way|one|place|than|to)\b | (?:must|should)\ (?:not|never|always)\b
    | (?:the\ )?user\ (?:confirmed|agreed|approved|accepted|declined|prefers|chose))\b"""
_DECISION = re.compile(_DECISION_PATTERN, re.X)
_FAILED_PATTERN = r"""
    \b(?:fail(?:s|ed|ing|ures?)?|(?:did|does|do|was|were|is|has|have|would|wo|ca|could)(?:n't|\ not)\ (?:
        work|help|match|fix|change|apply|compile|find|exist|hold|return|contain|able|found|enough|import|resolve|solve
        |have\ worked|the\ (?:cause|problem|issue|answer))
    | could(?:n't|\ not)|cannot|can't|unable\ to|impossible|no\ (?:such|luck|effect|results?|matches)
    | not\ (?:found|possible|allowed|eligible|supported|it|correct|right|valid)|tim(?:ed|es)\ out|rejected
    | denied|refused|crash(?:es|ed)?|broken?|breaks|dead[- ]end|wrong|incorrect|contradict(?:s|ion|ory|ed)|throws?|threw
    | raise[sd]|errors?|\w+(?:error|exception)|exception|regress(?:es|ed|ion)?|worse|mistake|ruled\ out|rules\ out
    | (?:changed|change|did|does|do|made|makes?|gave|gives|yield(?:s|ed)|return(?:s|ed)|found|show(?:s|ed)|brought|had)
        \ (?:absolutely\ )?(?:nothing|no)\b | (?:went|goes|go|leads?|led)\ nowhere | to\ no\ avail | in\ vain
    | no\ longer | without\ (?:success|effect|luck|any) | no\ (?:difference|change|improvement) | nope
    | is\ not\ (?:it|the) | still\ (?:missing|there|red|the\ same|\w+ing))\b"""
_FAILED = re.compile(_FAILED_PATTERN, re.X)
_RESULT_PATTERN = r"""\b(?:final\ )?(?:answer|result|conclusion|outcome)\s*[:=]
    | \b(?:(?:the|our|my|its|a)\ (?:\w+\ )?
          (?:answer|result|solution|root\ cause|cause|culprit|bug|fix|total|sum|value|conclusion)
          \b[^.?!,;:]{0,40}?\b(?:is|was|are|were|equals|comes?\ from|lies?|lives?|becomes?)
    | (?:the|real|actual)\ (?:problem|issue)\ (?:is|was|lies)
    | therefore|thus|hence|in\ (?:conclusion|summary|short|total)|to\ (?:summari[sz]e|conclude|sum\ up)|overall
    | (?:i|we)(?:'ve|\ have)?\ (?:now\ |just\ |successfully\ )*(?:conclude|found|confirmed|verified|fixed|solved|
        proved|booked|cancell?ed|updated|created|added|changed|removed|replaced|implemented|established|learned|measured|sent)
    | found\ (?:it|the|that|one|out)|(?:it|this)?\ ?turn(?:s|ed)\ out
    | (?:this|that|which|it)\ (?:means|shows|confirms|proves|explains|implies|gives|yields)
    | (?:tests?|checks?|build|everything|all|suite|it|that|this|and)\ (?:\w+\ )?(?:now\ )?(?:pass(?:es|ed)?|works|
        worked|succeed(?:s|ed)?|compiles|matches)
    | passed|confirmed|verified|fixed|resolved|solved|succeeded|successfully|works\ now|now\ works
    | (?:has|have)\ (?:now\ )?been\ \w+ed|as\ expected|q\.?e\.?d
    | (?:is|was|are|were)\ (?:caused|triggered)\ by|because\ of|due\ to|so\ the\ (?:answer|result))\b
    | \\boxed\b"""
_RESULT = re.compile(_RESULT_PATTERN, re.X)
_HYPOTHETICAL_PATTERN = r"""\b(?:if|unless|whether|might|may|maybe|perhaps|possibly|could|would|should|in\ case|suppose
    |assum\w+|to\ see|to\ check|make\ sure|ensure|hopefully|probably)\b"""
_HYPOTHETICAL = re.compile(_HYPOTHETICAL_PATTERN, re.X)
_BREAK_PATTERN = r"[,;:]|\bbut\b|\bso\b"
_BREAK = re.compile(_BREAK_PATTERN)
#: The patterns as the native kernel has them: those of a group are matched together.
PHRASE_GROUPS = {
    "find": {
        "result": _RESULT_PATTERN,
        "decision": _DECISION_PATTERN,
        "failed": _FAILED_PATTERN,
        "hypothetical": _HYPOTHETICAL_PATTERN,
        "break": _BREAK_PATTERN,
    },
    "start": {
        "talk": _TALK_PATTERN,
        "plan": _PLAN_PATTERN,
        "modal": _MODAL_PATTERN,
        "negated": _MODAL_PATTERN + _NEGATION,
    },
    "bullet": {"bullet": _BULLET_PATTERN},
    "opener": {"opening": _OPENING_WORDS, "belief": _BELIEF},
    "pause": {"pause": _PAUSE},
    "words": {"words": _THREE_WORDS},
}

_kinds: TwoGenerationCache[ReasoningKind] = TwoGenerationCache(MAX_CACHE_BYTES)


@lru_cache(1)
def phrase_matcher() -> Any:
    """Returns the native matcher of the phrases, or None. It is made when the first sentence is read."""
    kernel = load_kernel("phrases")
    if kernel is None:
        return None
    numbers = {kind.name: int(kind) for kind in ReasoningKind}
    return kernel.PhraseMatcher(PhraseAutomaton(PHRASE_GROUPS), numbers, _STOPS, _DASHES, _FILLERS)


def classify_sentence(text: str) -> ReasoningKind:
    """Returns the kind of a sentence (or a few of them): the highest kind of its clauses, never REPEAT."""
    plain = text[:MAX_READ_CHARS].lower().replace("’", "'")
    matcher = phrase_matcher()
    found = matcher.classify(plain) if matcher is not None else UNDECIDED
    if found != UNDECIDED:
        return _KINDS[found]
    kind = _kinds.get(plain)
    if kind is None:
        kind = classify_plain(plain)
        _kinds.put(plain, kind)
    return kind


def classify_spans(text: str, spans: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
    """Returns the kind of each sentence of a text, see `classify_sentence`.

    Args:
        text: The text.
        spans: [n, 2] start and end of each sentence.
    """
    kinds = np.full(len(spans), UNDECIDED, np.int8)
    plain, matcher = text.lower().replace("’", "'"), phrase_matcher()
    # Otherwise letters in lower case do not stand where they stood, or differ with the letter after them.
    can_use = matcher is not None and len(plain) == len(text) and "Σ" not in text
    if can_use and matcher.classify_spans(plain, np.ascontiguousarray(spans, np.int32), MAX_READ_CHARS, kinds):
        return kinds
    for i in np.flatnonzero(kinds == UNDECIDED).tolist():
        kinds[i] = classify_sentence(text[spans[i, 0] : spans[i, 1]])
    return kinds


def classify_plain(plain: str) -> ReasoningKind:
    """Returns the kind of a sentence in lower case; the reference for the native matcher."""
    return max((_clause(c) for c in _CLAUSE.split(plain) if c.strip()), default=ReasoningKind.NEUTRAL)


def _clause(text: str) -> ReasoningKind:
    """The kind of one clause in lower case."""
    start = text
    if (m := _BULLET.match(start)) is not None:
        start = start[m.end() :]
    opened = False
    while (m := _OPENER.match(start)) is not None:
        start, opened = start[m.end() :], True
    if not start.strip(_FILLERS):
        return ReasoningKind.CONNECTIVE  # only "Okay." or "Hmm, wait", or only punctuation
    if _TALK.match(start):
        return ReasoningKind.CONNECTIVE
    asks = text.rstrip().endswith("?")
    if not asks:
        for pattern, kind in ((_RESULT, ReasoningKind.RESULT), (_DECISION, ReasoningKind.DECISION)):
            if _asserts(pattern, text):
                return kind
    if _PLAN.match(start):
        return ReasoningKind.PLAN  # "let's find the error" has found none
    if not asks and len(text.split()) > 1 and _asserts(_FAILED, text):
        return ReasoningKind.FAILED
    if opened and len(start.split()) <= 2 and not any(map(str.isdigit, start)):
        return ReasoningKind.CONNECTIVE
    return ReasoningKind.PLAN if opened and asks else ReasoningKind.NEUTRAL


def _asserts(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a match of the pattern is stated rather than supposed."""
    for m in pattern.finditer(text):
        before = _BREAK.split(text[: m.start()])[-1]
        if not _HYPOTHETICAL.search(before):
            return True
    return False
