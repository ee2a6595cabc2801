"""Plays conversations that the tests of both SDK clients share, and checks what must hold for any API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from compressor.sessions import Policy
from compressor.storage.memory import MemoryStore
from support.client_tools import LOG, NEEDLE, Answer, Talk, ref_in
from support.scripted_server import Call, Reply, Request, ScriptedServer, Usage

EXPAND, RECALL = "expand_context", "recall_context"
#: The compressor's own tools, in the order of a request.
OWN_TOOLS = [EXPAND, RECALL]
READ = Reply("", [Call("read_log", {"path": "import.log"})])
#: For tests that check that every request extends the one before it.
NO_COMPACTION = Policy(compact=False)
ABOVE_BUDGET = "so the smallest possible view is sent"
#: Makes a caller for a server.
TalkMaker = Callable[[ScriptedServer], Talk]


class FullStore(MemoryStore):
    """A store whose disk is full."""

    def put_many(self, *args: Any, **kwargs: Any) -> Any:
        raise OSError("disk full")

    put = put_many


def expand(text: str = "", *more: Call, query: str | None = None, thinking: str = "") -> Any:
    """Returns a reply that expands the first ref that the model can see."""
    arguments = {"query": query} if query else {}
    return lambda request: Reply(text, [Call(EXPAND, {"ref": ref_in(request), **arguments}), *more], thinking)


def look_up(tool: str, text: str = "", *more: Call, query: str | None = None, thinking: str = "") -> Any:
    """Returns a reply that expands the first ref, or searches what was removed."""
    if tool == EXPAND:
        return expand(text, *more, query=query, thinking=thinking)
    return Reply(text, [Call(tool, {"query": query or "which worker gave up"}), *more], thinking)


def sent(request: Request) -> str:
    """Returns the messages of a request as JSON."""
    return json.dumps(request.messages, ensure_ascii=False)


def play_long_result(talk_of: TalkMaker, stream: bool) -> list[Request]:
    """A long tool result is cut, and the tools for it are offered from the first call on."""
    with ScriptedServer([READ, Reply("It stopped."), Reply("Bye.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        assert talk.ask(stream).text == "It stopped."
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0
    assert [request.tools for request in server.requests] == [[*OWN_TOOLS, "read_log"]] * 3
    assert len(sent(server.requests[1])) < 0.8 * len(LOG)
    report = talk.client.cost_report()
    assert report.saved_cost > 0 and report.billed_tokens > 0
    return server.requests


def play_two_look_ups(
    talk_of: TalkMaker, stream: bool, tool: str, thinking: str = ""
) -> tuple[Talk, Answer, list[Request]]:
    """The model expands or searches twice inside one call; the caller sees only the texts."""
    done = Reply("Code E-4711.", thinking=thinking)
    first, second = look_up(tool, "Let me look.", thinking=thinking), look_up(tool, query="gave up")
    script = [READ, first, second, done, Reply("Bye.")]
    with ScriptedServer(script) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        answer = talk.ask(stream)
        assert answer.calls == [] and answer.text.startswith("Let me look.") and answer.text.endswith("Code E-4711.")
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0
    assert NEEDLE in sent(server.requests[2])
    if tool == EXPAND:  # an answer of the other tool quotes what the view shows
        assert sent(server.requests[4]).count("Let me look.") == 1
    assert talk.client.cost_report().expansions == (2 if tool == EXPAND else 0)
    return talk, answer, server.requests


def play_usage(talk_of: TalkMaker, stream: bool) -> dict[str, Any]:
    """Two expand rounds with 100 input tokens (50 of them cached) and 10 output tokens each, then 300 (200) and 7."""

    def expand_first_ref(request: Request) -> Reply:
        return Reply("", [Call(EXPAND, {"ref": ref_in(request)})], usage=Usage(100, 50, 10))

    script: list[Any] = [READ, expand_first_ref, expand_first_ref, Reply("Done.", usage=Usage(300, 200, 7))]
    with ScriptedServer(script) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        return talk.ask(stream).usage


def play_look_up_beside_own_call(
    talk_of: TalkMaker, stream: bool, tool: str, thinking: str = ""
) -> tuple[Answer, list[Request]]:
    """The model looks something up and calls the caller's tool in one turn; the caller sees only its own call."""
    own = Call("read_log", {"path": "other.log"})
    script = [READ, look_up(tool, "Both.", own, thinking=thinking), Reply("", [own]), Reply("Done."), Reply("Bye.")]
    with ScriptedServer(script) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        first = answer = talk.ask(stream)
        assert [(name, json.loads(given)) for _, name, given in answer.calls] == [("read_log", {"path": "other.log"})]
        assert answer.text == "Both."
        talk.result(answer.calls[0][0], "nothing there")
        answer = talk.ask(stream)
        talk.result(answer.calls[0][0], "nothing there either")
        assert talk.ask(stream).text == "Done."
        talk.say("Thanks.")
        assert talk.ask(stream).text == "Bye."
    assert not server.problems and server.left == 0
    return first, server.requests


def play_own_call_after_look_up(talk_of: TalkMaker, stream: bool, tool: str, thinking: str = "") -> None:
    """What was looked up stays in the history although the turn after it calls the caller's tool."""
    with ScriptedServer([READ, look_up(tool, "Looking.", thinking=thinking), READ, Reply("Done.")]) as server:
        talk = talk_of(server)
        talk.read_log(stream)
        answer = talk.ask(stream)
        assert [call[1] for call in answer.calls] == ["read_log"] and answer.text == "Looking."
        talk.result(answer.calls[0][0], "empty")
        assert talk.ask(stream).text == "Done."
    assert not server.problems and NEEDLE in sent(server.requests[3])
