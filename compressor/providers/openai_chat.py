"""OpenAI chat completions, as JSON. See `base.py` for what an API has to say."""

from __future__ import annotations

from collections.abc import Sequence

from compressor.providers.base import HiddenRounds, Json, ModelTurn, StreamFilter, sum_usage

_BREAK = "\n\n"  # between texts of several rounds, which become one message


class OpenAIChatApi:
    """`POST /chat/completions`."""

    dialect = "openai_chat"

    def supports(self, body: Json) -> bool:
        return bool(isinstance(body.get("messages"), list) and body["messages"] and body.get("n") in (None, 1))

    def history(self, body: Json) -> list[Json]:
        return list(body["messages"])

    def system(self, body: Json) -> list[Json]:
        return []

    def build_request(self, body: Json, messages: Sequence[Json], schema: Json | None) -> Json:
        result = {**body, "messages": list(messages)}
        if schema is not None:
            result["tools"] = [schema, *(body.get("tools") or ())]
        return result

    def build_original_request(self, body: Json, turn: ModelTurn) -> list[Json]:
        return turn.items

    def without_forced_tool(self, body: Json) -> Json:
        return body | {"tool_choice": "none"} if len(body.get("tools") or ()) == 1 else body

    def turn(self, response: Json, tool: str) -> ModelTurn:
        message = response["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        asked = [(c["id"], c["function"].get("arguments") or "") for c in calls if _name(c) == tool]
        own = [c["id"] for c in calls if _name(c) != tool]
        return ModelTurn([_sendable(message)], asked, own, response.get("usage"))

    def results(self, asked: Sequence[tuple[str, str]], texts: Sequence[str]) -> list[Json]:
        pairs = zip(asked, texts, strict=True)
        return [{"role": "tool", "tool_call_id": call_id, "content": text} for (call_id, _), text in pairs]

    def visible_turn(self, response: Json, inner: HiddenRounds, tool: str) -> Json:
        choice = dict(response["choices"][0])
        message = dict(choice["message"])
        message["content"] = _joined([_text(turn) for turn in inner.turns]) or message.get("content")
        calls = [call for call in message.get("tool_calls") or () if _name(call) != tool]
        message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = calls
        elif inner.last.asked:
            choice["finish_reason"] = "stop"
            message["content"] = message["content"] or ""  # no provider takes back a message that holds nothing
        choice["message"] = message
        result = {**response, "choices": [choice, *response["choices"][1:]]}
        usage = sum_usage([turn.usage for turn in inner.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], inner: HiddenRounds) -> list[Json]:
        first = dict(rest[0])
        calls = list(first.get("tool_calls") or ())
        if first.get("role") != "assistant" or [call.get("id") for call in calls] != inner.last.own:
            return list(rest)
        said = inner.last.items[0]
        if len(inner.turns) > 1 and first.get("content") == _joined([_text(turn) for turn in inner.turns]):
            first["content"] = said.get("content")
        answers: list[Json] = []
        if inner.answers:
            theirs = {call["id"]: call for call in calls}
            first["tool_calls"] = [theirs.get(call["id"], call) for call in said["tool_calls"]]
            answers = self.results(inner.last.asked, inner.answers)
        return [*inner.rounds, first, *answers, *rest[1:]]

    def filter(self, tool: str) -> StreamFilter:
        return _Chunks(tool)


def _name(call: Json) -> str | None:
    name = (call.get("function") or {}).get("name")
    return name if isinstance(name, str) else None


def _text(turn: ModelTurn) -> str:
    content = turn.items[0].get("content")
    return content if isinstance(content, str) else ""


def _joined(texts: Sequence[str]) -> str:
    whole = ""
    for text in texts:
        if text:
            whole = whole + _break(whole) + text
    return whole


def _break(before: str) -> str:
    return _BREAK if before and not before[-1].isspace() else ""


def _sendable(message: Json) -> Json:
    """A response's message as a request may hold it: what servers only send, or send empty, is left out."""
    keep = ("role", "content", "refusal", "tool_calls", "audio")
    found = {k: v for k, v in message.items() if (k in keep or k.startswith("reasoning")) and v not in (None, [])}
    if "audio" in found:
        found["audio"] = {"id": found["audio"].get("id")}
    if found.get("tool_calls") and not found.get("content"):
        found["content"] = None  # a stream begins with an empty text where a whole answer has none
    return {"role": "assistant", "content": None} | found


class _Chunks:
    """The chunks of several calls as one stream: the first call's id and time, one role, one usage."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._head: Json = {}
        self._said = ""  # the text the caller has got so far
        self._sent = 0  # tool calls the caller has got so far
        self._spent: list[Json | None] = []
        self._round = 0
        self._begin()

    def _begin(self) -> None:
        self._message: Json = {}
        self._calls: dict[int, Json] = {}
        self._waiting: dict[int, list[Json]] = {}  # pieces of calls whose tool is not known yet
        self._places: dict[int, int] = {}  # where the caller has a call that is its own
        self._held: list[Json] = []
        self._usage: Json | None = None
        self._fresh = True

    def feed(self, event: Json) -> list[Json]:
        if not self._head:
            self._head = {key: event[key] for key in ("id", "created") if key in event}
        changed = dict(event)
        if self._round:
            changed |= self._head
        if event.get("usage") is not None:
            self._usage = event["usage"]
            changed["usage"] = sum_usage([*self._spent, self._usage])
        choices = event.get("choices") or []
        over = not choices
        if choices:
            choice = dict(choices[0])
            choice["delta"] = self._delta(choice.get("delta") or {})
            over = choice.get("finish_reason") is not None
            if over and (late := self._late()):
                choice["delta"]["tool_calls"] = [*(choice["delta"].get("tool_calls") or ()), *late]
            if not over and not choice["delta"] and choices[0].get("delta") and event.get("usage") is None:
                return []
            changed["choices"] = [choice]
        if self._asked() and over:
            self._held.append(changed)
            return []
        return [event if changed == event else changed]

    def turn(self) -> ModelTurn:
        calls = [self._calls[i] for i in sorted(self._calls)]
        message = _sendable(self._message | {"tool_calls": calls})
        asked = [(c["id"], c["function"]["arguments"]) for c in calls if _name(c) == self._tool]
        own = [c["id"] for c in calls if _name(c) != self._tool]
        turn = ModelTurn([message], asked, own, self._usage)
        held = self._held
        self._spent.append(self._usage)
        self._round += 1
        self._begin()
        self._held = held
        return turn

    def finish(self) -> list[Json]:
        held, self._held = self._held, []
        for chunk in held:
            for choice in chunk.get("choices") or ():
                if choice.get("finish_reason") == "tool_calls" and not self._sent:
                    choice["finish_reason"] = "stop"
        return held

    def _asked(self) -> bool:
        return any(_name(call) == self._tool for call in self._calls.values())

    def _delta(self, delta: Json) -> Json:
        """Notes a piece of the message; gives what of it the caller gets."""
        if self._fresh:
            self._fresh = False
            self._held = []
            if self._round:
                delta = {k: v for k, v in delta.items() if k != "role" and not (k == "content" and v == "")}
        shown = {key: value for key, value in delta.items() if key != "tool_calls"}
        for key, value in shown.items():
            before = self._message.get(key)
            joins = isinstance(before, str) and isinstance(value, str) and key != "role"
            self._message[key] = before + value if joins else value
        text = delta.get("content")
        if isinstance(text, str) and text:
            if self._round and self._message["content"] == text:
                shown["content"] = _break(self._said) + text
            self._said += shown["content"]
        calls = [piece for given in delta.get("tool_calls") or () for piece in self._piece(given)]
        return shown | {"tool_calls": calls} if calls else shown

    def _piece(self, piece: Json) -> list[Json]:
        """Notes a piece of a call; gives it if the call is known to be the caller's, with what waited before it."""
        index = piece.get("index", 0)
        call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        call["type"] = piece.get("type") or call["type"]
        for key, value in (piece.get("function") or {}).items():
            if isinstance(value, str):
                call["function"][key] = call["function"].get(key, "") + value
        if call["type"] != "function" and piece.get(call["type"]):
            theirs = call.setdefault(call["type"], {})
            for key, value in piece[call["type"]].items():
                theirs[key] = theirs.get(key, "") + value if isinstance(value, str) else value
            call.pop("function", None)
        if index in self._places:
            return [{**piece, "index": self._places[index]}]
        self._waiting.setdefault(index, []).append(piece)
        name = _name(call)
        begun = name is not None and not call["function"]["arguments"] and self._tool.startswith(name)
        return [] if name == self._tool or begun else self._placed(index)

    def _placed(self, index: int) -> list[Json]:
        self._places[index] = self._sent
        self._sent += 1
        return [{**piece, "index": self._places[index]} for piece in self._waiting.pop(index)]

    def _late(self) -> list[Json]:
        """Calls of which it turns out only now that they are the caller's: their names begin like our tool's."""
        late = [index for index in self._waiting if _name(self._calls[index]) != self._tool]
        return [piece for index in late for piece in self._placed(index)]
