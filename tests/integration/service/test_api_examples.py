"""The budget of worked examples in the HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.service_tools import Service, error_of

EXAMPLES = "\n\n".join(
    f"<example>\nMessage {i}: please help me with the {word} of number {i}\nIntent: {word}\n</example>"
    for i, word in enumerate(["card", "balance", "transfer", "alarm", "weather"] * 6)
)
BEFORE, AFTER = "You name the intent of a message. Examples:", "Answer with the label alone. Never explain."
PROMPT = f"{BEFORE}\n\n{EXAMPLES}\n\n{AFTER}"
ASKED = [{"role": "user", "content": "Message: it rains\nIntent:"}]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


def is_cut(prompt: str) -> bool:
    assert prompt.startswith(BEFORE) and prompt.endswith(AFTER)  # the text around the examples stays
    return len(prompt) < 0.6 * len(PROMPT)


@pytest.mark.parametrize("budget", [5_000, None])
def test_examples_of_a_context(service: Service, budget: int | None) -> None:
    body: dict[str, Any] = {"messages": [{"role": "system", "content": PROMPT}, *ASKED], "model": "gpt-4o"}
    body |= {"examples_budget": "30%"} | ({"budget": budget} if budget else {})
    made = service.http.post("/v1/compress", json=body).json()
    assert is_cut(made["messages"][0]["content"]) and made["messages"][1:] == ASKED and "system" not in made
    assert made["tokens_after"] < 0.6 * made["tokens_before"] and any("example" in text for text in made["warnings"])
    apart = {**body, "messages": ASKED, "system": PROMPT, "model": "claude-sonnet-5"}
    made = service.http.post("/v1/compress", json=apart).json()
    assert is_cut(made["system"]) and made["messages"] == ASKED
    if budget is None:
        later = [*ASKED, {"role": "assistant", "content": "weather"}, {"role": "user", "content": "Thanks."}]
        again = service.http.post("/v1/compress", json={**apart, "messages": later}).json()
        assert again["system"] == made["system"]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"examples_budget": "many"}, "invalid_budget"),
        ({"examples_budget": True}, "invalid_request"),
        ({"examples_budget": 0.3, "pinned": [0]}, "invalid_context"),
        ({"examples_budget": 0.3, "messages": ["x"]}, "invalid_context"),
    ],
)
def test_bad_requests_are_refused(service: Service, wrong: dict[str, Any], kind: str) -> None:
    body = {"messages": [{"role": "system", "content": PROMPT}, *ASKED], "budget": 5_000, **wrong}
    assert error_of(service.http.post("/v1/compress", json=body)) == kind
