"""The bodies of the HTTP API, with an example of each. Unknown fields are ignored, because gateways send more.

Messages have the format of any provider, so they are not described further: `compressor.context.formats` reads them.
Validation of a list stops at the first error, because a list of a hundred thousand errors would delay everybody.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, FailFast, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from compressor.service import budget_options
from compressor.service.policy_options import FIELDS
from compressor.sessions.receipt import Receipt

Budget = StrictInt | StrictFloat
Limit = StrictInt | StrictFloat | StrictStr
Size = tuple[Literal["fraction"], StrictFloat] | tuple[Literal["tokens"], StrictInt]
_LOG: Any = "12:00:01 worker-1 started\n12:00:02 worker-2 started\n12:00:09 ERROR worker-1 gave up: E-4711"
_MESSAGES: list[Any] = [
    {"role": "user", "content": "Why did the import stop? Read the log."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": _LOG},
]
_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": about, "parameters": {"type": "object"}}}
    for name, about in (("read_log", "Reads a log."), ("send_mail", "Sends an e-mail."), ("list_users", "Lists users."))
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class CompressRequest(_Body):
    """A whole context.

    With a budget it is compressed for one call. Without one it is taken as the history of a conversation: tool results
    are compressed once, when they are new, and stay byte-identical from then on.
    """

    messages: list[Any] = Field(max_length=100_000)
    model: StrictStr | None = None
    budget: Budget | None = None
    query: StrictStr | None = None
    tools: list[Any] | None = None
    system: StrictStr | list[Any] | None = None
    tools_budget: Limit | None = Field(
        default=None, description="Cut `tools` to this: tokens, or a fraction of them. They come back as `tools`."
    )
    examples_budget: Limit | None = Field(
        default=None,
        description="Cut the worked examples of the system prompt and the first messages to this: tokens, or a "
        "fraction of them. A `system` then comes back, too. Not together with `pinned`.",
    )
    mode: Literal["call", "ingest", "compact"] = "call"
    pinned: Annotated[list[StrictInt], FailFast()] = Field(default=[], max_length=100_000)

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"messages": _MESSAGES, "model": "gpt-4o", "budget": 4000}]}
    )


class DocumentsRequest(_Body):
    """Documents to compress to a common budget."""

    documents: Annotated[list[StrictStr | dict[str, Any]], FailFast()] = Field(max_length=100_000)
    query: StrictStr | None = None
    budget: Budget = 0.25
    model: StrictStr | None = None

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {"documents": [{"title": "import.log", "text": _LOG}], "query": "why did it stop", "budget": 500}
            ]
        },
    )


class ExamplesRequest(_Body):
    """In-context examples to select from for a query."""

    examples: Annotated[list[StrictStr | dict[str, Any] | list[Any]], FailFast()] = Field(max_length=100_000)
    query: StrictStr | None = None
    budget: Budget = 0.25
    model: StrictStr | None = None
    template: StrictStr | None = Field(
        default=None, max_length=10_000, description='For example "{question} => {answer}".'
    )
    method: Literal["auto", "classes", "dpp", "mmr", "top"] = "auto"
    prune: StrictBool = True
    order: Literal["most_relevant_last", "most_relevant_first", "given"] = "most_relevant_last"
    cached_budget: Budget | None = Field(
        default=None, description="The part of the budget for examples that are the same for all queries."
    )

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "examples": [
                        {"input": "my card was stolen", "output": "lost_card"},
                        {"input": "what do I owe", "output": "balance"},
                    ],
                    "query": "I lost my card",
                    "budget": 20,
                }
            ]
        },
    )


class ToolsRequest(_Body):
    """Tool schemas to select from for a call."""

    tools: Annotated[list[dict[str, Any]], FailFast()] = Field(max_length=10_000)
    budget: Budget = 0.25
    query: StrictStr | None = None
    messages: list[Any] | None = Field(default=None, max_length=100_000)
    model: StrictStr | None = None
    pinned: Annotated[list[StrictStr], FailFast()] = Field(
        default=[], max_length=10_000, description="Names of tools that stay unchanged."
    )
    tool_choice: StrictStr | dict[str, Any] | None = Field(
        default=None, description="The provider's parameter. Tools that it forces stay unchanged."
    )

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"tools": _TOOLS, "query": "read the log", "budget": 60}]}
    )


class SessionOptions(_Body):
    """The options of a session. They are stored, so later calls need not repeat them."""

    model: StrictStr | None = None
    budget: Limit | None = Field(
        default=None, description='Tokens, a fraction of the window below 1, or "$0.02" a call.'
    )
    tools: list[Any] | None = None
    system: StrictStr | list[Any] | None = None
    preset: Literal["faithful", "balanced", "frugal"] | None = Field(
        default=None, description="Compacts as soon as that lowers the bill, down to the size of this preset."
    )
    trigger: Literal["cost"] | Size | None = Field(
        default=None, description="The size at which the view is compacted; the default is 0.85 of the budget."
    )
    target: Size | None = Field(
        default=None, description="The size that a compaction aims at; the default is 0.6 of the budget."
    )
    keep: Size | None = Field(
        default=None, description="The newest rounds that stay unchanged: a fraction of the target, or tokens."
    )
    tools_budget: Limit | None = Field(
        default=None,
        description="The budget of the tool schemas alone: tokens, or a fraction of them. Views then have `tools`.",
    )
    pinned_tools: list[StrictStr] | None = Field(
        default=None, max_length=10_000, description="Names of tools that are always listed unchanged."
    )

    def policy_options(self) -> dict[str, Any]:
        """Returns the fields that say when to compact, and the budgets of tools, as JSON data."""
        return self.model_dump(include={*FIELDS, *budget_options.FIELDS}, exclude_none=True, mode="json")


class AppendRequest(SessionOptions):
    """Messages to append, oldest first, and the provider's `usage` of the last call, if it is known."""

    messages: list[Any] = Field(default=[], max_length=100_000)
    index: StrictInt | None = Field(
        default=None,
        ge=0,
        validation_alias=AliasChoices("index", "at"),  # "at" is its old name: a client that sends it must stay safe
        description="The index of the first message: the `count` of the last response. With it, an append whose "
        "response was lost can be repeated safely. 409 if the session has other messages.",
    )
    pin: StrictBool = False
    usage: dict[str, Any] | None = None

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"messages": _MESSAGES, "model": "gpt-4o", "budget": 32000}]}
    )


