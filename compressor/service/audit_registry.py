"""Works out what compression would do to a tenant's conversations, in memory, while they are sent as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from compressor.compressor import Compressor
from compressor.providers import Json, ProviderApi
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.service.conversations import ConversationRegistry, SharedResolver
from compressor.sessions.cost_report import CostReport
from compressor.storage.memory import MemoryStore

if TYPE_CHECKING:
    from compressor.scoring.base import Scorer
    from compressor.service.settings import Settings

STORE_BYTES = 32 << 20  # of a tenant's originals: nobody will ask for them, only a compaction reads some again


class AuditRegistry(ConversationRegistry):
    """The conversations of a tenant as they would be. Nothing of them is stored, and none of their views is sent.

    Args:
        scorer: The tenant's scorer.
        config: The settings of the service.
        tenant: The tenant's name.
    """

    def __init__(self, scorer: Scorer, config: Settings, tenant: str) -> None:
        compressor = Compressor(scorer, MemoryStore(limit=STORE_BYTES), images=config.images)
        super().__init__(compressor, None, config, tenant)
        self._costs: WeakKeyDictionary[Any, tuple[float, float]] = WeakKeyDictionary()

    def take_costs(self, tracked: TrackedConversation) -> tuple[CostReport, float, float]:
        """Returns a conversation's cost report, and the dollars since the last call of this method.

        Returns:
            The report, the dollars without compression and those with it.
        """
        report: CostReport = tracked.conversation.cost_report()
        before, after = self._costs.get(tracked.conversation, (0.0, 0.0))
        self._costs[tracked.conversation] = report.baseline_cost, report.actual_cost
        return report, report.baseline_cost - before, report.actual_cost - after

    def use_scorer(self, scorer: Scorer) -> None:
        """Scores with another scorer from the next request on."""
        self._compressor.engine.scorer = scorer

    def _find_resolver(
        self,
        api: ProviderApi,
        body: Json,
        session: str,
        budget: int | float | str | None,
        options: Mapping[str, Any],
        model: str = "",
    ) -> SharedResolver:
        """Finds sessions by their id and their messages, because a real session would be stored."""
        budget = self._config.budget if budget is None else budget
        messages = api.read_messages(body) if api.supports(body) else []
        return self._find_resolver_by_message(messages, f"{api.dialect}:{session}", budget, options)
