r"""Writes examples into a prompt: by the default form, a format string or a function of the caller.

A format string may have plain names only (`"{question}\n=> {answer}"`), no attributes, indices or conversions. So a
template that comes over the network can read nothing but the fields of the example.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from compressor.errors import ContextError
from compressor.pipeline.examples import example as shapes
from compressor.pipeline.examples.example import Example, parse_example
from compressor.pipeline.examples.example_messages import message_text, role

TemplateLike = str | Callable[[Any], str]
_ROLES = {"user": "Q", "assistant": "A"}


class ExampleTemplate:
    r"""Writes examples.

    The default form is "Q: ...\nA: ...", or "question -> answer" on one line, which costs a quarter less (clinc150: 13
    tokens instead of 17).

    Args:
        given: None for the default, a format string, or a function that takes the caller's object and returns a str.
        is_one_line: Whether the default is the form on one line.

    Raises:
        ContextError: If the format string is invalid.
    """

    def __init__(self, given: TemplateLike | None = None, is_one_line: bool = False) -> None:
        self.given, self.is_one_line = given, is_one_line
        self._pieces = _pieces(given) if isinstance(given, str) else []

    @property
    def separator(self) -> str:
        """The text between two examples."""
        return "\n" if self.given is None and self.is_one_line else "\n\n"

    @property
    def key(self) -> object:
        """A value that is equal for equal templates."""
        return self.is_one_line if self.given is None else self.given

    def render(self, example: Example, index: int, text: str | None = None) -> str:
        """Writes one example.

        Args:
            example: The example.
            index: Its position, for messages.
            text: Another text for its rationale field, or None.

        Raises:
            ContextError: If the example lacks a field of the template, or the caller's function fails.
        """
        given = example.given if text is None else example.with_text(text)
        if callable(self.given):
            return self._called(given, index)
        if self.given is not None:
            return self._formatted(example, given, index)
        if example.shape == "text":
            return str(given)
        if example.shape == "messages":
            messages = example.to_messages(text)
            return "\n".join(f"{_ROLES.get(role(m), role(m))}: {line}" for m in messages if (line := message_text(m)))
        answer = example.answer
        if text is not None and not example.has_separate_rationale:
            answer = text
        elif example.has_separate_rationale:
            answer = f"{text if text is not None else example.text}\n{answer}"
        return f"{example.question} -> {answer}" if self.is_one_line else f"Q: {example.question}\nA: {answer}"

    def _called(self, given: Any, index: int) -> str:
        assert callable(self.given)
        try:
            out = self.given(given)
        except Exception as error:  # the caller's code may raise anything
            raise ContextError(
                f"the template function failed: {type(error).__name__}: {error}", index, "example"
            ) from error
        if not isinstance(out, str):
            raise ContextError(f"the template function must return a str, not {type(out).__name__}", index, "example")
        return out

    def _formatted(self, example: Example, given: Any, index: int) -> str:
        fields: dict[str, Any] = {}
        if example.shape == "text":
            fields = {"input": given, "text": given, "example": given}
        elif example.shape == "messages":
            output = example.answer if given is example.given else parse_example(given, index).answer
            fields = {"input": example.question, "output": output}
            fields |= given if isinstance(given, Mapping) else {}
        elif example.shape == "pair":
            fields = {"input": given[0], "output": given[1]}
        elif isinstance(given, Mapping):
            fields = {"input": example.question, "output": example.answer, **given}
        out = []
        for literal, name in self._pieces:
            out.append(literal)
            if name is not None:
                if name not in fields:
                    existing = shapes.list_fields(fields)
                    raise ContextError(
                        f"the template has a field {name!r}, but the example has {existing}", index, "example"
                    )
                out.append(shapes.field_text(fields[name]))
        return "".join(out)


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """The pieces of a format string: literal text and the name of the field after it."""
    try:
        found = [
            (literal, name, spec, conversion) for literal, name, spec, conversion in string.Formatter().parse(template)
        ]
    except ValueError as error:
        raise ContextError(f"the template is not a valid format string: {error}") from None
    for _, name, spec, conversion in found:
        if name is not None and (not name.isidentifier() or spec or conversion):
            raise ContextError(f"the fields of a template must be plain names such as {{input}}, not {{{name}}}")
    if not any(name for _, name, _, _ in found):
        raise ContextError("the template has no field: write at least one, such as {input}")
    return [(literal, name) for literal, name, _, _ in found]
