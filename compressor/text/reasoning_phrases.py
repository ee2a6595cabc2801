"""Classifies sentences of an agent's reasoning by English phrases: result, decision, failed attempt, plan or filler.

These are rules about words. A sentence that no rule matches is neutral, and so are other languages.
"""

from __future__ import annotations

import re
from enum import IntEnum

from compressor.caches import TwoGenerationCache


class ReasoningKind(IntEnum):
    """The kinds of sentences. If several fit, the highest wins, except for REPEAT, which is decided last."""

    REPEAT = 0  # a newer sentence says the same
    CONNECTIVE = 1
    PLAN = 2
    NEUTRAL = 3
    FAILED = 4
    DECISION = 5
    RESULT = 6


MAX_READ_CHARS = 1_000  # characters of a sentence that are read

_CLAUSE = re.compile(r"(?<=[.!?:;…])\s+|\n+|\s+[—–]\s+")
_BULLET = re.compile(r"(?:</?think(?:ing)?>|[\s>*#_`-]|\(?\d{1,3}[.)]\s)+")
_OPENER = re.compile(
    r"(?:okay|ok|so|well|hm+|wait|hold on|actually|alright|all right|right|now|but|and|then|also|oh|ah|aha|anyway|"
    r"again|great|perfect|good|sure|yes|no|yeah|indeed|next|first(?:ly)?|second(?:ly)?|finally|"
    r"let'?s see|let me see|i (?:think|guess|suppose|believe|feel)(?: that| like)?(?= \w+ \w+ \w+))\b[\s,.!…—-]*",
)
#: Talk about the thinking itself, repetitions of the task and politeness, at the start of a clause.
_TALK = re.compile(
    r"""(?:i\ (?:really\ )?(?:need|have|want|should|must)\ (?:to\ )?|let\ (?:me|us)\ |let'?s\ |i'?(?:ll|\ will)\ |
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
    | you're\ welcome | thank(?:s|\ you)\b[^,;:]{0,40}$ | i\ understand\b[^,;:]{0,40}$""",
    re.X,
)
_PLAN = re.compile(
    r"""(?:(?:i|we)(?:'(?:ll|d|m\ going\ to|re\ going\ to)|\ (?:will|would|should|shall|need\ to|have\ to|must|could|
        might|can|want\ to|am\ going\ to|are\ going\ to|plan\ to))\b(?!'t|\ ?not)
    | let\ (?:me|us)\b | let'?s\b | (?:my|the)\ (?:plan|approach|next\ step|idea|strategy)\ (?:is|would|will)\b
    | (?:step|phase)\ \d+ | (?:maybe|perhaps|possibly)\ (?:i|we|it|the|there|this|that)\b | what\ if\b
    | (?:to\ do\ (?:this|that|so)|for\ (?:this|that))\b,?\ (?:i|we)\b)""",
    re.X,
)
_DECISION = re.compile(
    r"""\b(?:decid(?:ed?|ing)|decision|conclud(?:e|ed)\ to|opt(?:ed|ing)?\ for|settl(?:e|ed|ing)\ (?:on|for)
    | (?:go|going|went|stick|sticking|stuck)\ (?:with|for)
    | recommend(?:ed|s|ation)? | on\ balance | agreed\ (?:to|that|on)
    | (?:i|we)(?:'ll|\ will|\ should|\ must)?\ (?:choose|chose|pick|picked|prefer|keep|kept
        |drop|dropped|skip|skipped|reject|rejected|switch(?:ed)?\ to|avoid|leave|left)\b
    | (?:use|using|used|do|done)\b[^.?!]{1,60}\b(?:instead|rather\ than) | instead\ of | rather\ than
    | (?:is|are|was|seems|looks)\ (?:the\ )?(?:best|better|safest|simplest|right|cleanest)\ (?:option|choice|approach|
        fix|way|one|place|than|to)\b | (?:must|should)\ (?:not|never|always)\b
    | (?:the\ )?user\ (?:confirmed|agreed|approved|accepted|declined|prefers|chose))\b""",
    re.X,
)
_FAILED = re.compile(
    r"""\b(?:fail(?:s|ed|ing|ures?)?|(?:did|does|do|was|were|is|has|have|would|wo|ca|could)(?:n't|\ not)\ (?:
        work|help|match|fix|change|apply|compile|find|exist|hold|return|contain|able|found|enough|import|resolve|solve
        |have\ worked|the\ (?:cause|problem|issue|answer))
    | could(?:n't|\ not)|cannot|can't|unable\ to|impossible|no\ (?:such|luck|effect|results?|matches)
    | not\ (?:found|possible|allowed|eligible|supported|it|correct|right|valid)|tim(?:ed|es)\ out|rejected
    | denied|refused|crash(?:es|ed)?|broken?|breaks|dead[- ]end|wrong|incorrect|contradict(?:s|ion|ory|ed)|throws?|threw
    | raise[sd]|errors?|\w+(?:error|exception)|exception|regress(?:es|ed|ion)?|worse|mistake|ruled\ out|rules\ out
    | (?:changed|change|did|does|do|made|makes?|gave|gives|yield(?:s|ed)|return(?:s|ed)|found|show(?:s|ed)|brought|had)
        \ (?:absolutely\ )?(?:nothing|no)\b | (?:went|goes|go|leads?|led)\ nowhere | to\ no\ avail | in\ vain
    | no\ longer | without\ (?:success|effect|luck|any) | no\ (?:difference|change|improvement) | nope
    | is\ not\ (?:it|the) | still\ (?:missing|there|red|the\ same|\w+ing))\b""",
    re.X,
)
_RESULT = re.compile(
    r"""\b(?:(?:the|our|my|its|a)\ (?:\w+\ )?
          (?:answer|result|solution|root\ cause|cause|culprit|bug|fix|total|sum|value|conclusion)
          \b[^.?!,;:]{0,40}?\b(?:is|was|are|were|equals|comes?\ from|lies?|lives?|becomes?)
    | (?:the|real|actual)\ (?:problem|issue)\ (?:is|was|lies) | (?:final\ )?(?:answer|result|conclusion|outcome)\s*[:=]
    | therefore|thus|hence|in\ (?:conclusion|summary|short|total)|to\ (?:summari[sz]e|conclude|sum\ up)|overall
    | (?:i|we)(?:'ve|\ have)?\ (?:now\ |just\ |successfully\ )*(?:conclude|found|confirmed|verified|fixed|solved|
        proved|booked|cancell?ed|updated|created|added|changed|removed|replaced|implemented|established|learned|measured|sent)
    | found\ (?:it|the|that|one|out)|(?:it|this)?\ ?turn(?:s|ed)\ out
    | (?:this|that|which|it)\ (?:means|shows|confirms|proves|explains|implies|gives|yields)
    | (?:tests?|checks?|build|everything|all|suite|it|that|this|and)\ (?:\w+\ )?(?:now\ )?(?:pass(?:es|ed)?|works|
        worked|succeed(?:s|ed)?|compiles|matches)
    | passed|confirmed|verified|fixed|resolved|solved|succeeded|successfully|works\ now|now\ works
    | (?:has|have)\ (?:now\ )?been\ \w+ed|as\ expected|q\.?e\.?d
    | (?:is|was|are|were)\ (?:caused|triggered)\ by|because\ of|due\ to|so\ the\ (?:answer|result))(?:\b|(?<=[:=]))
    | \\boxed\b""",
    re.X,
)
_HYPOTHETICAL = re.compile(
    r"\b(?:if|unless|whether|might|may|maybe|perhaps|possibly|could|would|should|in case|suppose|assum\w+|to see"
    r"|to check|make sure|ensure|hopefully|probably)\b",
)
_BREAK = re.compile(r"[,;:]|\bbut\b|\bso\b")
_kinds: TwoGenerationCache[ReasoningKind] = TwoGenerationCache()


def classify_sentence(text: str) -> ReasoningKind:
    """Returns the kind of a sentence (or a few of them): the highest kind of its clauses, never REPEAT."""
    kind = _kinds.get(text)
    if kind is None:
        plain = text[:MAX_READ_CHARS].lower().replace("’", "'")
        kind = max((_clause(c) for c in _CLAUSE.split(plain) if c.strip()), default=ReasoningKind.NEUTRAL)
        _kinds.put(text, kind, 100 + len(text))
    return kind


def _clause(text: str) -> ReasoningKind:
    """The kind of one clause in lower case."""
    start = text
    if (m := _BULLET.match(start)) is not None:
        start = start[m.end() :]
    opened = False
    while (m := _OPENER.match(start)) is not None:
        start, opened = start[m.end() :], True
    if not start.strip(" .!?,:;"):
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
