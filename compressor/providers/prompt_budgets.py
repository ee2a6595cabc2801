"""The budgets that parts of a prompt have beside the budget of the whole request: tool schemas and examples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from compressor.context.budget import Budget
from compressor.pipeline.prompt_examples import PromptExamples
from compressor.pipeline.tools import search_tool
from compressor.providers.context_overflow import in_memory
from compressor.providers.example_listing import CutPrompt, ExampleListing
from compressor.providers.tool_listing import ListedTools, StateJournal, ToolListing
from compressor.sessions.archive import scope_id
from compressor.sessions.policy import Policy, ToolRule

if TYPE_CHECKING:
    from compressor import Compressor
    from compressor.providers.conversation_tracker import TrackedConversation


@dataclass(frozen=True)
class PromptBudgets:
    """The budgets of tools and examples. None leaves that part of the prompt as it is.

    Attributes:
        tools: Tokens of the caller's tools together with `find_tool`, or a fraction of the tokens of all tools.
        examples: Tokens of the worked examples in the system prompt and the first messages, or a fraction of them.
        pinned_tools: Names of tools that are always listed unchanged.
    """

    tools: Budget | None = None
    examples: Budget | None = None
    pinned_tools: Collection[str] = ()

    def extend_policy(self, policy: Policy) -> Policy:
        """Returns a policy that leaves answers of `find_tool` as they are, because the model reads schemas best so."""
        if self.tools is None:
            return policy
        return replace(policy, tools={search_tool.NAME: ToolRule(never_compress=True), **policy.tools})

    def list_tools(
        self,
        compressor: Compressor,
        tracked: TrackedConversation,
        tools: Sequence[Any],
        messages: Sequence[Any],
        tool_choice: Any = None,
        message_count: int = 0,
        find: bool = True,
    ) -> ListedTools:
        """Returns the tools that a request of a conversation lists; all of them if they have no budget.

        Args:
            compressor: Ranks the tools, and has the store.
            tracked: The conversation, locked by the caller.
            tools: All tools of the caller.
            messages: See `ToolListing.select`.
            tool_choice: See `ToolListing.select`.
            message_count: See `ToolListing.select`.
            find: Whether `find_tool` may be listed.

        Raises:
            CompressorError: As `ToolListing.select`.
        """
        if self.tools is None or not tools:
            return ListedTools(list(tools))
        if tracked.tool_listing is None:
            tracked.tool_listing = self.make_tool_listing(compressor, tracked.conversation, find)
        model = tracked.conversation.model
        listed = tracked.tool_listing.select(tools, messages, model, tool_choice, message_count)
        in_memory(tracked.conversation).runtime.warn(*tracked.tool_listing.warnings)
        return listed

    def cut_examples(
        self,
        compressor: Compressor,
        tracked: TrackedConversation,
        system: Sequence[Any],
        messages: Sequence[Any],
    ) -> CutPrompt:
        """Returns the prompt of a conversation with its worked examples cut to their budget, if they have one.

        Args:
            compressor: Scores the examples, and has the store.
            tracked: The conversation, locked by the caller.
            system: The system prompt that the API keeps apart from the messages, as a list of one message, or [].
            messages: The whole history.

        Raises:
            CompressorError: As `ExampleListing.cut`.
        """
        if self.examples is None:
            return CutPrompt(list(system), list(messages), 0)
        if tracked.example_listing is None:
            tracked.example_listing = ExampleListing(_journal("examples", compressor, tracked.conversation))
        runtime = in_memory(tracked.conversation).runtime
        examples = PromptExamples(compressor.engine, runtime.counter, self.examples, runtime.open_store)
        made = tracked.example_listing.cut(examples, system, messages)
        runtime.warn(*tracked.example_listing.warnings)
        return made

    def make_tool_listing(self, compressor: Compressor, conversation: Any, find: bool = True) -> ToolListing:
        """Returns the listing of a conversation; that of a stored session is kept in the store.

        Args:
            compressor: Ranks the tools, and has the store.
            conversation: The `Conversation` or `Session`.
            find: Whether `find_tool` may be listed.
        """
        assert self.tools is not None
        journal = _journal("tools", compressor, conversation)
        return ToolListing(compressor, self.tools, self.pinned_tools, journal, find)


def _journal(kind: str, compressor: Compressor, conversation: Any) -> StateJournal | None:
    """Returns where the state of a stored session is kept, or None for a conversation in memory."""
    if not getattr(conversation, "id", None):
        return None
    return StateJournal(compressor.store, f"{kind}:{scope_id(conversation.tenant, conversation.id)}")


NO_BUDGETS = PromptBudgets()
