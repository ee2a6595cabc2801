"""What an example is, whatever its shape: what it asks, what it answers, the reasoning between, its label.

Shapes: a string; a mapping (`{"input", "output"}` or other names, with `rationale` and `label` where there are any); a
list of messages that ends with an assistant's; with a template, anything. Reads; writes no prompt and cuts nothing.
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

#: names of a mapping's fields, the usual ones first
QUESTION_FIELDS = ("input", "question", "query", "text", "prompt", "problem", "instruction", "sentence", "x")
ANSWER_FIELDS = ("output", "answer", "target", "response", "completion", "label", "intent", "class", "y")
RATIONALE_FIELDS = ("rationale", "reasoning", "cot", "explanation", "thought", "steps")
LABEL_FIELDS = ("label", "intent", "class", "category")

MAX_LABEL_CHARS = 80  # characters; a longer answer is no label
_ANSWERS_HERE = re.compile(r"^(?:A|Answer|Output|Assistant|Response|Solution|Label)[ \t]*[:：][ \t]*", re.M)
_ARROW = re.compile(r"[ \t]*(?:->|=>|→|\t)[ \t]*")


@dataclass(frozen=True, slots=True)
class Example:
    """One example. `given` is the caller's own object, never written to.

    asked: what it is about, in which a query finds it. answer: what it shows; "" where that cannot be told.
    home: the field (or message) whose text holds reasoning that may be shortened, `()` for a string itself, None for
    nothing; `reasoning` says which stretch of that text. label: its class, "" for none.
    """

    given: Any
    shape: Shape
    question: str
    answer: str = ""
    label: str = ""
    rationale_field: str | int | tuple[()] | None = None
    reasoning: tuple[int, int] = (0, 0)
    has_separate_rationale: bool = (
        False  # the reasoning has a text to itself: no mark of an answer is needed to see its end
    )

    @property
    def text(self) -> str:
        """The text of `home`."""
        if self.rationale_field is None:
            return ""
        if self.shape == "text":
            return str(self.given)
        if self.shape == "messages" and isinstance(self.rationale_field, int):
            return str(self.given[self.rationale_field]["content"])
        return str(self.given[self.rationale_field])

    def with_text(self, text: str) -> Any:
        """A copy of what was given, with another text at `home`; the same shape."""
        if self.shape == "text":
            return text
        if self.shape == "messages" and isinstance(self.rationale_field, int):
            copies = list(self.given)
            copies[self.rationale_field] = {**copies[self.rationale_field], "content": text}
            return tuple(copies) if isinstance(self.given, tuple) else copies
        return {**self.given, self.rationale_field: text}

    def to_messages(self, text: str | None = None) -> list[dict[str, Any]]:
        """It as messages, `text` at its `home`; the caller's own where it is messages; [] where it has no answer."""
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
        """What a ref to it gives back: a string itself, the JSON of anything else, or of what is none, how it was to be
        written."""
        if self.shape == "text":
            return str(self.given)
        try:
            return json.dumps(self.given, ensure_ascii=False)
        except (TypeError, ValueError):
            return rendered


def parse_example(given: Any, index: int, templated: bool = False) -> Example:
    """The example. ContextError names what is wrong with which; `templated`: a template says how it is written, so
    that its fields may have any names."""
    if isinstance(given, str):
        return _text(given)
    if isinstance(given, Mapping):
        return _fields(given, index, templated)
    if isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray)):
        return _messages(given, index)
    if templated:
        return Example(given, "object", "")
    raise ContextError(
        f"an example is a str, a mapping or a list of messages, not {type(given).__name__}; give a template for others",
        index,
    )


def field_text(value: Any) -> str:
    """A field as text: JSON for what is no string."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def example_id(given: Any, index: int) -> str:
    """An id from what an example holds: 16 hexadecimal digits. ContextError for what cannot be written as JSON."""
    try:
        text = json.dumps(given, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ContextError(f"an example of a bank has to be JSON: {error}", index) from None
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _text(given: str) -> Example:
    """A string: where its answer begins, if it says so."""
    marks = list(_ANSWERS_HERE.finditer(given))
    if marks and marks[-1].start() > 0:
        start, end = marks[-1].span()
        return Example(given, "text", given[:start], given[end:], _label(given[end:]), (), (end, len(given)))
    arrow = list(_ARROW.finditer(given)) if "\n" not in given else []
    if arrow:
        start, end = arrow[-1].span()
        return Example(given, "text", given[:start], given[end:], _label(given[end:]))
    return Example(given, "text", given)


def _fields(given: Mapping[str, Any], index: int, templated: bool) -> Example:
    asks = next((name for name in QUESTION_FIELDS if name in given), None)
    answers = next((name for name in ANSWER_FIELDS if name in given and name != asks), None)
    if (asks is None or answers is None) and not templated:
        raise ContextError(
            f"an example has no input and output among {list_fields(given)}: name them so, or give a template", index
        )
    asked = field_text(given[asks]) if asks is not None else ""
    answer = field_text(given[answers]) if answers is not None else ""
    said = next((name for name in LABEL_FIELDS if name in given), None)
    label = field_text(given[said]) if said is not None else _label(answer)
    reasons = next((name for name in RATIONALE_FIELDS if isinstance(given.get(name), str)), None)
    if reasons is not None:
        return Example(
            given, "fields", asked, answer, label, reasons, (0, len(given[reasons])), has_separate_rationale=True
        )
    if answers is not None and isinstance(given[answers], str):
        return Example(given, "fields", asked, answer, label, answers, (0, len(answer)))
    return Example(given, "fields", asked, answer, label)


def _messages(given: Sequence[Any], index: int) -> Example:
    asked: list[str] = []
    last = -1
    for i, message in enumerate(given):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ContextError('a list is an example only if it holds messages, each with a "role"', index)
        if not isinstance(message.get("content"), str):
            raise ContextError(f'the "content" of message {i} of the example is no str', index)
        if message["role"] == "assistant":
            last = i
        else:
            asked.append(message["content"])
    if last < 0 or not asked:
        raise ContextError("an example of messages has a user's and an assistant's", index)
    answer = given[last]["content"]
    return Example(given, "messages", "\n".join(asked), answer, _label(answer), last, (0, len(answer)))


def _label(answer: str) -> str:
    """An answer that may be a label: one short line."""
    answer = answer.strip()
    return answer if len(answer) <= MAX_LABEL_CHARS and "\n" not in answer else ""


def list_fields(given: Mapping[str, Any]) -> str:
    names = [repr(name) for name in list(given)[:6]]
    return ", ".join(names) + (", …" if len(given) > 6 else "") if names else "no fields"
