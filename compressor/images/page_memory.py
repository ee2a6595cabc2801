"""Remembers which page an agent is on, for screenshots that come without a word about it.

A page is known from the last result that named it until something is done that may have led elsewhere. What is
remembered wrongly would be told to the agent, so doubt forgets.
"""

from __future__ import annotations

import re

from compressor.context.model import Turn
from compressor.images.frame_sources import is_passive, says_action
from compressor.images.page_labels import NO_LABELS, PageLabels

_TAB_SWITCH = re.compile(r"tab|window_handle|switch", re.IGNORECASE)


class PageMemory:
    """The page of each tab that an agent was told about; turns are read in order."""

    def __init__(self) -> None:
        self._known = NO_LABELS
        self._is_current = False  # whether the agent is on the known page for certain
        self._tabs: dict[str, PageLabels] = {}
        self._left = ""  # the tab in which something was done, until a result says in which tab the agent is now

    def read_actions(self, turn: Turn) -> None:
        """Forgets the page if what the agent does may lead to another one.

        Args:
            turn: A message of the agent.
        """
        calls = [slot for slot in turn.slots if slot.kind == "tool_call"]
        for call in calls:
            if not is_passive(call):
                self._leave(is_switch=_TAB_SWITCH.search(call.name or "") is not None)
        if not calls and (turn.call_ids or says_action(turn)):
            self._leave(is_switch=False)

    def learn(self, labels: PageLabels) -> None:
        """Remembers the page that a result names.

        Args:
            labels: What the result says.
        """
        self._forget_left(labels)
        same = self._is_current and (self._known.url == labels.url or not labels.url)
        self._known = (labels.or_else(self._known) if same else labels)._replace(files=())
        self._is_current = True
        if labels.tab and labels.url:
            self._tabs[labels.tab] = self._known

    def complete(self, labels: PageLabels) -> PageLabels:
        """Returns the labels of a screenshot with what is known of its page and not said beside it.

        Args:
            labels: What is said beside the screenshot. It is remembered.
        """
        self._forget_left(labels)
        if labels.is_empty and labels.tab and (tab := self._tabs.get(labels.tab)):
            self._known, self._is_current = tab, True
            return labels.or_else(tab)
        if labels.is_empty and labels.tab and labels.tab != self._known.tab:
            return labels
        if not labels.is_empty:
            self.learn(labels)
        return labels.or_else(self._known) if self._is_current else labels

    def _leave(self, is_switch: bool) -> None:
        if not is_switch and self._is_current:
            self._left = self._known.tab
        self._is_current = False

    def _forget_left(self, labels: PageLabels) -> None:
        """Forgets the page of the tab that was left, unless the agent turns out to be in another tab."""
        if self._left and (not labels.tab or labels.tab == self._left):
            self._tabs.pop(self._left, None)
        self._left = ""
