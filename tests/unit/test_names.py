"""Names that readers meet everywhere are used once."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from support.paths import ROOT


@pytest.mark.moderate
def test_public_class_names_are_unique() -> None:
    """A class name means one thing in both packages, so that a search for it finds one definition."""
    where: defaultdict[str, list[str]] = defaultdict(list)
    for folder in (ROOT / "compressor", ROOT / "agents" / "compressor_agents"):
        for path in sorted(folder.rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    where[node.name].append(str(path.relative_to(ROOT)))
    assert len(where) > 100
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}
