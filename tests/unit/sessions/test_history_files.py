"""What left a session's view, as files: exact texts, an index, and grep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions import Conversation, HistoryFiles, Policy, Session, ToolRule
from compressor.sessions.history_files import INDEX_PATH, NESTED_REPEAT
from compressor.storage import MemoryStore
from support.session_tools import SESSION_KINDS, compressor_of_sessions, conversation, prose, replay, text

POLICY = Policy(target=("tokens", 1_200))
RECORDS = json.dumps([{"id": i, "state": "ERROR" if i == 7 else "ok", "note": prose(i, 2)} for i in range(40)])


@pytest.fixture(params=SESSION_KINDS)
def c(request: pytest.FixtureRequest) -> Iterator[Compressor]:
    compressor = compressor_of_sessions(request.param)
    yield compressor
    compressor.close()


def messages_with_records() -> list[Any]:
    messages = conversation(12, sentences=80)
    messages[5]["content"] = RECORDS
    return messages


def open_files(c: Compressor, messages: list[Any], **options: Any) -> tuple[Any, HistoryFiles]:
    session = c.session("a", budget=3_000, policy=POLICY, **options)
    replay(session, messages)
    return session, session.history_files()


def test_every_text_is_in_the_view_or_in_a_file_word_for_word(c: Compressor) -> None:
    messages = messages_with_records()
    session, files = open_files(c, messages)
    shown = text(session.view())
    texts = {
        number: [m["content"], *(call["function"]["arguments"] for call in m.get("tool_calls", ()))]
        for number, m in enumerate(messages[1:])  # the system prompt has no number
    }
    for number, said in texts.items():
        here = [files[path] for path in files if path.startswith(f"/history/{number:04d}-")]
        assert all(one in here or json.dumps(one)[1:-1] in shown for one in said)
        assert all(one in said for one in here)
    assert files["/history/0004-look.json"] == RECORDS == files["0004-look.json"]
    assert any(path.endswith("-look-call.json") for path in files)


def test_the_index_has_a_line_for_each_file(c: Compressor) -> None:
    _, files = open_files(c, messages_with_records())
    first, *others = files
    assert first == INDEX_PATH and len(files) == len(others) + 1
    lines = files[INDEX_PATH].splitlines()[2:]
    assert [line.split(": ")[0].removeprefix("- ") for line in lines] == others
    assert lines[others.index("/history/0004-look.json")].startswith(
        "- /history/0004-look.json: result of look, 1,559 tokens: [{"
    )


def test_grep_shows_path_line_and_text(c: Compressor) -> None:
    messages = conversation(12, sentences=80)
    messages[5]["content"] = f"{prose(5)}\nretrying\nERROR 17: the pump (north) leaks\n{prose(6)}"
    _, files = open_files(c, messages)
    line = "/history/0004-look.txt:3:ERROR 17: the pump (north) leaks"
    assert files.grep(r"ERROR \d+") == files.grep("error 17", ignore_case=True) == files.grep("(north)") == line
    assert files.grep("pump (north") == line  # not a regular expression, so a text
    assert files.grep("walrus") == "(no line matches 'walrus')"
    few = files.grep("units", max_lines=2).splitlines()
    assert len(few) == 3 and few[2].endswith("more lines match: use a narrower pattern)")
    assert all(len(one) < 400 for one in few)
    assert files.grep("(a+)+b") == files.grep(r"(\d+\.)*") == NESTED_REPEAT  # may take time without end


def test_files_are_the_same_after_a_restart_and_none_without_a_compaction(tmp_path: Any) -> None:
    path = str(tmp_path / "s.db")
    _, files = open_files(Compressor(store=path), messages_with_records())
    again: Session = Compressor(store=path).session("a", budget=3_000, policy=POLICY)
    assert dict(again.history_files()) == dict(files)
    assert list(again.fork("b").history_files()) == list(files)
    assert list(Compressor(store="memory").session("new").history_files()) == [INDEX_PATH]


def test_a_conversation_that_has_its_state_only_shows_what_is_cut_in_it() -> None:
    c, messages = Compressor(store="memory"), conversation(2, sentences=200)
    rules = Policy(compact=False, tools={"look": ToolRule(max_tokens=300)})
    session = Conversation(c, policy=rules)
    session.append(*messages, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "And now?"})
    session.view()
    bare = Conversation(c, state=session.state)
    cut = [messages[3]["content"], messages[5]["content"]]
    assert list(session.history_files().values())[1:] == list(bare.history_files().values())[1:] == cut


def test_what_is_no_longer_stored_is_named_so() -> None:
    now = [1_000.0]
    c = Compressor(store=MemoryStore(ttl=100, clock=lambda: now[0]))
    session = c.session("a", budget=3_000, policy=POLICY)
    session.append(*messages_with_records())
    session.view()
    files = session.history_files()
    for _ in range(4):  # the session is used, its originals are not
        now[0] += 60
        session.view()
    left = session.history_files()
    assert len(left) < len(files)
    assert "all that left in 1 of 1 compactions, no longer stored" in left[INDEX_PATH]


def server_search(i: int) -> list[Any]:
    """A search of the provider (Anthropic)."""
    use = {"type": "server_tool_use", "id": f"s{i}", "name": "web_search", "input": {"query": f"pump {i}"}}
    hit = {"type": "web_search_result", "title": f"MARK-{i} is the total of the year", "url": "https://example.org"}
    result = {"type": "web_search_tool_result", "tool_use_id": f"s{i}", "content": [hit]}
    return [{"role": "assistant", "content": [use, result, {"type": "text", "text": "Done."}]}]


def shell(i: int) -> list[Any]:
    """A call of a hosted tool (Responses)."""
    out = [{"type": "logs", "logs": f"MARK-{i} is the total of the year"}]
    return [{"type": "code_interpreter_call", "id": f"ci_{i}", "code": "sum()", "container_id": "c", "outputs": out}]


@pytest.mark.parametrize(("model", "hosted"), [("claude-sonnet-4-5", server_search), ("gpt-5", shell)])
def test_what_the_providers_own_tools_said_can_be_grepped(model: str, hosted: Any) -> None:
    messages: list[Any] = []
    for i in range(60):
        messages += [{"role": "user", "content": f"{i} {prose(i, 8)}"}, *hosted(i)]
        messages.append({"role": "assistant", "content": prose(i + 99, 8)})
    messages.append({"role": "user", "content": "Go on."})
    session = Compressor(store="memory").session("a", model=model, budget=3_000, policy=POLICY)
    session.append(*messages)
    session.view()
    session.compact()
    left = next(mark for i in range(60) if (mark := f"MARK-{i} ") not in text(session.view()))
    found = session.history_files().grep(left)
    assert "-provider.txt:" in found and found.count(f"{left}is the total of the year") == 1


def test_odd_tool_names_stay_inside_the_folder() -> None:
    messages = conversation(12, sentences=80)
    names = ["../../etc/passwd", "mcp/search files", "查找", "a" * 90, "..."]
    for i, name in enumerate(names):
        messages[2 + 2 * i]["tool_calls"][0]["function"]["name"] = name
    _, files = open_files(Compressor(store="memory"), messages)
    inside = [path.removeprefix("/history/") for path in files]
    assert all("/" not in path and ".." not in path and len(path) < 60 for path in inside)
    assert {"0002-etc-passwd.txt", "0004-mcp-search-files.txt", "0006-查找.txt", "0010-tool.txt"} <= set(inside)
