"""What is shipped, how it is named and how fast it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import compressor
from compressor.native import kernel_names
from support.paths import ROOT

IMPORT_MS = 300  # of CPU time; about 30 is normal

PUBLIC = [
    "AsyncSession",
    "BlockReport",
    "BudgetError",
    "BudgetTooSmall",
    "BudgetTooSmallError",
    "Compressor",
    "CompressorError",
    "ContextError",
    "DeviceError",
    "DocumentsResult",
    "Dropped",
    "ExampleStore",
    "ExamplesResult",
    "ExpiredRef",
    "ExpiredRefError",
    "ImagePolicy",
    "ImageRefusedError",
    "MissingDependencyError",
    "ModelError",
    "Policy",
    "Price",
    "QueueFullError",
    "RefError",
    "Result",
    "Session",
    "SessionConflictError",
    "StoreError",
    "TextResult",
    "TokenizerError",
    "ToolRule",
    "ToolSet",
    "ToolsResult",
    "UnknownRef",
    "UnknownRefError",
    "summarizer",
]


def test_the_public_names_are_pinned() -> None:
    assert sorted(compressor.__all__) == PUBLIC
    for name in compressor.__all__:
        assert hasattr(compressor, name)


def test_agents_is_no_package() -> None:
    """`agents` is the import name of the OpenAI Agents SDK."""
    assert not (ROOT / "agents" / "__init__.py").exists()
    assert (ROOT / "agents" / "compressor_agents" / "__init__.py").is_file()


def started_ms(code: str) -> float:
    """CPU time of the fastest of five interpreters that run `code`."""
    command = [sys.executable, "-c", code]
    times = []
    for _ in range(5):
        start = os.times()
        subprocess.run(command, cwd=ROOT, check=True)
        end = os.times()
        times.append(end.children_user + end.children_system - start.children_user - start.children_system)
    return 1e3 * min(times)


def test_import_is_quick() -> None:
    assert started_ms("import compressor") - started_ms("pass") < IMPORT_MS


def test_the_heavy_things_are_not_imported() -> None:
    code = "import sys, compressor; print(*sorted({'torch', 'tiktoken', 'langchain_core'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def build_wheel(folder: Path, **environment: str) -> Path:
    """Builds the wheel into a folder, with further environment variables."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_both_packages_and_nothing_else(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, COMPRESSOR_BUILD_NATIVE="0")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"compressor/__init__.py", "compressor/py.typed", "compressor_agents/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
    assert {name.split("/")[0] for name in names} == {"compressor", "compressor_agents", info}
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.slow
def test_the_wheel_has_the_kernels_where_there_is_a_compiler(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, COMPRESSOR_BUILD_NATIVE="1")
    names = zipfile.ZipFile(wheel).namelist()
    for kernel in kernel_names():
        assert any(
            name.startswith(f"compressor/native/{kernel}.c") and name.endswith((".so", ".pyd")) for name in names
        )
    assert "none-any" not in wheel.name


@pytest.mark.slow
def test_without_a_compiler_the_wheel_is_pure_python(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path, CC="/bin/false", CXX="/bin/false")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not any(name.endswith(".so") for name in zipfile.ZipFile(wheel).namelist())