class ViewRequest(SessionOptions):
    """Options for the view of a session."""

    best_effort: StrictBool = Field(
        default=False, description="Return the smallest possible view, with a warning, if the budget is too small."
    )
    tool_choice: StrictStr | dict[str, Any] | None = Field(
        default=None, description="The call's own. With a `tools_budget`, tools that it forces are listed unchanged."
    )

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{}]})


class RecallRequest(_Body):
    """A search in the text that was removed from the view."""

    query: StrictStr = Field(min_length=1)
    budget: StrictInt = Field(default=1000, ge=1)

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"query": "which worker gave up"}]})


class FindToolRequest(_Body):
    """What the model asked for when it called `find_tool`."""

    query: StrictStr = Field(min_length=1, max_length=10_000)

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"query": "send an e-mail"}]})


class ExpandRequest(_Body):
    """A ref of the session, and which part of its text to return."""

    ref: StrictStr = Field(min_length=1, max_length=200)
    query: StrictStr | None = None
    budget: StrictInt | None = Field(default=None, ge=1)

    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [{"ref": "123456789012"}]})


class ReceiptsResponse(BaseModel):
    """What each compaction of a session kept and lost, oldest first."""

    id: str
    receipts: list[Receipt]


class ErrorResponse(BaseModel):
    """The body of an error."""

    class Inner(BaseModel):
        """The error: a stable type for programs and a message for people."""

        type: str
        message: str

    error: Inner

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": {"type": "invalid_context", "message": "message 3: no role"}}]}
    )
