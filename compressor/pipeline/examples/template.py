"""How an example is written into a prompt: the default, a format string's fields, or a caller's function.

A format string has plain names only (`"{question}\\n=> {answer}"`): no attributes, indices or conversions, so that one
that comes over the network reaches nothing but the example's own fields.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from compressor.errors import ContextError
from compressor.pipeline.examples import example as shapes
from compressor.pipeline.examples.example import Example

TemplateLike = str | Callable[[Any], str]
#: classes: each example a line, which costs a quarter less than the other form (clinc150: 13 tokens instead of 17)
LINE, PAGE = "{input} -> {output}", "Q: {input}\nA: {output}"
_ROLES = {"user": "Q", "assistant": "A"}


class ExampleTemplate:
    """Writes examples. `given`: None for the defaults, a format string or a function of the caller's object.

    `line` says that the default is the short one. ContextError for a format string that is none.
    """

    def __init__(self, given: TemplateLike | None = None, is_one_line: bool = False) -> None:
        self.given, self.is_one_line = given, is_one_line
        self._pieces = _pieces(given) if isinstance(given, str) else []

    @property
    def separator(self) -> str:
        """What stands between two examples."""
        return "\n" if self.given is None and self.is_one_line else "\n\n"

    @property
    def key(self) -> object:
        """What tells templates apart."""
        return self.is_one_line if self.given is None else self.given

    def render(self, example: Example, index: int, text: str | None = None) -> str:
        """The example as it is sent; `text`: with this text at its `home`. ContextError names the example (`index`)
        that lacks a field."""
        given = example.given if text is None else example.with_text(text)
        if callable(self.given):
            return self._called(given, index)
        if self.given is not None:
            return self._formatted(example, given, index)
        if example.shape == "text":
            return str(given)
        if example.shape == "messages":
            return "\n".join(f"{_ROLES.get(m['role'], m['role'])}: {m['content']}" for m in given)
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
        except Exception as error:  # the caller's own code: whatever it raises is about this example
            raise ContextError(f"the template failed on it: {type(error).__name__}: {error}", index) from error
        if not isinstance(out, str):
            raise ContextError(f"the template has to give a str, not {type(out).__name__}", index)
        return out

    def _formatted(self, example: Example, given: Any, index: int) -> str:
        fields: dict[str, Any] = {}
        if example.shape == "text":
            fields = {"input": given, "text": given, "example": given}
        elif example.shape == "messages":
            user = "\n".join(m["content"] for m in given if m["role"] != "assistant")
            fields = {"input": user, "output": given[example.rationale_field]["content"]}
        elif isinstance(given, Mapping):
            fields = {"input": example.question, "output": example.answer, **given}
        out = []
        for literal, name in self._pieces:
            out.append(literal)
            if name is not None:
                if name not in fields:
                    has = shapes.list_fields(fields)
                    raise ContextError(f"the template wants a field {name!r}, and the example has {has}", index)
                out.append(shapes.field_text(fields[name]))
        return "".join(out)


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """Literal text and the field behind it, in order."""
    try:
        found = [(literal, name, spec, way) for literal, name, spec, way in string.Formatter().parse(template)]
    except ValueError as error:
        raise ContextError(f"the template is no format string: {error}") from None
    for _, name, spec, way in found:
        if name is not None and (not name.isidentifier() or spec or way):
            raise ContextError(f"a template's fields are plain names such as {{input}}, not {{{name}}}")
    if not any(name for _, name, _, _ in found):
        raise ContextError("the template has no field such as {input}")
    return [(literal, name) for literal, name, _, _ in found]
