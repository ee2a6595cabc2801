"""The examples of the repository: their recorded sessions, and running them as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.paths import EXAMPLES

KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY")


def recorded(name: str) -> list[dict[str, Any]]:
    """The messages of a recorded agent session."""
    text = (EXAMPLES / "data" / f"{name}_session.json").read_text(encoding="utf-8")
    messages: list[dict[str, Any]] = json.loads(text)["messages"]
    return messages


def run_example(name: str, folder: Path, *arguments: str, code: int = 0, **more: str) -> str:
    """The output of an example that runs in an empty folder, with a cache of its own and without keys."""
    paths = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    env = {key: value for key, value in os.environ.items() if key not in KEYS}
    env |= {"COMPRESSOR_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **more}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr
