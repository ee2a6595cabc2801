"""Parses examples of any shape into question, answer, reasoning and label.

An example is a string; a mapping (`{"input", "output"}` or similar names, optionally with `rationale` and `label`); a
list of messages that ends with an assistant message; or, with a template, any object.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from compressor.errors import ContextError

Shape = Literal["text", "fields", "messages", "object"]

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
    """

    given: Any
    shape: Shape
    question: str
    answer: str = ""
    label: str = ""
    rationale_field: str | int | tuple[()] | None = None
    reasoning: tuple[int, int] = (0, 0)
    has_separate_rationale: bool = False

    @property
    def text(self) -> str:
        """The text of the rationale field, or ""."""
        if self.rationale_field is None:
            return ""
        if self.shape == "text":
            return str(self.given)
        if self.shape == "messages" and isinstance(self.rationale_field, int):
            return str(self.given[self.rationale_field]["content"])
        return str(self.given[self.rationale_field])

    def with_text(self, text: str) -> Any:
        """Returns a copy of `given` with another text in its rationale field."""
        if self.shape == "text":
            return text
        if self.shape == "messages" and isinstance(self.rationale_field, int):
            copies = list(self.given)
            copies[self.rationale_field] = {**copies[self.rationale_field], "content": text}
            return tuple(copies) if isinstance(self.given, tuple) else copies
        return {**self.given, self.rationale_field: text}

    def to_messages(self, text: str | None = None) -> list[dict[str, Any]]:
        """Returns the example as a user and an assistant message, or the caller's own messages.

        Args:
            text: Another text for the rationale field, or None.

        Returns:
            The messages; an empty list if the answer is unknown.
        """
        if self.shape == "messages":
            return list(self.given if text is None else self.with_text(text))
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
        return _messages(given, index)
    if templated:
        return Example(given, "object", "")
    raise ContextError(
        f"an example must be a str, a mapping or a list of messages, not {type(given).__name__}; use a template for "
        "other objects",
        index,
    )


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
    try:
        text = json.dumps(given, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ContextError(f"examples in an example store must be JSON: {error}", index) from None
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


def _fields(given: Mapping[str, Any], index: int, templated: bool) -> Example:
    question_field = next((name for name in QUESTION_FIELDS if name in given), None)
    answer_field = next((name for name in ANSWER_FIELDS if name in given and name != question_field), None)
    if (question_field is None or answer_field is None) and not templated:
        raise ContextError(
            f"the example has no input and output: its fields are {list_fields(given)}; rename them or use a template",
            index,
        )
    question = field_text(given[question_field]) if question_field is not None else ""
    answer = field_text(given[answer_field]) if answer_field is not None else ""
    label_field = next((name for name in LABEL_FIELDS if name in given), None)
    label = field_text(given[label_field]) if label_field is not None else _label(answer)
    rationale_field = next((name for name in RATIONALE_FIELDS if isinstance(given.get(name), str)), None)
    if rationale_field is not None:
        return Example(
            given,
            "fields",
            question,
            answer,
            label,
            rationale_field,
            (0, len(given[rationale_field])),
            has_separate_rationale=True,
        )
    if answer_field is not None and isinstance(given[answer_field], str):
        return Example(given, "fields", question, answer, label, answer_field, (0, len(answer)))
    return Example(given, "fields", question, answer, label)


def _messages(given: Sequence[Any], index: int) -> Example:
    questions: list[str] = []
    last = -1
    for i, message in enumerate(given):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ContextError('an example that is a list must hold messages, each with a "role"', index)
        if not isinstance(message.get("content"), str):
            raise ContextError(f'the "content" of message {i} of the example must be a str', index)
        if message["role"] == "assistant":
            last = i
        else:
            questions.append(message["content"])
    if last < 0 or not questions:
        raise ContextError("an example that is a list of messages needs a user message and an assistant message", index)
    answer = given[last]["content"]
    return Example(given, "messages", "\n".join(questions), answer, _label(answer), last, (0, len(answer)))


def _label(answer: str) -> str:
    """The answer if it may be a label: one short line."""
    answer = answer.strip()
    return answer if len(answer) <= MAX_LABEL_CHARS and "\n" not in answer else ""


def list_fields(given: Mapping[str, Any]) -> str:
    """Returns the first names of a mapping's fields, for messages."""
    names = [repr(name) for name in list(given)[:6]]
    return ", ".join(names) + (", …" if len(given) > 6 else "") if names else "no fields"
