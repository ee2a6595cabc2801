"""Finds a tenant's sessions by their ids, and remembers their options.

The options of a session (model, budget, tools, system prompt, when it compacts) are stored beside its log, so that a
client need not send them with every call, nor to the same worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compressor.caches import LruCache
from compressor.compressor import Compressor
from compressor.errors import RefError, StoreError
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.providers.tool_listing import ToolListing
from compressor.service import budget_options, policy_options
from compressor.service.http_errors import HttpError
from compressor.service.session_ids import check_session_id
from compressor.sessions import Policy, Session
from compressor.sessions.archive import scope_id
from compressor.storage.base import require_log
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import find_price

MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class OpenSession:
    """A session in memory.

    Attributes:
        session: The session.
        options: Its options, as JSON data.
        budgets: The budgets of its tools and examples.
        tool_listing: Lists its tools, if they have a budget.
    """

    session: Session
    options: dict[str, Any]
    budgets: PromptBudgets
    tool_listing: ToolListing | None


class SessionRegistry:
    """Creates and finds sessions. Safe to share between threads.

    Args:
        compressor: The tenant's compressor.
        policy: The policy of all sessions.
        budgets: The budgets of tools and examples of sessions that name none.
        max_open: How many session objects are kept in memory; those used last stay.
    """

    def __init__(self, compressor: Compressor, policy: Policy, budgets: PromptBudgets, max_open: int) -> None:
        self._compressor, self._policy, self._budgets = compressor, policy, budgets
        self._open: LruCache[str, OpenSession] = LruCache(max_open)

    def reconfigure(self, policy: Policy, budgets: PromptBudgets) -> None:
        """Uses other defaults, for sessions in memory too."""
        self._policy, self._budgets = policy, budgets
        self._open.clear()

    def get(self, id: str, given: Mapping[str, Any], begin: bool = False) -> Session:
        """Returns a session with its options, see `open`."""
        return self.open(id, given, begin).session

    def open(self, id: str, given: Mapping[str, Any], begin: bool = False) -> OpenSession:
        """Returns a session with its options.

        Args:
            id: The session's id.
            given: The options that the client sends; None values are ignored.
            begin: Whether to create the session if it does not exist.

        Raises:
            HttpError: 404 if the session does not exist, 400 if its id is not valid.
            CompressorError: An option is not valid.
        """
        check_session_id(id)
        options = self.merge_options(id, given, begin)
        known = self._open.get(id)
        if known is None or known.options != options:
            budgets = budget_options.make_budgets(self._budgets, options)
            given_policy = {name: options[name] for name in policy_options.FIELDS if name in options}
            policy = budgets.extend_policy(policy_options.change_policy(self._policy, given_policy))
            others = (*policy_options.FIELDS, *budget_options.FIELDS)
            rest = {name: value for name, value in options.items() if name not in others}
            # This reads the store. `frozen`: nobody changes the messages of a request.
            session = Session(self._compressor, id, policy=policy, frozen=True, **rest)
            listing = None if budgets.tools is None else budgets.make_tool_listing(self._compressor, session)
            known = OpenSession(session, options, budgets, listing)
        self._open.put(id, known)
        return known

    def forget(self, id: str) -> None:
        """Drops the object of a session that was deleted from the store."""
        self._open.pop(id)

    def open_ids(self) -> set[str]:
        """Returns the ids of the sessions in memory."""
        return {known.session.id for known in self._open.values()}

    def merge_options(self, id: str, given: Mapping[str, Any], begin: bool) -> dict[str, Any]:
        """Stores the options that a client sends, and returns all options of the session.

        Raises:
            HttpError: 404 if the session does not exist and is not to be created.
            StoreError: Too many clients change the options at the same time.
        """
        journal, name = require_log(self._compressor.store), f"options:{scope_id('', id)}"
        new = {key: value for key, value in given.items() if value is not None}
        for _ in range(MAX_ATTEMPTS):
            try:
                number, packed = journal.read_log(name)[-1]
                stored = json.loads(packed)
            except RefError:
                if not begin:
                    message = f"There is no session {id!r}: append messages to create it"
                    raise HttpError(404, "unknown_session", message) from None
                number, stored = 0, None
            options = {**(stored or {}), **new}
            if options == stored:
                return options
            # Invalid options must not be stored, or every later call would fail.
            policy_options.change_policy(
                self._policy, {name: options[name] for name in policy_options.FIELDS if name in options}
            )
            budget_options.make_budgets(self._budgets, options)
            resolve_context_limit(
                options.get("budget"), self._policy.pricing or find_price(options.get("model") or DEFAULT_MODEL)
            )
            if journal.append_log(name, number, [json.dumps(options).encode()], truncate_before=True):
                return options
        raise StoreError(f"too many clients change the options of session {id!r} at the same time")
