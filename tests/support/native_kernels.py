"""The native kernels for tests that compare them with their twins."""

from __future__ import annotations

import os
from typing import Any

import pytest

from compressor.native import is_native_on, load_kernel


def kernel_or_skip(name: str) -> Any:
    """Returns a kernel; the module of tests is skipped if it does not run, which fails where kernels are required."""
    kernel = load_kernel(name)
    if kernel is None:
        required = ("COMPRESSOR_REQUIRE_MODELS", "COMPRESSOR_BUILD_NATIVE")
        if is_native_on() and any(os.environ.get(name) == "1" for name in required):
            raise RuntimeError(f"the kernel `{name}` is not built")
        pytest.skip(f"the kernel `{name}` does not run", allow_module_level=True)
    return kernel
