"""Tells who an image comes from, whether it is a screenshot, and which actions leave a page as it is.

Frameworks name their tools and open their messages in different ways; the words here are what they have in common.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from compressor.context.model import TextSlot, Turn
from compressor.images.page_labels import PageLabels

#: Who an image comes from: a tool's result, a program that shows the agent its surroundings in a user message, or the
#: user.
FrameSource = Literal["tool", "observation", "user"]

_SHOT_WORDS = re.compile(
    r"screen|brows|computer|navigat|click|playwright|puppeteer|selenium|webdriver|chrome|device|mobile|desktop|android"
    r"|window|observ|snapshot|capture|scroll|swipe|\btap\b|tap_|goto|go_to|open_url|visit|\bui\b|ui_|\bgui\b|gui_"
    r"|\btab\b|tab_|web_?page|\bpage\b|page_",
    re.IGNORECASE,
)
_PICTURE_WORDS = re.compile(
    r"plot|chart|draw|figure|generat|camera|pdf|document|dall|diffusion|render_|imagine|view_image"
)
_PASSIVE_WORDS = re.compile(
    r"screenshot|screen_?shot|snapshot|capture|wait|scroll|read|find|observe|zoom|hover|mouse_move|cursor|get_|list|look"
    r"|console|screen\b",
    re.IGNORECASE,
)
_OBSERVATION = re.compile(
    r"^\W*(?:observation|current (?:state|url|tab|screen|screenshot|view|page|window|observation)|\[current state"
    r"|<(?:browser|agent|page|screen|user_env|observation)\w*|here(?:'s| is| are) the (?:\w+ ){0,2}(?:screen|state|page"
    r"|result|image)|(?:the )?(?:current |latest |new |updated )?(?:screenshot|screen)\b(?! ?(?:i|my)\b)"
    r"|(?:tool|function) (?:result|output|image)|images? (?:from|returned|output)|attached (?:image|screenshot)"
    r"|(?:the )?(?:tool|function|action)\b.{0,60}\b(?:returned|executed|succeeded|failed|result)"
    r"|step \d+|url\s*:|page url|result\b)",
    re.IGNORECASE,
)
_OBSERVATION_ALONE = re.compile(r"(?:observation|screenshot)\b[^?\n]{0,60}:?$", re.IGNORECASE)
_OBSERVATION_INSIDE = re.compile(
    r"(?:^|\n|\.)\W*(?:observation\s*:|current (?:url|tab|page|screenshot|state)\s*:|<browser_state|\[current state)",
    re.I,
)
_TEXT_ACTION = re.compile(
    r"\baction\s*:|\b(?:click|tap|type|scroll|swipe|press|goto|finished)\s*[(\[]|\"action\"", re.I
)
#: Tools that work on something else than the page.
_OTHER_WORDS = re.compile(
    r"python|bash|shell|terminal|web_search|memory|todo|notes?\b|file|plot|think|sql|calc|plan\b|fetch|scrape|crawl"
    r"|extract|http|api_",
    re.IGNORECASE,
)
_ZOOM = re.compile(r"zoom|crop|element_?screenshot|screenshot_?element", re.IGNORECASE)
_ZOOMED = re.compile(r"\"action\"\s*:\s*\"(?:zoom|crop)\"", re.IGNORECASE)
_PART_KEYS = re.compile(r"\"(?:ref|element|selector|uid|clip|region|bid)\"\s*:\s*(?!null|\"\")", re.IGNORECASE)
_OWN_WORDS = re.compile(r"\?|\b(?:i|my|me|you|your)\b", re.IGNORECASE)  # of a person rather than a program


def find_source(turn: Turn, previous: Turn | None, slot: TextSlot, texts: Sequence[str]) -> FrameSource:
    """Returns who an image comes from.

    A program that drives an agent may write what the agent sees as a user message. It is known by how such messages
    begin, or by a tool result or an action right before a message in which nobody speaks.

    Args:
        turn: The message of the image.
        previous: The message before it, or None.
        slot: The image.
        texts: The texts of the message that belong to the image.
    """
    if turn.role in ("tool", "assistant") or slot.call_id or slot.name:
        return "tool"
    words = "\n".join(texts).strip()
    if _OBSERVATION_INSIDE.search(words[:20_000]):
        return "observation"
    if previous is None:
        return "user"
    if previous.role not in ("tool", "assistant"):
        # What an observation followed may have left the view, as rounds of tools do.
        return "observation" if _OBSERVATION_ALONE.match(words) else "user"
    is_answer = previous.role == "tool" or says_action(previous)
    if is_answer and _OBSERVATION.match(words):
        return "observation"
    if previous.role == "tool":
        return "user" if _OWN_WORDS.search(words[:500]) else "observation"
    return "observation" if is_answer and not words else "user"


def is_screenshot(
    slot: TextSlot, texts: Sequence[str], labels: PageLabels, source: FrameSource, call: TextSlot | None
) -> bool:
    """Returns whether an image shows a page, a window or a screen, and not a picture, photo or chart.

    Args:
        slot: The image.
        texts: The texts beside it.
        labels: What these texts say about a page.
        source: Who it comes from.
        call: The call whose result it is, or None.
    """
    name = slot.name or ""
    if source == "user" or _PICTURE_WORDS.search(name.lower()):
        return False
    if source == "observation" or _SHOT_WORDS.search(name):
        return True
    if call is not None and "screenshot" in call.text[:2000].lower():
        return True
    return bool(labels.url or labels.window) or any("screenshot" in text[:500].lower() for text in texts)


def works_on_page(tool: str | None) -> bool:
    """Returns whether a tool's result tells which page or window an agent is on, judged by the tool's name."""
    is_other = tool is None or "search" in tool.lower() or _OTHER_WORDS.search(tool) is not None
    return tool is not None and not is_other and _SHOT_WORDS.search(tool) is not None


def find_last_steps(turns: Sequence[Turn], count: int) -> int:
    """Returns the index of the message with which the last `count` steps of the agent start.

    Some message formats write the thinking, words and calls of one step as separate messages.

    Args:
        turns: The turns of a context.
        count: The number of steps. With 0 or fewer, the number of turns is returned.
    """
    starts = [
        turn.index
        for i, turn in enumerate(turns)
        if turn.role == "assistant" and (not i or turns[i - 1].role != "assistant")
    ]
    if count <= 0:
        return len(turns)
    return starts[-count] if count <= len(starts) else 0


def shows_part(call: TextSlot | None) -> bool:
    """Returns whether the result of a call shows an element or a region, not the page or screen.

    Args:
        call: The call, or None.
    """
    if call is None or not call.name:
        return False
    if _ZOOM.search(call.name) or _ZOOMED.search(call.text[:2000]):
        return True
    return "screenshot" in call.name.lower() and _PART_KEYS.search(call.text[:2000]) is not None


def is_passive(call: TextSlot) -> bool:
    """Returns whether a call leaves the page as it is.

    Args:
        call: The arguments of the call.
    """
    action = re.search(r"\"action\"\s*:\s*\"(\w+)\"", call.text[:2000])
    name = action[1] if action else call.name or ""
    return _PASSIVE_WORDS.search(name) is not None or _OTHER_WORDS.search(name) is not None


def says_action(turn: Turn) -> bool:
    """Returns whether an agent's message holds an action as text, such as `Action: Click [5]`."""
    return turn.role == "assistant" and any(_TEXT_ACTION.search(slot.text[-2000:]) for slot in turn.slots if slot.text)
