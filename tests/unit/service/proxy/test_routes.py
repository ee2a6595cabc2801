"""Which paths go to a provider, and as what."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi")

from compressor.service.proxy.routes import CHAT, MESSAGES, RESPONSES, find_route, is_repeatable
from compressor.service.settings import Settings

SAME = [
    ("/v1/chat/completions", CHAT, "openai"),
    ("/v1/responses", RESPONSES, "openai"),
    ("/v1/messages", MESSAGES, "anthropic"),
    ("/openai/deployments/my-gpt/chat/completions", CHAT, "azure"),
    ("/openai/v1/chat/completions", CHAT, "azure"),
    ("/openai/v1/responses", RESPONSES, "azure"),
    ("/openai/responses", RESPONSES, "azure"),
    ("/models/chat/completions", CHAT, "azure"),
    ("/anthropic/v1/messages", MESSAGES, "azure"),
    ("/v1beta/openai/chat/completions", CHAT, "gemini"),
]


@pytest.mark.parametrize(("path", "api", "provider"), SAME)
@pytest.mark.parametrize("end", ["", "/", "//"])
def test_what_is_compressed(path: str, api: object, provider: str, end: str) -> None:
    route = find_route(path + end)
    assert route is not None and route.api is api and route.provider == provider and route.path == path
    assert not route.is_unsupported and is_repeatable(route.path)


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/responses", "/messages", "/embeddings", "/models", "/files/f1"]
)
def test_a_base_url_without_v1(path: str) -> None:
    route = find_route(path)
    assert route is not None and route.path == "/v1" + path == route.canonical


@pytest.mark.parametrize(
    "path",
    """/v1/chat/completions/c1 /v1/chat/completions/c1/messages /v1/responses/r1 /v1/responses/r1/cancel
    /v1/responses/compact /v1/embeddings /v1/models /v1/models/meta-llama/Llama-3 /v1/models/ft:gpt-4o:org::1
    /v1/files /v1/files/f/content /v1/uploads/u/parts /v1/batches/b/cancel /v1/audio/transcriptions /v1/images/edits
    /v1/fine_tuning/jobs/j/events /v1/threads/t/runs/r /v1/vector_stores/v/files /v1/realtime/client_secrets
    /v1/conversations/c/items /v1/organization/usage/costs /v1/messages/batches /v1/messages/batches/b/results
    /v1/organizations/me /v1/videos/v /v1/rerank /openai/files /openai/deployments/d/embeddings""".split(),
)
def test_what_is_passed_through(path: str) -> None:
    route = find_route(path)
    assert route is not None and route.api is None and route.counts is None and not route.is_unsupported


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/v1beta/models/gemini-2.0-flash:generateContent", "gemini"),
        ("/v1beta/models/gemini-2.0-flash:streamGenerateContent", "gemini"),
        ("/v1beta/models/gemini-2.0-flash:countTokens", "gemini"),
        ("/v1/models/gemini-2.0-flash:generateContent", "gemini"),
        ("/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/invoke", "bedrock"),
        ("/model/anthropic.claude-3-5-sonnet-20241022-v2:0/invoke-with-response-stream", "bedrock"),
        ("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aprofile%2Fx/converse", "bedrock"),
        ("/model/x/converse-stream", "bedrock"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "vertex"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict", "vertex"),
        ("/v1beta1/projects/p/locations/l/endpoints/openapi/chat/completions", "vertex"),
        ("/v1/completions", "openai"),
    ],
)
def test_what_asks_a_model_and_is_not_compressed(path: str, provider: str) -> None:
    route = find_route(path)
    assert route is not None and route.is_unsupported and route.provider == provider and route.path == path
    assert is_repeatable(path)


@pytest.mark.parametrize(
    "path",
    """/v1/session/abc/append /v1/keys /v1/tenants /v1/config /v1/chat/completion /v1/chat /v1/message /v1/respond
    /v1 /v1/ / /metrics /healthz /app.css /admin/v1/tenants /v1/chat/completions/a/b/c /v2/chat/completions
    /v1/v1/chat/completions /model/x /v1beta /openai /openai/deployments/d /v1//chat/completions""".split(),
)
def test_what_is_no_route(path: str) -> None:
    assert find_route(path) is None


def test_what_may_be_sent_twice() -> None:
    assert not any(
        is_repeatable(path) for path in ("/v1/files", "/v1/batches", "/v1/responses/r1/cancel", "/v1/images")
    )


def test_each_provider_has_its_base_url() -> None:
    settings = Settings(
        upstream="https://a/v1",
        upstream_anthropic="https://b",
        upstream_azure="https://c/openai/v1/",
        upstream_gemini="https://d/v1beta",
        upstream_bedrock="https://e",
    )
    urls = {
        "/v1/responses": "https://a",
        "/v1/messages": "https://b",
        "/openai/v1/responses": "https://c",
        "/openai/deployments/d/chat/completions": "https://c",
        "/v1beta/openai/chat/completions": "https://d",
        "/v1beta/models/g:generateContent": "https://d",
        "/model/x/invoke": "https://e",
        "/v1/projects/p/locations/l/endpoints/e:predict": "https://a",
    }
    for path, url in urls.items():
        route = find_route(path)
        assert route is not None
        assert settings.upstream_of(route.path, route.provider) == url, path
