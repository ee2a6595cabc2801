"""Tests that `compressor_agents.openai` and its like import the SDK of the same name, not themselves."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compressor_agents

MODULES = ("openai", "anthropic", "pydantic_ai", "langchain")


@pytest.mark.parametrize("name", MODULES)
def test_the_sdk_of_the_same_name_is_imported(name: str, tmp_path: Path) -> None:
    sdk = pytest.importorskip(name)
    ours = importlib.import_module(f"compressor_agents.{name}")
    assert ours.__name__ != sdk.__name__ and ours.__file__ != sdk.__file__
    check = f"import compressor_agents.{name} as ours, {name} as sdk; assert 'compressor_agents' not in sdk.__file__"
    _run("-c", check, cwd=tmp_path)


@pytest.mark.parametrize("name", ("openai", "anthropic", "pydantic_ai"))
def test_the_module_runs_by_its_name_from_any_folder(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    _run("-m", f"compressor_agents.{name}", cwd=tmp_path)


def _run(*arguments: str, cwd: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", MODULES)
def test_a_script_in_the_folder_of_the_package_gets_a_clear_error(name: str) -> None:
    """Python puts a script's folder in front of `sys.path`, so there our module hides the SDK."""
    folder = Path(compressor_agents.__path__[0])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    command = [sys.executable, "-c", f"import {name}"]
    result = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert f"compressor_agents.{name} was imported as '{name}' and hides the SDK" in result.stderr
