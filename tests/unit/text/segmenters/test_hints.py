"""Hints: file names, media types and fences say what a text is; the names of tools do not."""

from __future__ import annotations

import asyncio

import pytest

from compressor import Compressor
from compressor.errors import ContextError
from compressor.text.segmenters.content_type import detect_content_type
from compressor.text.segmenters.languages import hint_language

UNITS = "  UNIT  LOAD  ACTIVE  SUB  DESCRIPTION\n" + "".join(
    f"  svc{i}.service   loaded   active   running   Service number {i}\n" for i in range(30)
)
RUBY = (
    "# Ports.\n# All of them.\nmodule Rack\n  PORTS = { 'http' => 80 }\n\n  def port\n    PORTS[scheme]\n  end\nend\n"
)


@pytest.mark.parametrize(
    ("hint", "language"),
    [
        ("app.rb", "ruby"),
        ("text/x-python", "python"),
        ("application/javascript; charset=utf-8", "javascript"),
        ("text/x-java-source", "java"),
        ("python", "python"),
        ("js {1,3}", "javascript"),
        ('bash {"command": "systemctl -a"}', None),
        ('python {"code": "print(1)"}', None),
        ("bash {}", None),
        ("text/plain", None),
    ],
)
def test_languages(hint: str, language: str | None) -> None:
    assert hint_language(hint) == language


@pytest.mark.parametrize("tool", ["bash", "Bash", "shell", "python", "run_command"])
def test_the_name_of_a_tool_makes_no_code_of_its_output(tool: str) -> None:
    assert detect_content_type(UNITS, tool + ' {"command": "systemctl -a"}') == "table"


@pytest.mark.parametrize(
    ("text", "hint", "kind"),
    [
        (RUBY, "app.rb", "code"),
        ("# A\n\n- b\n- c\n", "notes.md", "markdown"),
        ("a b\nc d\n", "text/csv", "table"),
        ("<?php\nclass A {\n  function f($x) {\n    return $this->x;\n  }\n}\n", "", "code"),
        ("#!/bin/sh\n# Comment.\n# More.\nset -e\n", "", "code"),
    ],
)
def test_content_types(text: str, hint: str, kind: str) -> None:
    assert detect_content_type(text, hint) == kind


def test_languages_without_a_grammar_are_not_taken_for_others() -> None:
    kotlin = "package a.b\n\nimport x.Y\n\nclass A : B {\n  fun f(x: Int): Int {\n    val y = x\n    return y\n  }\n}\n"
    php = "<?php\n$x = $this->a->b;\nfunction f($y) {\n  return $y->z;\n}\n"
    assert detect_content_type(kotlin) == detect_content_type(php) == "code"
    assert hint_language("") is None


def test_markdown_with_tags_and_mail_are_no_pages() -> None:
    text = "# Title\n\nSee [this](https://a.b/c) and [that](https://d.e).\n\n" + "".join(
        f"Some words and <b>bold</b> ones <br/> in line {i}.\n\n" for i in range(6)
    )
    assert detect_content_type(text) == "markdown"
    mail = "From x@y.z Mon Jan 1\nFrom: A <a@b.c>\nTo: B <b@c.d>\nSubject: <x>\n\nHello </b> there.\n"
    assert detect_content_type(mail) == "prose"


def test_compress_text_takes_a_hint() -> None:
    compressor = Compressor(store="memory")
    text = RUBY * 8
    assert compressor.compress_text(text, 0.5, hint="app.rb").blocks[0].layout == "code"
    assert compressor.compress_text("a b\nc d\n" * 40, 0.5, hint="text/csv").blocks[0].layout == "table"
    assert asyncio.run(compressor.acompress_text(text, 0.5, hint="app.rb")).blocks[0].layout == "code"
    with pytest.raises(ContextError, match="hint"):
        compressor.compress_text(text, 0.5, hint=3)  # type: ignore[arg-type]
