"""Programs of other people's clients and gateways, in an environment of their own that `make clients` builds."""

from __future__ import annotations

from pathlib import Path

from support.redis_tools import missing

FOLDER = Path(__file__).parents[2] / ".venv-clients" / "bin"


def need_program(name: str) -> str:
    """The path of a program, such as "python" or "litellm"."""
    path = FOLDER / name
    if not path.exists():
        missing(f"{name} is needed: make clients")
    return str(path)
