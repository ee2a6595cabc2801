"""Parses examples of any shape into question, answer, reasoning and label.

An example is a string; a mapping (`{"input", "output"}` or similar names, optionally with `rationale` and `label`); a
pair of strings; a list of messages with an assistant message, or a record that holds such a list; or, with a template,
any object.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Literal

from compressor.errors import ContextError
from compressor.pipeline.examples.example_messages import (
    Message,
    call_text,
    calls,
    close_calls,
    is_record,
    plain_text,
    read_messages,
    record_field,
    role,
    without_system,
)

Shape = Literal["text", "fields", "pair", "messages", "object"]

#: Names of the fields of a mapping. The first one that exists is used.
QUESTION_FIELDS = ("input", "question", "query", "text", "prompt", "problem", "instruction", "sentence", "x")
ANSWER_FIELDS = ("output", "answer", "target", "response", "completion", "label", "intent", "class", "y")
RATIONALE_FIELDS = ("rationale", "reasoning", "cot", "explanation", "thought", "steps")
LABEL_FIELDS = ("label", "intent", "class", "category")

MAX_LABEL_CHARS = 80  # a longer answer is not used as a label
_ANSWERS_HERE = re.compile(r"^(?:A|Answer|Output|Assistant|Response|Solution|Label)[ \t]*[:：][ \t]*", re.M)
_ARROW = re.compile(r"[ \t]*(?:->|=>|→|\t)[ \t]*")


@dataclass(frozen=True, slots=True)
class Example:
    """One parsed example.

    Attributes:
        given: The caller's own object, which is never modified.
        shape: What `given` is.
        question: The text that queries are compared with.
        answer: What the example teaches; "" if it cannot be told from the question.
        label: The class of the example; "" for none.
        rationale_field: The field or message whose text holds reasoning that may be shortened: a key, an index, `()`
            for a string itself, or None.
        reasoning: Start and end of the reasoning in that text.
        has_separate_rationale: Whether the reasoning has a field of its own, so that its end need not be searched for.
        messages: The messages of the shape "messages" as they are sent; None for other shapes.
    """

    given: Any
    shape: Shape
    question: str
    answer: str = ""
    label: str = ""
    rationale_field: str | int | tuple[()] | None = None
    reasoning: tuple[int, int] = (0, 0)
    has_separate_rationale: bool = False
    messages: Sequence[Mapping[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The text of the rationale field, or ""."""
        if self.rationale_field is None:
            return ""
        if self.shape == "text":
            return str(self.given)
        if self.messages is not None and isinstance(self.rationale_field, int):
            return str(self.messages[self.rationale_field]["content"])
        return str(self.given[self.rationale_field])

    def with_text(self, text: str) -> Any:
        """Returns a copy of `given` with another text in its rationale field."""
        if self.shape == "text":
            return text
        if self.shape == "fields":
            return {**self.given, self.rationale_field: text}
        field = record_field(self.given) if isinstance(self.given, Mapping) else ""
        copies = list(self.given[field] if field else self.given)
        at = self.rationale_field if isinstance(self.rationale_field, int) else -1
        if self.messages is not None:
            at += len(copies) - len(self.messages)  # `messages` lacks the system messages of a record
        if self.shape == "pair":
            copies[at] = text
        else:
            copies[at] = {**copies[at], ("content" if "role" in copies[at] else "value"): text}
        if field:
            return {**self.given, field: copies}
        return tuple(copies) if isinstance(self.given, tuple) else copies

    def to_messages(self, text: str | None = None) -> list[Message]:
        """Returns the example as a user and an assistant message, or the caller's own messages.

        Args:
            text: Another text for the rationale field, or None.

        Returns:
            The messages, in which each tool call has a result; an empty list if the answer is unknown.
        """
        if self.messages is not None:
            messages = list(self.messages)
            if text is not None and isinstance(self.rationale_field, int):
                messages[self.rationale_field] = {**messages[self.rationale_field], "content": text}
            return close_calls(messages)
        if not self.answer:
            return []
        answer = self.answer
        if self.has_separate_rationale:
            answer = f"{self.text if text is None else text}\n{answer}"
        elif text is not None:
            answer = text[self.reasoning[0] :] if self.shape == "text" else text
        return [{"role": "user", "content": self.question.strip()}, {"role": "assistant", "content": answer.strip()}]

    def original_text(self, rendered: str) -> str:
        """Returns the text that a ref to this example expands to.

        Args:
            rendered: The example as it is written, for objects that are not JSON.

        Returns:
            A string itself, JSON of other objects, or `rendered`.
        """
        if self.shape == "text":
            return str(self.given)
        try:
            return json.dumps(self.given, ensure_ascii=False)
        except (TypeError, ValueError):
            return rendered


def parse_example(given: Any, index: int, templated: bool = False) -> Example:
    """Parses an example.

    Args:
        given: The caller's object.
        index: Its position, for messages.
        templated: Whether a template says how it is written, so that its fields may have any names.

    Raises:
        ContextError: If it is not an example.
    """
    if isinstance(given, str):
        return _text(given)
    if isinstance(given, Mapping):
        return _fields(given, index, templated)
    if isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray)):
        if len(given) == 2 and isinstance(given[0], str) and isinstance(given[1], str):
            return Example(given, "pair", given[0], given[1], _label(given[1]), 1, (0, len(given[1])))
        if given and all(isinstance(item, Mapping) for item in given):
            return _messages(given, given, index)
        if not templated:
            raise ContextError(
                'an example that is a list must hold messages, each with a "role", or two strings: input and output; '
                "use a template for other lists",
                index,
                "example",
            )
    if templated:
        return Example(given, "object", "")
    raise ContextError(
        f"an example must be a str, a mapping, a pair of strings or a list of messages, not {type(given).__name__}; "
        "use a template for other objects",
        index,
        "example",
    )


