"""The known routes of the providers, and what the proxy does with each: compress it, count it, or pass it through.

A path that is not in this table is not sent to a provider, unless the setting `forward_unknown_routes` says so: a typo
in our own API must not send content there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from compressor.providers import AnthropicMessagesApi, OpenAIChatApi, OpenAIResponsesApi, ProviderApi

CHAT, RESPONSES, MESSAGES = OpenAIChatApi(), OpenAIResponsesApi(), AnthropicMessagesApi()
#: Routes whose `POST` requests are compressed.
COMPRESSED: Mapping[str, ProviderApi] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/messages": MESSAGES,
}
#: Routes that count the tokens of such a request.
COUNTED: Mapping[str, ProviderApi] = {"/v1/messages/count_tokens": MESSAGES, "/v1/responses/input_tokens": RESPONSES}
#: Routes that are websockets.
WEBSOCKETS = ("/v1/responses", "/v1/realtime", "/v1/realtime/translations", "/v1/live")

# {name} is one segment, {name:path} is the rest.
_OPENAI = """
/chat/completions
/chat/completions/{id}
/chat/completions/{id}/messages
/responses
/responses/compact
/responses/input_tokens
/responses/{id}
/responses/{id}/{part:path}
/conversations/{rest:path}
/completions
/fim/completions
/edits
/embeddings
/moderations
/rerank
/score
/ocr
/models/{rest:path}
/engines/{rest:path}
/files/{rest:path}
/uploads/{rest:path}
/batches/{rest:path}
/audio/{rest:path}
/images/{rest:path}
/videos/{rest:path}
/fine_tuning/{rest:path}
/assistants/{rest:path}
/threads/{rest:path}
/vector_stores/{rest:path}
/containers/{rest:path}
/evals/{rest:path}
/realtime/{rest:path}
/live/{rest:path}
/chatkit/{rest:path}
/skills/{rest:path}
/agents/{rest:path}
/vaults/{rest:path}
/decisions/{rest:path}
/organization/{rest:path}
/projects/{rest:path}
/webhook_endpoints/{rest:path}
"""
_ANTHROPIC = """
/messages
/messages/count_tokens
/messages/batches/{rest:path}
/complete
/organizations/{rest:path}
"""
_GENERATES = r"generateContent|streamGenerateContent|generateMessage|generateText|countTokens|bidiGenerateContent"
#: Paths of other providers: what the answer says is not compressed, and the rest.
_OTHERS: tuple[tuple[str, str, str, bool], ...] = (
    ("gemini", "/v1beta/*", rf"/v1(?:alpha|beta\d*)?/(?:models|tunedModels)/[^/]+:(?:{_GENERATES})", True),
    ("gemini", "/v1beta/*", r"(?:/upload|/download)?/v1(?:alpha|beta)/.+", False),
    ("gemini", "/v1beta/*", r"/v1/(?:models|tunedModels)/[^/]+:(?:embed|batch|async)[A-Za-z]+", False),
    (
        "vertex",
        "/v1/projects/*",
        r"/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/(?:.+:(?:"
        + _GENERATES
        + r"|rawPredict|streamRawPredict|predict|serverStreamingPredict)|.+/chat/completions)",
        True,
    ),
    ("vertex", "/v1/projects/*", r"/v1(?:beta1)?/projects/[^/]+/locations/.+", False),
    ("vertex", "/v1/projects/*", r"/v1(?:beta1)?/publishers/.+", False),
    (
        "bedrock",
        "/model/*",
        r"/model/[^/]+/(?:invoke|invoke-with-response-stream|converse|converse-stream|count-tokens)",
        True,
    ),
    ("bedrock", "/model/*", r"/(?:guardrail/.+/apply|async-invoke(?:/.+)?)", False),
)
#: Beginnings under which a provider has the API of OpenAI or Anthropic.
_PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("azure", "/openai/deployments/{deployment}", r"/openai/deployments/(?P<deployment>[^/]+)"),
    ("azure", "/openai/v1", r"/openai/v1"),
    ("azure", "/openai", r"/openai"),
    ("azure", "/models", r"/models(?=/chat/completions$|/embeddings$)"),
    ("azure", "/anthropic/v1", r"/anthropic/v1(?=/messages)"),
    ("gemini", "/v1beta/openai", r"/v1beta/openai"),
    ("openai", "/v1", r"/v1"),
    ("openai", "/v1", r""),  # clients whose base URL has no /v1
)
# Answers are generated or read: such a request may be sent again if a connection turns out to be closed.
_REPEATABLE = re.compile(
    r".*(/(chat/completions|completions|responses|messages|embeddings|count_tokens|input_tokens|rerank|moderations)"
    rf"|/model/[^/]+/(invoke|converse|count-tokens)[a-z-]*|:({_GENERATES}|embedContent|batchEmbedContents|\w*[pP]redict))"
)


@dataclass(frozen=True)
class ProviderRoute:
    """A route of a provider.

    Attributes:
        provider: "openai", "anthropic", "azure", "gemini", "vertex" or "bedrock".
        label: The name of the route in logs and metrics, without ids.
        path: The path to send to the provider, percent-encoded.
        canonical: The path under /v1 that has the same meaning, or "".
        api: The API whose requests are compressed here, if they are.
        counts: The API whose requests are counted here, if they are.
        deployment: Azure's deployment, which names the model; "" elsewhere.
        is_unsupported: Whether a model is asked in an API that is not compressed.
    """

    provider: str
    label: str
    path: str
    canonical: str = ""
    api: ProviderApi | None = None
    counts: ProviderApi | None = None
    deployment: str = ""
    is_unsupported: bool = False

    @property
    def is_websocket(self) -> bool:
        """Returns whether the provider has a websocket here."""
        return self.canonical in WEBSOCKETS


def find_route(path: str) -> ProviderRoute | None:
    """Returns the provider's route that a path names, or None. A slash at the end makes no difference.

    Args:
        path: The path, percent-encoded.
    """
    return None if len(path) > _MAX_LENGTH else _find_route(path.rstrip("/"))


def is_repeatable(path: str) -> bool:
    """Returns whether a request to this path does no harm if the provider gets it twice."""
    return _REPEATABLE.fullmatch(path) is not None


def list_templates() -> Iterator[str]:
    """Returns the templates of all routes under /v1, for hints."""
    for line in (*_OPENAI.split(), *_ANTHROPIC.split()):
        yield "/v1" + line


_MAX_LENGTH = 4096


def _compile(templates: str) -> re.Pattern[str]:
    parts = []
    for line in templates.split():
        text = re.escape(line).replace(r"\{", "{").replace(r"\}", "}")
        text = re.sub(r"/\{\w+:path\}", r"(?:/.+)?" if "rest:" in line else r"/.+", text)
        parts.append(re.sub(r"\{\w+\}", r"[^/]+", text))
    return re.compile("|".join(parts))


_OPENAI_PATHS, _ANTHROPIC_PATHS = _compile(_OPENAI), _compile(_ANTHROPIC)
_OTHER_PATHS = [(*entry[:2], re.compile(entry[2]), entry[3]) for entry in _OTHERS]
_PREFIX_PATHS = [(*entry[:2], re.compile(entry[2])) for entry in _PREFIXES]


@lru_cache(maxsize=1024)
def _find_route(path: str) -> ProviderRoute | None:
    for provider, label, prefix in _PREFIX_PATHS:
        found = prefix.match(path)
        if found is None:
            continue
        rest = path[found.end() :]
        is_anthropic = _ANTHROPIC_PATHS.fullmatch(rest) is not None and label != "/openai"
        if not is_anthropic and (_OPENAI_PATHS.fullmatch(rest) is None or _is_other(path)):
            continue
        canonical = "/v1" + rest
        deployment = unquote(found.groupdict().get("deployment") or "")
        api, counts = COMPRESSED.get(canonical), COUNTED.get(canonical)
        if provider == "openai":
            path, name = canonical, canonical if api or counts else "/v1/*"
            provider = "anthropic" if is_anthropic else "openai"
        else:
            name = f"{label}{rest if api or counts else '/*'}"
        is_unsupported = rest in ("/completions", "/complete", "/fim/completions")
        return ProviderRoute(provider, name, path, canonical, api, counts, deployment, is_unsupported)
    for provider, label, pattern, is_unsupported in _OTHER_PATHS:
        if pattern.fullmatch(path):
            return ProviderRoute(provider, label, path, is_unsupported=is_unsupported)
    return None


def _is_other(path: str) -> bool:
    """Returns whether another provider has a path that reads like one of OpenAI's: /v1/models/x:generateContent."""
    return (":" in path or "/locations/" in path) and any(pattern.fullmatch(path) for *_, pattern, _ in _OTHER_PATHS)