def has_known_fields(given: Any) -> bool:
    """Whether an object is a dict with a question and an answer, so that it is an example."""
    return type(given) is dict and None not in _find_fields(tuple(given))[:2]


def field_text(value: Any) -> str:
    """Returns a field as text: a string itself, or JSON of another value."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def example_id(given: Any, index: int) -> str:
    """Makes an id from the content of an example.

    Args:
        given: The caller's object.
        index: Its position, for messages.

    Returns:
        16 hexadecimal digits.

    Raises:
        ContextError: If the example is not JSON.
    """
    if type(given) is dict and {*map(type, given), *map(type, given.values())} == {str}:
        # The same text as by json.dumps, in half the time.
        pairs = [f"{encode_basestring(key)}: {encode_basestring(given[key])}" for key in sorted(given)]
        text = f"{{{', '.join(pairs)}}}"
    else:
        try:
            text = json.dumps(given, ensure_ascii=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ContextError(f"examples in an example store must be JSON: {error}", index, "example") from None
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _text(given: str) -> Example:
    """Splits a string at "Answer:" or at an arrow, if it has one."""
    matches = list(_ANSWERS_HERE.finditer(given))
    if matches and matches[-1].start() > 0:
        start, end = matches[-1].span()
        return Example(given, "text", given[:start], given[end:], _label(given[end:]), (), (end, len(given)))
    arrow = list(_ARROW.finditer(given)) if "\n" not in given else []
    if arrow:
        start, end = arrow[-1].span()
        return Example(given, "text", given[:start], given[end:], _label(given[end:]))
    return Example(given, "text", given)


@lru_cache(maxsize=256)
def _find_fields(names: tuple[Any, ...]) -> tuple[str | None, str | None, str | None, list[str]]:
    """The fields of question, answer and label among the names, and those that may hold the rationale."""
    question = next((name for name in QUESTION_FIELDS if name in names), None)
    answer = next((name for name in ANSWER_FIELDS if name in names and name != question), None)
    label = next((name for name in LABEL_FIELDS if name in names), None)
    return question, answer, label, [name for name in RATIONALE_FIELDS if name in names]


def _fields(given: Mapping[str, Any], index: int, templated: bool) -> Example:
    question_field, answer_field, label_field, rationale_fields = _find_fields(tuple(given))
    if question_field is None or answer_field is None:
        if is_record(given):
            return _messages(given, given[record_field(given)], index)
        if not templated:
            raise ContextError(
                f"the example has no input and output: its fields are {list_fields(given)}; rename them or use a "
                "template",
                index,
                "example",
            )
    question = field_text(given[question_field]) if question_field is not None else ""
    answer = field_text(given[answer_field]) if answer_field is not None else ""
    label = field_text(given[label_field]) if label_field is not None else _label(answer)
    rationale = next((name for name in rationale_fields if isinstance(given[name], str)), None)
    if rationale is not None:
        return Example(given, "fields", question, answer, label, rationale, (0, len(given[rationale])), True)
    if answer_field is not None and isinstance(given[answer_field], str):
        return Example(given, "fields", question, answer, label, answer_field, _whole(len(answer)))
    return Example(given, "fields", question, answer, label)


@lru_cache(maxsize=256)
def _whole(length: int) -> tuple[int, int]:
    """The span of a text; texts of the same length share it."""
    return 0, length


def _messages(given: Any, found: Sequence[Any], index: int) -> Example:
    """Parses messages.

    Args:
        given: The caller's object.
        found: The messages in it.
        index: The position of the example, for errors.
    """
    messages = read_messages(found, index)
    if isinstance(given, Mapping):  # its system message is that of the training, and the same in every record
        messages = without_system(messages)
    last = max((i for i, message in enumerate(messages) if role(message) == "assistant"), default=-1)
    asked = [message for message in messages if role(message) == "user"]
    if last < 0 or not asked:
        raise ContextError(
            "an example made of messages needs a user message and an assistant message", index, "example"
        )
    question = "\n".join(text for text in map(plain_text, asked) if text)
    content = messages[last].get("content")
    if isinstance(content, str) and content:
        return Example(
            given, "messages", question, content, _label(content), last, (0, len(content)), messages=messages
        )
    text = plain_text(messages[last])
    if text:
        return Example(given, "messages", question, text, _label(text), messages=messages)
    names = dict.fromkeys(name for _, name, _ in calls(messages[last]))
    return Example(given, "messages", question, call_text(messages[last]), ", ".join(names), messages=messages)


def _label(answer: str) -> str:
    """The answer if it may be a label: one short line."""
    answer = answer.strip()
    return answer if len(answer) <= MAX_LABEL_CHARS and "\n" not in answer else ""


def list_fields(given: Mapping[str, Any]) -> str:
    """Returns the first names of a mapping's fields, for messages."""
    names = [repr(name) for name in list(given)[:6]]
    return ", ".join(names) + (", …" if len(given) > 6 else "") if names else "no fields"
